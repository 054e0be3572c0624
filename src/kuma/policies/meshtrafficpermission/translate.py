"""MeshTrafficPermission as Envoy's RBAC filters, in front of everything else on chains that verify the client.

HTTP chains get `envoy.filters.http.rbac` so that a refusal is a 403 the caller can read; other chains get the network
filter. Without any permission everybody is refused (Kuma's documentation, "MeshTrafficPermission").
"""

from collections.abc import Sequence
from typing import Any

from kuma.envoy import api, names, rbac
from kuma.plan import nodes, proxy
from kuma.policies.meshtrafficpermission import model
from kuma.policy_engine import inbound as inbounds
from kuma.policy_engine import policy
from kuma.resources import resource as res

ORDER = 1100


class MeshTrafficPermission(policy.Policy):
    """Both forms of the policy: `from` (tags of clients) and `rules` (their SPIFFE IDs)."""

    kind = model.KIND
    order = ORDER

    def match_inbound(
        self, policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
    ) -> policy.InboundMatch:
        """The shared matching of targetRef policies."""
        return inbounds.match(policies, subject, inbound)

    def inbound(self, match: policy.InboundMatch, node: nodes.InboundNode, context: policy.Context) -> None:
        """Puts RBAC in front of every chain with mutual TLS; a TrafficPermission's stays where we say nothing."""
        secured = [chain for chain in node.listener.chains if chain.tls is not None]
        if not secured:
            return
        if match.is_empty and any(_has_rbac(chain) for chain in secured):
            return
        for chain in secured:
            chain.filters[:] = [each for each in chain.filters if each.name != rbac.NETWORK]
            if chain.http is not None:
                message = _filled(api.HttpRbac(), match, context)
                chain.http_filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.HTTP, message))
            else:
                message = _filled(api.NetworkRbac(), match, context)
                message.stat_prefix = names.sanitize_stat(node.listener.name) + "."
                chain.filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.NETWORK, message))
        nodes.add_authors(node.listener, match.origins)


POLICY = MeshTrafficPermission()


def _has_rbac(chain: nodes.ChainNode) -> bool:
    return any(each.name == rbac.NETWORK for each in chain.filters)


def _filled(message: api.Message, match: policy.InboundMatch, context: policy.Context) -> api.Message:
    if match.rules:
        message.matcher.CopyFrom(rbac.matcher(_entries(match.rules), context.several_sans))
        shadows = _shadow_entries(match.rules)
        if shadows:
            message.shadow_matcher.CopyFrom(rbac.matcher(shadows, context.several_sans))
        return message
    permitted, shadowed = _principals(match.clients, context.mesh)
    message.rules.CopyFrom(rbac.rules({"MeshTrafficPermission": permitted} if permitted else {}))
    if shadowed:
        message.shadow_rules.CopyFrom(rbac.rules({"MeshTrafficPermission": shadowed}, api.DENY))
    return message


def _principals(clients: Sequence[policy.ClientRule[Any]], mesh: str) -> tuple[list[api.Message], list[api.Message]]:
    """Clients that may pass, and those of them that a shadow rule would refuse.

    Rules are first-match, RBAC policies are not: a client that an earlier rule refuses is taken out of the later
    ones it also fits.
    """
    permitted, shadowed, denied = [], [], []
    for rule in clients:
        action = rule.conf.action
        if action == model.Action.DENY:
            denied.append(rule.tests)
            continue
        who = _without(rbac.principal(mesh, rule.tests), rule.tests, denied, mesh)
        permitted.append(who)
        if action == model.Action.ALLOW_WITH_SHADOW_DENY:
            shadowed.append(who)
    return permitted, shadowed


def _without(
    who: api.Message,
    tests: tuple[rbac.TagTest, ...],
    denied: Sequence[tuple[rbac.TagTest, ...]],
    mesh: str,
) -> api.Message:
    overlapping = [other for other in denied if not _are_apart(tests, other)]
    if not overlapping:
        return who
    out = api.Principal()
    out.and_ids.ids.append(who)
    for other in overlapping:
        out.and_ids.ids.add().not_id.CopyFrom(rbac.principal(mesh, other))
    return out


def _are_apart(one: tuple[rbac.TagTest, ...], other: tuple[rbac.TagTest, ...]) -> bool:
    """Whether no client passes both: one of them asks for what the other excludes, or for another value."""
    for a in one:
        for b in other:
            if a.key != b.key:
                continue
            if a.negated != b.negated and a.value == b.value:
                return True
            if not a.negated and not b.negated and a.value != b.value:
                return True
    return False


def _entries(rules: Sequence[policy.InboundRule[Any]]) -> list[rbac.Entry]:
    """All refusals of all policies first, then all permissions; each entry is named after its policy."""
    out = []
    for rule in rules:
        if rule.conf.deny:
            out.append(rbac.Entry(_tests(rule.conf.deny), rule.origin.kri, allow=False))
    for rule in rules:
        for matches in (rule.conf.allow, rule.conf.allow_with_shadow_deny):
            if matches:
                out.append(rbac.Entry(_tests(matches), rule.origin.kri, allow=True))
    return out


def _shadow_entries(rules: Sequence[policy.InboundRule[Any]]) -> list[rbac.Entry]:
    return [
        rbac.Entry(_tests(rule.conf.allow_with_shadow_deny), rule.origin.kri, allow=False)
        for rule in rules
        if rule.conf.allow_with_shadow_deny
    ]


def _tests(matches: Sequence[Any]) -> tuple[rbac.ClientTest, ...]:
    out = []
    for match in matches:
        spiffe = match.spiffe_id
        is_prefix = spiffe is not None and str(getattr(spiffe.type, "value", spiffe.type)) == "Prefix"
        out.append(
            rbac.ClientTest(
                spiffe_exact=spiffe.value if spiffe is not None and not is_prefix else "",
                spiffe_prefix=spiffe.value if spiffe is not None and is_prefix else "",
                sni=match.sni.value if match.sni is not None else "",
            )
        )
    return tuple(out)
