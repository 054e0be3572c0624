"""The order in which policies override each other: the later one has the last word.

Source: Kuma's documentation, "How policies are merged". The alphabetically first display name wins a tie.
"""

from collections.abc import Iterable
from typing import Any

from kuma.base import labels
from kuma.resources import resource as res

_KINDS = {
    "Mesh": 1,
    "Dataplane": 2,
    "MeshSubset": 3,
    "MeshGateway": 4,
    "MeshService": 5,
    "MeshExternalService": 6,
    "MeshMultiZoneService": 7,
    "MeshServiceSubset": 8,
    "MeshHTTPRoute": 9,
}
_ORIGINS = {labels.ORIGIN_GLOBAL: 0, labels.ORIGIN_ZONE: 2}
_ROLES = {"system": 0, "producer": 1, "consumer": 2, "workload-owner": 3}


class _Descending(str):
    """Text that sorts backwards."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def sort(policies: Iterable[res.Resource[Any]]) -> list[res.Resource[Any]]:
    """Policies from the least to the most important."""
    return sorted(policies, key=_rank)


def _rank(policy: res.Resource[Any]) -> tuple[int, int, int, int, _Descending]:
    target = policy.spec.target_ref
    kind = target.kind if target else "Mesh"
    detail = 0
    if kind == "Dataplane":
        detail = (2 if target.name else 0) + (1 if target.section_name else 0)
    its = policy.meta.labels
    return (
        _KINDS.get(kind, 0),
        detail,
        _ORIGINS.get(its.get(labels.ORIGIN, ""), 1),
        _ROLES.get(its.get(labels.POLICY_ROLE, "system"), 0),
        _Descending(policy.meta.display_name),
    )
