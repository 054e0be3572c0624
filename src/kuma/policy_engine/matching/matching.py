"""What the policies of one kind say of one proxy: the engine's answer, from which the compiler edits nodes.

Pure; `matcher.Matcher` remembers answers. Source of the rules: Kuma's documentation, "Introduction to policies".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import labels
from kuma.plan import proxy
from kuma.policy_engine.matching import index, places, selection, surroundings
from kuma.policy_engine.merging import rules, subset_rules
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Surroundings = surroundings.Surroundings

SHADOW = "shadow"
"""The effect of a policy that is only looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What is said of every proxy that policies cannot tell from the one that was asked for; it knows no address.

    `inbounds` and `to` of gateway listeners go by the index of the place.
    """

    kind: str
    policies: tuple[AnyResource, ...]
    to: rules.ToRules
    inbounds: Mapping[int, rules.InboundRules]
    single: rules.Merged[Any] | None
    gateway: "GatewayAnswer | None"
    warnings: tuple[str, ...]

    def for_proxy(self, subject: places.Places) -> rules.ProxyRules:
        """The answer with the addresses of a proxy."""
        inbounds = {(subject.all[at].address, subject.all[at].port): found for at, found in self.inbounds.items()}
        gateway = rules.NO_GATEWAY if self.gateway is None else self.gateway.at(subject.all[0].address)
        return rules.ProxyRules(self.kind, self.policies, self.to, inbounds, self.single, gateway, self.warnings)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayAnswer:
    """What is said of the listeners of a builtin gateway, by port and by port and host name."""

    inbounds: Mapping[int, rules.InboundRules]
    by_listener: Mapping[int, rules.ToRules]
    by_hostname: Mapping[tuple[int, str], rules.ToRules]

    def at(self, address: str) -> rules.GatewayRules:
        """The rules of the gateway that listens there."""
        return rules.GatewayRules(
            {(address, port): found for port, found in self.inbounds.items()},
            {(address, port): found for port, found in self.by_listener.items()},
            {(address, port, hostname): found for (port, hostname), found in self.by_hostname.items()},
        )


def match(
    kind: kinds.Kind[Any],
    policies: Sequence[AnyResource],
    subject: proxy.ProxyFacts,
    around: Surroundings,
    with_shadow: bool = False,
) -> rules.ProxyRules:
    """What `policies`, all of `kind` in the proxy's mesh, say of one proxy."""
    return match_places(kind, policies, places.places_of(subject.resource, around.gateways), around, with_shadow)


def match_places(
    kind: kinds.Kind[Any],
    policies: Sequence[AnyResource],
    asked: places.Places,
    around: Surroundings,
    with_shadow: bool = False,
) -> rules.ProxyRules:
    """As `match`, of a proxy of which only the places are known."""
    return answer(index.PolicyIndex(kind, in_force(policies, with_shadow), around), asked).for_proxy(asked)


def in_force(policies: Sequence[AnyResource], with_shadow: bool = False) -> list[AnyResource]:
    """The policies that count: shadow policies only where they are asked for."""
    return [each for each in policies if with_shadow or each.meta.labels.get(labels.EFFECT) != SHADOW]


def selects(policy: AnyResource, subject: proxy.ProxyFacts, around: Surroundings) -> bool:
    """Whether a policy, a shadow or not, says anything to a proxy."""
    return bool(selection.selected(policy, places.places_of(subject.resource, around.gateways), around))


def answer(counting: index.PolicyIndex, asked: places.Places) -> Answer:
    """What the policies of an index say of a proxy and its like."""
    selected = counting.select(asked)
    positions = tuple(position for position, _ in selected)
    if all(len(chosen) == len(asked.all) for _, chosen in selected):
        by_place = dict.fromkeys(range(len(asked.all)), positions) if positions else {}
    else:
        by_place = {at: found for at in range(len(asked.all)) if (found := _about(selected, at))}
    inbounds = {} if asked.is_gateway else {at: counting.inbound_rules(found) for at, found in by_place.items()}
    return Answer(
        counting.kind.name,
        tuple(counting.policies[each].resource for each in positions),
        counting.to_rules(positions),
        inbounds,
        counting.single(positions),
        _gateway_answer(counting, asked, by_place) if asked.is_builtin and asked.all else None,
        counting.warnings(asked),
    )


def _about(selected: Sequence[tuple[int, selection.Selected]], place: int) -> index.Positions:
    return tuple(position for position, chosen in selected if place in chosen)


def _gateway_answer(
    counting: index.PolicyIndex, asked: places.Places, by_place: Mapping[int, index.Positions]
) -> GatewayAnswer:
    by_port: dict[int, set[int]] = {}
    by_hostname: dict[tuple[int, str], set[int]] = {}
    for at, found in by_place.items():
        place = asked.all[at]
        by_port.setdefault(place.port, set()).update(found)
        by_hostname.setdefault((place.port, place.hostname), set()).update(found)
    listeners = {port: tuple(sorted(found)) for port, found in by_port.items()}
    return GatewayAnswer(
        {port: counting.inbound_rules(found) for port, found in listeners.items()},
        {port: counting.to_rules(found) for port, found in listeners.items()},
        {at: counting.to_rules(tuple(sorted(found))) for at, found in by_hostname.items()},
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
        about = [position for position, each in enumerate(counting.policies) if _is_service(each.top, tags)]
        return counting.inbound_rules(tuple(about))
    items = [
        (subset_rules.subset_of(each.top), entry)
        for each in counting.policies
        if each.top.kind in subset_rules.TAGGED
        for _, entry in each.to
        if entry.target is not None and _is_service(entry.target, tags)
    ]
    return rules.InboundRules(counting.client_rules(items), on_proxy=bool(items))


def match_mesh_external_services(
    kind: kinds.Kind[Any], policies: Sequence[AnyResource], around: Surroundings
) -> rules.ToRules:
    """What a zone egress is told of MeshExternalServices: what any proxy of the mesh is, since it stands for them all."""
    counting = index.PolicyIndex(kind, in_force(policies), around)
    return counting.to_rules(tuple(range(len(counting.policies))))


def _is_service(target: targetref.TargetRef, tags: Mapping[str, str]) -> bool:
    """Whether a targetRef means an ExternalService with these tags."""
    if target.kind not in subset_rules.TAGGED:
        return False
    return selection.is_subset({tag.key: tag.value for tag in subset_rules.subset_of(target)}, tags)
