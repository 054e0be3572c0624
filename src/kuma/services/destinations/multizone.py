"""Which MeshServices stand behind a MeshMultiZoneService. Pure.

Source: Kuma's documentation, "MeshMultiZoneService".
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import meshmultizoneservice as model
from kuma.resources.kinds import meshservice

CONDITION = "MeshServicesMatched"

Service = res.Resource[model.MeshMultiZoneService]


def matches(service: Service, other: res.Resource[Any]) -> bool:
    """Whether a MeshService of the same mesh is one of those behind."""
    return service.spec.selector.mesh_service.matches(other.meta.labels)


def with_matches(service: Service, candidates: Iterable[res.Resource[meshservice.MeshService]]) -> Service:
    """The MeshMultiZoneService with those of `candidates` that it selects, and whether there is any."""
    status = service.status
    known = status if isinstance(status, model.MeshMultiZoneServiceStatus) else model.MeshMultiZoneServiceStatus()
    found = sorted(
        (_matched(each) for each in candidates if matches(service, each)),
        key=lambda each: (each.name, each.namespace, each.zone),
    )
    others = tuple(each for each in known.conditions if each.type != CONDITION)
    own = msgspec.structs.replace(known, mesh_services=tuple(found), conditions=(*others, _condition(len(found))))
    return replace(service, status=own)


def _matched(service: res.Resource[meshservice.MeshService]) -> model.MatchedMeshService:
    kri = service.kri
    assert kri is not None
    return model.MatchedMeshService(name=kri.name, namespace=kri.namespace, zone=kri.zone, mesh=kri.mesh)


def _condition(count: int) -> conditions.Condition:
    if count:
        return conditions.Condition(CONDITION, conditions.TRUE, "MatchesFound", f"Matched {count} MeshService(s)")
    message = "Selector does not match any MeshService in this zone"
    return conditions.Condition(CONDITION, conditions.FALSE, "NoMatchesFound", message)
