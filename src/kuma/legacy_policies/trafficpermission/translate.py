"""TrafficPermission as a network RBAC filter, decided before any byte of a request is read.

One permission is selected per inbound. Where the proxy is covered by some permission, an inbound without one of its
own admits nobody (Kuma's documentation, "Traffic Permissions").
"""

from collections.abc import Sequence
from typing import Any

from kuma.envoy import api, names, rbac
from kuma.legacy_policies.trafficpermission import model
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy, sources
from kuma.resources import resource as res

ORDER = 50


class TrafficPermission(policy.Policy):
    """The source/destination permission; MeshTrafficPermission edits later and replaces what it decides itself."""

    kind = model.KIND
    order = ORDER

    def match_inbound(
        self, policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
    ) -> policy.InboundMatch:
        """The selected permission as one rule; `on_proxy` if any inbound of the proxy has one."""
        if not policies:
            return policy.NOTHING
        best = sources.best_by_destination(policies, dict(inbound.tags))
        if best is not None:
            return policy.InboundMatch(rules=(policy.InboundRule(best.spec, res.ref_to(best)),), on_proxy=True)
        networking = subject.spec.networking
        others = networking.inbound if networking else ()
        covered = any(sources.best_by_destination(policies, each.tags) is not None for each in others)
        return policy.InboundMatch(on_proxy=covered)

    def inbound(self, match: policy.InboundMatch, node: nodes.InboundNode, context: policy.Context) -> None:
        """Puts the filter in front of every chain with mutual TLS."""
        if not match.on_proxy:
            return
        for chain in node.listener.chains:
            if chain.tls is None:
                continue
            message = api.NetworkRbac(stat_prefix=names.sanitize_stat(node.listener.name) + ".")
            message.rules.CopyFrom(rbac.rules({rule.origin.name: _clients(rule, context) for rule in match.rules}))
            chain.filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.NETWORK, message))
        nodes.add_authors(node.listener, match.origins)


POLICY = TrafficPermission()


def _clients(rule: policy.InboundRule[Any], context: policy.Context) -> list[api.Message]:
    return [rbac.principal(context.mesh, sorted(source.match.items())) for source in rule.conf.sources]
