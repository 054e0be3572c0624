"""The HostnameGenerators that a control plane starts with: a zone names its own services, global those that it syncs.

Source: Kuma's documentation, "HostnameGenerator" (default generators).
"""

from collections.abc import Iterator, Mapping

from kuma.base import labels
from kuma.resources import resource as res
from kuma.resources.kinds import hostnamegenerator as model
from kuma.resources.kinds import labelselector
from kuma.services.rules import role as roles

_HEADLESS = "k8s.kuma.io/is-headless-service"
_KUBERNETES = ".{{ .Namespace }}.svc.{{ .Zone }}.mesh.local"
_POD = '{{ label "statefulset.kubernetes.io/pod-name" }}.{{ label "k8s.kuma.io/service-name" }}'
_EXTERNAL = "{{ .DisplayName }}.extsvc.mesh.local"


def for_role(role: roles.Role) -> Iterator[res.Resource[model.HostnameGenerator]]:
    """The generators of a control plane of this role."""
    if role.is_global:
        yield from _synced()
        return
    own = {labels.ORIGIN: labels.ORIGIN_ZONE}
    external = model.Selector(mesh_external_service=_selecting(own))
    yield _generator("local-mesh-external-service", external, _EXTERNAL, own)
    if role.environment == "universal":
        services = model.Selector(mesh_service=_selecting(own))
        yield _generator("local-universal-mesh-service", services, "{{ .DisplayName }}.svc.mesh.local", own)


def _synced() -> Iterator[res.Resource[model.HostnameGenerator]]:
    origin = {labels.ORIGIN: labels.ORIGIN_GLOBAL}
    several = model.Selector(mesh_multi_zone_service=_selecting(origin))
    yield _generator("synced-mesh-multi-zone-service", several, "{{ .DisplayName }}.mzsvc.mesh.local")
    for name, headless, host in (
        ("synced-kube-mesh-service", "false", "{{ .DisplayName }}"),
        ("synced-headless-kube-mesh-service", "true", _POD),
    ):
        wanted = {**origin, _HEADLESS: headless, labels.ENV: "kubernetes"}
        yield _generator(name, model.Selector(mesh_service=_selecting(wanted)), host + _KUBERNETES)
    universal = model.Selector(mesh_service=_selecting({**origin, labels.ENV: "universal"}))
    yield _generator("synced-universal-mesh-service", universal, "{{ .DisplayName }}.svc.{{ .Zone }}.mesh.local")
    external = model.Selector(mesh_external_service=_selecting(origin))
    yield _generator("synced-mesh-external-service", external, _EXTERNAL)


def _selecting(wanted: Mapping[str, str]) -> labelselector.LabelSelector:
    return labelselector.LabelSelector(match_labels=dict(wanted))


def _generator(
    name: str, selector: model.Selector, template: str, own: Mapping[str, str] | None = None
) -> res.Resource[model.HostnameGenerator]:
    spec = model.HostnameGenerator(selector=selector, template=template)
    return res.Resource(model.KIND, res.Meta(mesh="", name=name, labels=dict(own or {})), spec)
