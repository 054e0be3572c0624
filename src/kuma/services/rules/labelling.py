"""The labels that the control plane gives a resource. (Rules for those that its author wrote: `resources.meta`.)

Source: Kuma's documentation, "Resource labels"; computed labels never overrule what the author wrote, except where a
label states a fact about the spec (`kuma.io/proxy-type`, the listener labels).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kuma.base import errors, labels
from kuma.resources import kind as kinds
from kuma.resources import meta as metas
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.services.rules import role as roles

_PROXY_TYPES = {"ZoneIngress": "zoneingress", "ZoneEgress": "zoneegress"}
_LISTENERS = (
    (labels.LISTENER_ZONE_INGRESS, dataplane.ListenerType.ZONE_INGRESS),
    (labels.LISTENER_ZONE_EGRESS, dataplane.ListenerType.ZONE_EGRESS),
)


def computed(kind: kinds.Kind[Any], mesh: str, own: Mapping[str, str], spec: Any, role: roles.Role) -> dict[str, str]:
    """All labels that a resource of `kind` with labels `own` is stored with when it is written on this control plane."""
    result = dict(own)
    if kind.scope is kinds.Scope.MESH:
        result.setdefault(labels.MESH, mesh or "default")
    if not role.is_global and roles.comes_from_zones(kind):
        origin = result.setdefault(labels.ORIGIN, labels.ORIGIN_ZONE)
        if origin != labels.ORIGIN_GLOBAL:
            result.setdefault(labels.ZONE, role.zone)
            result.setdefault(labels.ENV, role.environment)
    proxy_type = _proxy_type(kind, spec)
    if proxy_type:
        result[labels.PROXY_TYPE] = proxy_type
    if isinstance(spec, dataplane.Dataplane):
        _mark_listeners(result, spec)
    return dict(sorted(result.items()))


def _proxy_type(kind: kinds.Kind[Any], spec: Any) -> str:
    if isinstance(spec, dataplane.Dataplane):
        return "gateway" if spec.is_builtin_gateway else "sidecar"
    return _PROXY_TYPES.get(kind.name, "")


def _mark_listeners(result: dict[str, str], spec: dataplane.Dataplane) -> None:
    present = {each.type for each in spec.networking.listeners} if spec.networking else set()
    for key, listener in _LISTENERS:
        if listener in present:
            result[key] = "enabled"
        else:
            result.pop(key, None)


def origin_violations(kind: kinds.Kind[Any], own: Mapping[str, str], role: roles.Role) -> Iterator[errors.Violation]:
    """On a federated zone only what says that it is the zone's own may be deleted (new-style kinds)."""
    if not role.federated or not role.origin_label_checked or kind.envelope is not kinds.Envelope.SPEC:
        return
    if own.get(labels.ORIGIN) != labels.ORIGIN_ZONE:
        yield errors.Violation(f'labels["{labels.ORIGIN}"]', "the origin label must be set to 'zone'")


def require_none(found: Iterable[errors.Violation]) -> None:
    """InvalidResource with all violations, where there are any."""
    gathered = tuple(found)
    if gathered:
        raise errors.InvalidResource(gathered)


def workload_problem(desired: res.Resource[Any], role: roles.Role) -> str | None:
    """What is wrong with `kuma.io/workload` on a Dataplane of the universal environment; None where nothing is."""
    if desired.kind.name != "Dataplane" or role.environment != "universal":
        return None
    workload = desired.meta.labels.get(labels.WORKLOAD)
    if workload is None:
        return None
    if role.is_global:
        return f'labels["{labels.WORKLOAD}"]: not allowed on Global control plane'
    problems = metas.dns1035_problems(workload)
    if not problems:
        return None
    return (
        f'labels["{labels.WORKLOAD}"]: must be a valid DNS-1035 label (at most 63 characters, matching regex '
        f"[a-z]([-a-z0-9]*[a-z0-9])?): {'; '.join(problems)}"
    )
