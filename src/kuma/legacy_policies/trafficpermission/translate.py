"""TrafficPermission as a network RBAC filter, decided before any byte of a request is read.

One permission is selected per inbound. Where the proxy is covered by some permission, an inbound without one of its
own admits nobody (Kuma's documentation, "Traffic Permissions").
"""

from collections.abc import Mapping
from typing import Any

from kuma.envoy import api, names, rbac
from kuma.legacy_policies.trafficpermission import model
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy
from kuma.policy_engine.matching import sources
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res

ORDER = 50


class TrafficPermission(policy.LegacyPolicy):
    """The source/destination permission; MeshTrafficPermission edits later and replaces what it decides itself."""

    kind = model.KIND
    order = ORDER
    at_egress = ("inbound",)

    def select(self, policies: tuple[res.Resource[Any], ...], subject: proxy.ProxyFacts) -> rules.ProxyRules:
        """The selected permission of each inbound as its one rule."""
        networking = subject.spec.networking
        found: dict[rules.Listener, rules.InboundRules] = {}
        selected: dict[res.Key, res.Resource[Any]] = {}
        if networking is None:
            return super().select(policies, subject)
        for inbound in networking.inbound:
            best = sources.best_by_destination(policies, inbound.tags)
            if best is not None:
                found[inbound.address or networking.address, inbound.port] = _only(best)
                selected[best.key] = best
        return rules.ProxyRules(self.kind.name, tuple(selected.values()), rules.NO_DESTINATIONS, found)

    def said_of_outside(self, policies: tuple[res.Resource[Any], ...], tags: Mapping[str, str]) -> rules.InboundRules:
        """The permission whose destinations fit an ExternalService best."""
        best = sources.best_by_destination(policies, tags)
        return _only(best) if best is not None else rules.NOTHING

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """Puts the filter in front of every chain with mutual TLS."""
        if not found.on_proxy:
            return
        for chain in node.listener.chains:
            if chain.tls is None:
                continue
            message = api.NetworkRbac(stat_prefix=names.sanitize_stat(node.listener.name) + ".")
            message.rules.CopyFrom(rbac.rules({rule.origin.name: _clients(rule, context) for rule in found.rules}))
            chain.filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.NETWORK, message))
        nodes.add_authors(node.listener, found.origins)


POLICY = TrafficPermission()


def _only(selected: res.Resource[Any]) -> rules.InboundRules:
    author = res.ref_to(selected)
    rule = rules.InboundRule(None, rules.Merged(selected.spec, (author,)), author)
    return rules.InboundRules(rules=(rule,), on_proxy=True)


def _clients(rule: rules.InboundRule, context: policy.Context) -> list[api.Message]:
    return [rbac.principal(context.mesh, sorted(source.match.items())) for source in rule.conf.sources]
