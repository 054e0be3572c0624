"""MeshTrafficPermission as Envoy's RBAC filters, in front of everything else on chains that verify the client.

HTTP chains get `envoy.filters.http.rbac` so that a refusal is a 403 the caller can read; other chains get the network
filter. Without any permission everybody is refused (Kuma's documentation, "MeshTrafficPermission").
"""

from collections.abc import Sequence
from typing import Any

from kuma.base import labels
from kuma.envoy import api, names, rbac
from kuma.plan import nodes, proxy
from kuma.policies.meshtrafficpermission import model
from kuma.policy_engine import inbound as inbounds
from kuma.policy_engine import policy
from kuma.resources import resource as res

ORDER = 1100
Tags = tuple[tuple[str, str], ...]


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


def _principals(entries: Sequence[policy.ClientEntry[Any]], mesh: str) -> tuple[list[api.Message], list[api.Message]]:
    """Clients that may pass, and those of them that a shadow rule would refuse.

    The last entry that fits a client decides. RBAC tries all its principals, so each permission leaves out the
    clients that a later refusal fits; one that a later entry covers says nothing and is dropped.
    """
    permitted, shadowed = [], []
    later: list[policy.ClientEntry[Any]] = []
    for entry in reversed(entries):
        covered = any(set(each.tags) <= set(entry.tags) for each in later)
        later.append(entry)
        action = entry.conf.action
        if covered or action == model.Action.DENY:
            continue
        refusals = [
            each.tags for each in later if each.conf.action == model.Action.DENY and not _are_apart(each, entry)
        ]
        who = _without(entry.tags, refusals, mesh)
        permitted.append(who)
        if action == model.Action.ALLOW_WITH_SHADOW_DENY:
            shadowed.append(who)
    return permitted, shadowed


def _without(tags: Tags, refusals: Sequence[Tags], mesh: str) -> api.Message:
    """Clients with `tags` that none of the refusals fits."""
    negations = []
    for refused in refusals:
        negation = api.Principal()
        negation.not_id.CopyFrom(rbac.principal(mesh, refused))
        negations.append(negation)
    if not tags and len(negations) == 1:
        return negations[0]
    if not negations:
        return rbac.principal(mesh, tags)
    out = api.Principal()
    out.and_ids.ids.extend(negations if not tags else [rbac.principal(mesh, tags), *negations])
    return out


def _are_apart(one: policy.ClientEntry[Any], other: policy.ClientEntry[Any]) -> bool:
    """Whether no client of one service fits both, because they ask for different services."""
    service, its = dict(one.tags).get(labels.SERVICE_TAG), dict(other.tags).get(labels.SERVICE_TAG)
    return bool(service and its and service != its)


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
