"""Which proxies a policy is about as a whole: by its top-level targetRef, or by the selectors of an old kind.

Views ask this for one policy and every proxy; nothing is merged and no conf is looked at. Source: Kuma's documentation,
"Introduction to policies" for targetRefs, "Tags and selectors" for old kinds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kuma.policy_engine.matching import places, selection, surroundings
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources import selectors

AnyResource = res.Resource[Any]
Proxy = places.Proxy
Surroundings = surroundings.Surroundings
gateway_of = places.gateway_of

_OF_CLIENTS = frozenset(
    {"CircuitBreaker", "HealthCheck", "RateLimit", "Retry", "Timeout", "TrafficLog", "TrafficRoute"}
)
"""Old kinds that change the configuration of those who call."""

_OF_SERVERS = frozenset({"FaultInjection", "RateLimit", "TrafficPermission"})
"""Old kinds that change the configuration of those who are called."""


def is_about(policy: AnyResource, subject: Proxy, around: Surroundings) -> bool:
    """Whether a policy of any kind, shadow or not, selects something of a proxy."""
    traits = policy.kind.policy
    if traits is not None and traits.target_ref:
        return bool(selection.selected(policy, places.places_of(subject, around.gateways), around))
    return _selects(policy, subject, around)


def _selects(policy: AnyResource, subject: Proxy, around: Surroundings) -> bool:
    """Whether the selectors of an old kind fit one of the proxy's tag sets."""
    spec = policy.spec
    carried = list(_own_tags(subject))
    if isinstance(spec, connections.Connections):
        sides = [spec.sources] if policy.kind.name in _OF_CLIENTS else []
        sides += [spec.destinations] if policy.kind.name in _OF_SERVERS else []
        return any(_fits(side, carried) for side in sides)
    if policy.kind.name == "MeshGatewayRoute":
        found = places.places_of(subject, around.gateways)
        return found.gateway is not None and _fits(spec.selectors, [each.tags for each in found.all])
    # A VirtualOutbound or TrafficTrace without selectors, or with an empty one, is about every proxy.
    return not spec.selectors or _fits(spec.selectors, carried)


def _own_tags(subject: Proxy) -> Iterator[Mapping[str, str]]:
    networking = subject.spec.networking
    if networking is None:
        return
    if networking.gateway is not None:
        yield networking.gateway.tags
    else:
        yield from (inbound.tags for inbound in networking.inbound)


def _fits(side: Sequence[selectors.Selector], carried: Sequence[Mapping[str, str]]) -> bool:
    return any(selectors.matches(each.match, tags) for each in side for tags in carried)
