"""MeshTrafficPermission as Envoy's RBAC filters, in front of everything else on chains that verify the client.

HTTP chains get `envoy.filters.http.rbac` so that a refusal is a 403 the caller can read; other chains get the network
filter. Without any permission everybody is refused, and a proxy with a MeshIdentity hears of SPIFFE IDs alone (Kuma's
documentation, "MeshTrafficPermission").
"""

from collections.abc import Sequence

from kuma.base import labels
from kuma.envoy import api, names, rbac
from kuma.plan import nodes
from kuma.policies.meshtrafficpermission import model
from kuma.policy_engine import clients, policy
from kuma.policy_engine.merging import rules
from kuma.resources import targetref

ORDER = 1100


class MeshTrafficPermission(policy.Policy):
    """Both forms of the policy: `from` (tags of clients) and `rules` (their SPIFFE IDs)."""

    kind = model.KIND
    order = ORDER
    at_egress = ("inbound",)

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """Puts RBAC in front of every chain with mutual TLS; a TrafficPermission's stays where we say nothing."""
        secured = [chain for chain in node.listener.chains if chain.tls is not None]
        if not secured:
            return
        if found.is_empty and any(_has_rbac(chain) for chain in secured):
            return
        for chain in secured:
            chain.filters[:] = [each for each in chain.filters if each.name != rbac.NETWORK]
            if chain.http is not None:
                message = _filled(api.HttpRbac(), found, context)
                chain.http_filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.HTTP, message))
            else:
                message = _filled(api.NetworkRbac(), found, context)
                message.stat_prefix = names.sanitize_stat(node.listener.name) + "."
                chain.filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.NETWORK, message))
        nodes.add_authors(node.listener, found.origins)


POLICY = MeshTrafficPermission()


def _has_rbac(chain: nodes.ChainNode) -> bool:
    return any(each.name == rbac.NETWORK for each in chain.filters)


def _filled(message: api.Message, found: rules.InboundRules, context: policy.Context) -> api.Message:
    if found.rules or context.identified:
        message.matcher.CopyFrom(rbac.matcher(_entries(found.rules, context.mesh)))
        shadows = _shadow_entries(found.rules, context.mesh)
        if shadows:
            message.shadow_matcher.CopyFrom(rbac.matcher(shadows))
        return message
    permitted, shadowed = _principals(found.clients, context.mesh)
    message.rules.CopyFrom(rbac.rules({"MeshTrafficPermission": permitted} if permitted else {}))
    if shadowed:
        message.shadow_rules.CopyFrom(rbac.rules({"MeshTrafficPermission": shadowed}, api.DENY))
    return message


def _principals(said: Sequence[rules.SubsetRule], mesh: str) -> tuple[list[api.Message], list[api.Message]]:
    """Clients that may pass, and those of them that a shadow rule would refuse.

    The first rule that fits a client decides. RBAC tries all its principals, so each permission leaves out the
    clients that an earlier refusal fits; a rule that an earlier one covers says nothing and is dropped.
    """
    permitted, shadowed = [], []
    for at, rule in enumerate(said):
        action = rule.merged.conf.action
        earlier = said[:at]
        if action == model.Action.DENY or any(set(each.subset) <= set(rule.subset) for each in earlier):
            continue
        refusals = [
            each.subset
            for each in earlier
            if each.merged.conf.action == model.Action.DENY and not _are_apart(each.subset, rule.subset)
        ]
        who = _without(rule.subset, refusals, mesh)
        permitted.append(who)
        if action == model.Action.ALLOW_WITH_SHADOW_DENY:
            shadowed.append(who)
    return permitted, shadowed


def _without(subset: rules.Subset, refusals: Sequence[rules.Subset], mesh: str) -> api.Message:
    """Clients of a subset that none of the refusals fits."""
    ids = [_principal(mesh, (tag,)) for tag in subset]
    for refused in refusals:
        negation = api.Principal()
        negation.not_id.CopyFrom(_principal(mesh, refused))
        ids.append(negation)
    return ids[0] if len(ids) == 1 else _all_of(ids)


def _principal(mesh: str, subset: rules.Subset) -> api.Message:
    ids = []
    for tag in subset:
        one = rbac.principal(mesh, [(tag.key, tag.value)])
        if tag.negated:
            negation = api.Principal()
            negation.not_id.CopyFrom(one)
            one = negation
        ids.append(one)
    return ids[0] if len(ids) == 1 else _all_of(ids)


def _all_of(ids: Sequence[api.Message]) -> api.Message:
    """Clients that fit all of several principals; anybody for none."""
    out = api.Principal()
    if ids:
        out.and_ids.ids.extend(ids)
    else:
        out.any = True
    return out


def _are_apart(one: rules.Subset, other: rules.Subset) -> bool:
    """Whether no client of one service fits both: they ask for different services, or one rules out what the other asks."""
    service = [tag.value for tag in one if tag.key == labels.SERVICE_TAG and not tag.negated]
    its = [tag.value for tag in other if tag.key == labels.SERVICE_TAG and not tag.negated]
    contradicted = any(tag._replace(negated=not tag.negated) in other for tag in one)
    return contradicted or bool(service and its and service != its)


def _entries(said: Sequence[rules.InboundRule], mesh: str) -> list[rbac.Entry]:
    """All refusals of all policies first, then all permissions; each entry is named after its policy."""
    out = []
    by_merit = tuple(reversed(said))
    for rule in by_merit:
        if rule.conf.deny:
            out.append(_entry(rule, rule.conf.deny, mesh, allow=False))
    for rule in by_merit:
        permitted = (*rule.conf.allow, *rule.conf.allow_with_shadow_deny)
        if permitted:
            out.append(_entry(rule, permitted, mesh, allow=True))
    return out


def _shadow_entries(said: Sequence[rules.InboundRule], mesh: str) -> list[rbac.Entry]:
    return [
        _entry(rule, rule.conf.allow_with_shadow_deny, mesh, allow=False)
        for rule in reversed(said)
        if rule.conf.allow_with_shadow_deny
    ]


def _entry(rule: rules.InboundRule, matches: Sequence[targetref.Match], mesh: str, *, allow: bool) -> rbac.Entry:
    return rbac.Entry(clients.any_of([clients.predicate(each, mesh) for each in matches]), rule.origin.kri, allow)
