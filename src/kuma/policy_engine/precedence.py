"""The order in which policies and their entries override each other: the later one has the last word.

Source: Kuma's documentation, "How policies are merged". The alphabetically first display name wins a tie.
"""

from collections.abc import Iterable
from typing import Any

from kuma.base import labels
from kuma.resources import resource as res
from kuma.resources import targetref

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

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


Rank = tuple[int, int, int, int, int, int, int, _Descending]
"""Kind and detail of the top-level targetRef, origin, tags of a MeshGateway, role, kind and section of an entry, name."""


def sort(policies: Iterable[res.Resource[Any]]) -> list[res.Resource[Any]]:
    """Policies from the least to the most important."""
    return sorted(policies, key=rank)


def rank(policy: res.Resource[Any]) -> Rank:
    """The place of a policy as a whole."""
    target = policy.spec.target_ref or targetref.MESH
    tags = len(target.tags or ()) if target.kind == "MeshGateway" else 0
    return _rank(policy, target, tags, 0, 0)


def entry_rank(policy: res.Resource[Any], entry: targetref.TargetRef | None = None) -> Rank:
    """The place of one entry among those of all policies; `entry` is its targetRef where that counts (`to`)."""
    target = policy.spec.target_ref or targetref.MESH
    if entry is None:
        return _rank(policy, target, 0, 0, 0)
    has_section = 1 if entry.kind == "MeshService" and entry.section_name else 0
    return _rank(policy, target, 0, _KINDS.get(entry.kind, 0), has_section)


def _rank(
    policy: res.Resource[Any], target: targetref.TargetRef, tags: int, entry_kind: int, entry_section: int
) -> Rank:
    detail = 0
    if target.kind == "Dataplane":
        detail = (2 if target.name else 0) + (1 if target.section_name else 0)
    its = policy.meta.labels
    return (
        _KINDS.get(target.kind, 0),
        detail,
        _ORIGINS.get(its.get(labels.ORIGIN, ""), 1),
        tags,
        _ROLES.get(its.get(labels.POLICY_ROLE, "system"), 0),
        entry_kind,
        entry_section,
        _Descending(policy.meta.display_name),
    )
