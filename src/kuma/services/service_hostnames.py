"""The hostnames that generators give to one service, as seen from where the question is asked. Pure.

On a global control plane a service is seen as the zones see it: a generator of the service's own zone finds it to
originate there, any other finds a synced one. Source: Kuma's documentation, "HostnameGenerator".
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from kuma.base import gotemplate, labels
from kuma.resources import resource as res
from kuma.resources.kinds import hostnamegenerator, labelselector
from kuma.resources.rules import hostnamegenerator as rules
from kuma.services.rules import role as roles

AnyResource = res.Resource[Any]
Generator = res.Resource[hostnamegenerator.HostnameGenerator]

SERVICES = ("MeshService", "MeshExternalService", "MeshMultiZoneService")
"""Kinds that can have hostnames."""


def hostnames_of(service: AnyResource, generators: Iterable[Generator], role: roles.Role) -> dict[str, set[str]]:
    """The zones in which the service has each hostname, by hostname in order.

    A generator whose template does not work for this service gives it none.
    """
    found: dict[str, set[str]] = {}
    for generator in generators:
        seen = _labels_seen(service, generator) if role.is_global else service.meta.labels
        if generator.spec.extension is not None or not is_about(generator.spec, service.kind.name, seen):
            continue
        try:
            hostname = hostname_of(service, generator.spec.template, role.zone)
        except gotemplate.TemplateError:
            continue
        found.setdefault(hostname, set()).add(zone_of(service))
    return dict(sorted(found.items()))


def is_about(spec: hostnamegenerator.HostnameGenerator, kind: str, own: Mapping[str, str]) -> bool:
    """Whether a generator selects a service of a kind with labels `own`."""
    selector = _selector(spec, kind)
    return selector is not None and selector.matches(own)


def hostname_of(service: AnyResource, template: str, own_zone: str) -> str:
    """What a template gives for a service; TemplateError where it asks for something that the service lacks."""
    meta = service.meta
    fields = {
        "Name": meta.name,
        "DisplayName": meta.display_name,
        "Namespace": meta.labels.get(labels.NAMESPACE, ""),
        "Mesh": meta.mesh,
        "Zone": meta.labels.get(labels.ZONE) or own_zone,
    }

    def label(key: str) -> str:
        if key not in meta.labels:
            raise ValueError(f"label {key} not found")
        return meta.labels[key]

    return _compiled(template).render(fields, {"label": label}, rules.missing_field)


def zone_of(service: AnyResource) -> str:
    """The zone a service comes from; where it carries none, its name up to the first dot, as Kuma shows it."""
    return service.meta.labels.get(labels.ZONE) or service.meta.name.partition(".")[0]


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> gotemplate.Template:
    """Templates are few and services are many."""
    return gotemplate.parse(template, rules.FUNCTIONS)


def _selector(spec: hostnamegenerator.HostnameGenerator, kind: str) -> labelselector.LabelSelector | None:
    selectors = {
        "MeshService": spec.selector.mesh_service,
        "MeshExternalService": spec.selector.mesh_external_service,
        "MeshMultiZoneService": spec.selector.mesh_multi_zone_service,
    }
    return selectors[kind]


def _labels_seen(service: AnyResource, generator: Generator) -> Mapping[str, str]:
    own, its = service.meta.labels, generator.meta.labels
    is_local = its.get(labels.ORIGIN) == labels.ORIGIN_ZONE and its.get(labels.ZONE) == own.get(labels.ZONE)
    return {**own, labels.ORIGIN: labels.ORIGIN_ZONE if is_local else labels.ORIGIN_GLOBAL}
