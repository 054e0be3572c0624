"""Matching done once for all proxies that policies cannot tell apart.

Replicas carry the same tags and labels, so what policies say of their inbounds is the same value. A memo lives as
long as the set of policies it was made from.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from kuma.plan import nodes, proxy
from kuma.policy_engine import policy, selection
from kuma.resources import resource as res

LARGEST_TABLE = 4096
"""Matches that one table keeps. Proxies with labels of their own would fill it without end as they come and go."""


class MatchMemo:
    """Matches of inbounds, one table for each mesh and kind, replaced when the policies of that kind change."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], tuple[Sequence[res.Resource[Any]], dict[Hashable, policy.InboundMatch]]]
        self._tables = {}

    def match(
        self,
        one: policy.Policy,
        policies: tuple[res.Resource[Any], ...],
        subject: proxy.ProxyFacts,
        inbound: nodes.InboundFacts,
    ) -> policy.InboundMatch:
        """What `one` says of an inbound, given all policies of its kind in the mesh."""
        if not policies:
            return policy.NOTHING
        place = (subject.resource.meta.mesh, one.kind.name)
        held = self._tables.get(place)
        if held is None or held[0] is not policies:
            held = self._tables[place] = (policies, {})
        signature = _signature(policies, subject, inbound)
        found = held[1].get(signature)
        if found is None:
            found = one.match_inbound(policies, subject, inbound)
            if len(held[1]) >= LARGEST_TABLE:
                del held[1][next(iter(held[1]))]  # the oldest
            held[1][signature] = found
        return found


def _signature(
    policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
) -> Hashable:
    """Everything of a proxy that policies can select by."""
    networking = subject.spec.networking
    meta = subject.resource.meta
    picks_names = any(getattr(each.spec, "target_ref", None) and selection.is_by_name(each) for each in policies)
    return (
        inbound.tags,
        inbound.section,
        inbound.port,
        tuple(sorted(meta.labels.items())),
        tuple(tuple(sorted(each.tags.items())) for each in networking.inbound) if networking else (),
        meta.name if picks_names else "",
    )
