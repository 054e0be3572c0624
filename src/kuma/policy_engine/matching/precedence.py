"""The order in which policies and their entries override each other: the later one has the last word.

Source: Kuma's documentation, "How policies are merged". The alphabetically first display name wins a tie; the entries
of one policy stand as they are written.
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

Rank = tuple[int, ...]
"""What decides before the name does; the greater one is the more important."""


def sort(policies: Iterable[res.Resource[Any]]) -> list[res.Resource[Any]]:
    """Policies from the least to the most important."""
    return sorted(sorted(policies, key=lambda each: each.meta.display_name, reverse=True), key=rank)


def rank(policy: res.Resource[Any]) -> Rank:
    """The rank of a policy as a whole: top-level targetRef, origin, tags that choose listeners of a gateway, role."""
    target = policy.spec.target_ref or targetref.MESH
    tags = len(target.tags or ()) if target.kind == "MeshGateway" else 0
    return (*_top_level(policy, target), tags, _role(policy))


def inbound_rank(policy: res.Resource[Any]) -> Rank:
    """The rank of the policy's entries about inbounds: top-level targetRef, origin, role."""
    return (*_top_level(policy, policy.spec.target_ref or targetref.MESH), _role(policy))


def outbound_rank(policy: res.Resource[Any], entry: targetref.TargetRef) -> Rank:
    """The rank of one entry of `to[]`: that of the policy, then what the entry itself is about."""
    has_section = 1 if entry.kind == "MeshService" and entry.section_name else 0
    return (*inbound_rank(policy), _KINDS.get(entry.kind, 0), has_section)


def _top_level(policy: res.Resource[Any], target: targetref.TargetRef) -> Rank:
    detail = 0
    if target.kind == "Dataplane":
        detail = (2 if target.name else 0) + (1 if target.section_name else 0)
    return _KINDS.get(target.kind, 0), detail, _ORIGINS.get(policy.meta.labels.get(labels.ORIGIN, ""), 1)


def _role(policy: res.Resource[Any]) -> int:
    return _ROLES.get(policy.meta.labels.get(labels.POLICY_ROLE, "system"), 0)
