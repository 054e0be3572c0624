"""MeshTCPRoute as the backends of an outbound's connections.

It is for destinations that speak no HTTP, and for others as long as no MeshHTTPRoute is about them. Source: Kuma's
documentation, "MeshTCPRoute".
"""

from typing import Any

from kuma.plan import nodes
from kuma.policies.meshtcproute import model
from kuma.policy_engine import routing
from kuma.policy_engine.merging import rules

ORDER = 200


class MeshTCPRoute(routing.Router):
    """Where connections to a destination go, by `to`."""

    kind = model.KIND
    order = ORDER

    def speaks_for(self, outbound: nodes.OutboundFacts) -> bool:
        """All outbounds."""
        return True

    def mentions(self, merged: rules.Merged[Any]) -> tuple[routing.Mention, ...]:
        """The backends of its only rule. The most important policy wrote them: each policy has to have some."""
        refs = merged.conf.default.backend_refs or ()
        return tuple(routing.mention(ref, merged.origins[-1]) for ref in refs)

    def routes(self, merged: rules.Merged[Any], outbound: nodes.OutboundFacts, found: routing.Found) -> routing.Routes:
        """One route with a split for each backend; connections that there is no backend for are closed."""
        refs = merged.conf.default.backend_refs
        splits = filter(None, map(routing.split_of, refs or (), found))
        if not refs:
            return routing.default_routes(outbound)
        return (nodes.RouteFacts(tuple(splits), origins=merged.origins[-1:]),)


POLICY = MeshTCPRoute()
