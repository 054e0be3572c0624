"""What the policies of one kind say of one proxy: the engine's answer, from which the compiler edits nodes.

Pure; `matcher.Matcher` remembers answers. Source of the rules: Kuma's documentation, "Introduction to policies".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kuma.base import labels
from kuma.plan import proxy
from kuma.policy_engine import index, places, rules, selection, subset_rules, surroundings
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Surroundings = surroundings.Surroundings

SHADOW = "shadow"
"""The effect of a policy that is only looked at."""


def match(
    kind: kinds.Kind[Any],
    policies: Sequence[AnyResource],
    subject: proxy.ProxyFacts,
    around: Surroundings,
    with_shadow: bool = False,
) -> rules.ProxyRules:
    """What `policies`, all of `kind` in the proxy's mesh, say of one proxy."""
    counting = index.PolicyIndex(kind, in_force(policies, with_shadow), around)
    found = places.places_of(subject.resource, around.gateways)
    return proxy_rules(counting, found, counting.select(found))


def in_force(policies: Sequence[AnyResource], with_shadow: bool = False) -> list[AnyResource]:
    """The policies that count: shadow policies only where they are asked for."""
    return [each for each in policies if with_shadow or each.meta.labels.get(labels.EFFECT) != SHADOW]


def selects(policy: AnyResource, subject: proxy.ProxyFacts, around: Surroundings) -> bool:
    """Whether a policy, a shadow or not, says anything to a proxy."""
    return bool(selection.selected(policy, places.places_of(subject.resource, around.gateways), around))


def proxy_rules(
    counting: index.PolicyIndex, subject: places.Places, selected: Sequence[tuple[int, selection.Selected]]
) -> rules.ProxyRules:
    """The answer for a proxy, given the policies that are about its places."""
    by_place: dict[int, list[int]] = {}
    for position, several in selected:
        for each in several:
            by_place.setdefault(each, []).append(position)
    positions = tuple(position for position, _ in selected)
    return rules.ProxyRules(
        kind=counting.kind.name,
        policies=tuple(counting.policies[each].resource for each in positions),
        to=counting.to_rules(positions),
        inbounds={
            (subject.all[each].address, subject.all[each].port): counting.inbound_rules(tuple(found))
            for each, found in by_place.items()
            if subject.all[each].sort in (places.Sort.INBOUND, places.Sort.ZONE_PROXY)
        },
        single=counting.single(positions),
        gateway=_gateway_rules(counting, subject, by_place) if subject.is_builtin else rules.NO_GATEWAY,
        warnings=counting.warnings,
    )


def _gateway_rules(
    counting: index.PolicyIndex, subject: places.Places, by_place: dict[int, list[int]]
) -> rules.GatewayRules:
    by_listener: dict[rules.Listener, set[int]] = {}
    by_hostname: dict[tuple[str, int, str], set[int]] = {}
    for each, found in by_place.items():
        place = subject.all[each]
        by_listener.setdefault((place.address, place.port), set()).update(found)
        by_hostname.setdefault((place.address, place.port, place.hostname), set()).update(found)
    return rules.GatewayRules(
        inbounds={each: counting.inbound_rules(tuple(sorted(found))) for each, found in by_listener.items()},
        by_listener={each: counting.to_rules(tuple(sorted(found))) for each, found in by_listener.items()},
        by_hostname={each: counting.to_rules(tuple(sorted(found))) for each, found in by_hostname.items()},
    )


def match_external_service(
    kind: kinds.Kind[Any], policies: Sequence[AnyResource], tags: Mapping[str, str]
) -> rules.InboundRules:
    """What a zone egress is told of an ExternalService with these tags: rules by the tags of clients.

    The service takes the place of the proxy in top-level targetRefs of policies with `from`. Those with only `to` are
    turned round: an entry about the service holds for the clients that the policy selects.
    """
    counting = index.PolicyIndex(kind, in_force(policies), Surroundings())
    traits = kind.policy
    assert traits is not None
    if traits.has_from:
        about = [
            position
            for position, each in enumerate(counting.policies)
            if _is_service(each.resource.spec.target_ref or targetref.MESH, tags)
        ]
        return counting.inbound_rules(tuple(about))
    items = [
        (subset_rules.subset_of(clients), entry)
        for each in counting.policies
        if (clients := each.resource.spec.target_ref or targetref.MESH).kind in subset_rules.TAGGED
        for entry in each.to
        if entry.target is not None and _is_service(entry.target, tags)
    ]
    return rules.InboundRules(counting.client_rules(items), on_proxy=bool(items))


def _is_service(target: targetref.TargetRef, tags: Mapping[str, str]) -> bool:
    """Whether a targetRef means an ExternalService with these tags."""
    if target.kind not in subset_rules.TAGGED:
        return False
    return selection.is_subset({tag.key: tag.value for tag in subset_rules.subset_of(target)}, tags)
