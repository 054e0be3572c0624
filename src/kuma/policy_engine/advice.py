"""What a policy asks for and cannot get, in words for its author: destinations that do not exist, routes of HTTP to
destinations that speak something else.

Nothing of that is wrong with the policy alone, and it may come right later, so that it is no reason to refuse it.
"""

from collections.abc import Collection, Iterator
from typing import Any

from kuma.base import errors, gotext, kri
from kuma.mesh import destinations
from kuma.plan import nodes
from kuma.policy_engine import surroundings
from kuma.resources import resource as res
from kuma.resources import targetref
from kuma.resources.kinds import mesh

AnyResource = res.Resource[Any]

_REAL = ("MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute")
_ROUTE = "MeshHTTPRoute"


def unanswered(
    policy: AnyResource, around: surroundings.Surroundings, services: Collection[str]
) -> Iterator[errors.Violation]:
    """Each entry of `to[]` that has no effect on anybody, with its field. `services` are those by `kuma.io/service`."""
    for number, entry in enumerate(getattr(policy.spec, "to", None) or ()):
        target: targetref.TargetRef = entry.target_ref
        if not _is_real(target, around) and (target.kind != "MeshService" or target.name in services):
            continue
        found = around.resolve(target, policy.meta)
        place = f"spec.to[{number}].targetRef"
        if not found:
            yield errors.Violation(place, f"there is no {_described(target)}")
        elif policy.kind.name == _ROUTE:
            spoken = {each for destination in found for each in _spoken(destination, around)}
            if spoken and not any(nodes.Protocol.named(each).is_http for each in spoken):
                said = ", ".join(sorted(spoken))
                yield errors.Violation(place, f"the {_described(target)} speaks {said}, which has no requests to route")


def _is_real(target: targetref.TargetRef, around: surroundings.Surroundings) -> bool:
    """Whether a targetRef can mean a stored resource alone; in most meshes a MeshService is a `kuma.io/service`, too."""
    if target.kind == "MeshService":
        return bool(target.labels or target.section_name) or is_exclusive(around)
    return target.kind in _REAL


def is_exclusive(around: surroundings.Surroundings) -> bool:
    """Whether the mesh has no destinations but MeshServices and their like."""
    services = around.mesh.spec.mesh_services if around.mesh is not None else None
    return services is not None and services.mode is mesh.MeshServicesMode.EXCLUSIVE


def _spoken(target: kri.Kri, around: surroundings.Surroundings) -> Iterator[str]:
    """The protocols of the ports of a destination, or of the one that is its section."""
    resource = around.find(target)
    if resource is not None and resource.kind.name in destinations.KINDS:
        ports = destinations.read(resource).ports
        yield from (each.protocol for each in ports if target.section in ("", each.kri.section))


def _described(target: targetref.TargetRef) -> str:
    if target.labels:
        wanted = ", ".join(f"{key}={target.labels[key]}" for key in sorted(target.labels))
        name = f"{target.kind} with the labels {wanted}"
    else:
        name = f"{target.kind} {gotext.quote(target.name)}"
    return f"{name} with a port {gotext.quote(target.section_name)}" if target.section_name else name
