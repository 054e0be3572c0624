"""Endpoints in the order in which a client tries them: its own zone first, those like itself within it, then others.

An Envoy locality is a zone and, for preferred endpoints, `key=value` of the tag that they share with the client. Shares
of traffic are weights of localities; zones that only help out have a greater priority number. Source: Kuma's
documentation, "Locality-aware load balancing"; Envoy's documentation, "Priority levels".
"""

import base64
import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from kuma.envoy import api
from kuma.plan import proxy
from kuma.policies.meshloadbalancingstrategy import model
from kuma.policy_engine import policy

OVERPROVISIONING = 200
"""Percent: another zone helps out when less than half of the own one is healthy (Envoy's own default is 140)."""

_LARGEST_POWER = 8
"""Weights, and their sum, have 32 bits."""

_LABELS = "io.kuma.labels"
_TAGS = "envoy.lb"

Values = tuple[tuple[str, str], ...]
"""Tags and the client's value of each, in the order of tags."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of zones. `is_real`: of a MeshService or its like, not of a `kuma.io/service`."""

    awareness: model.LocalityAwareness | None
    is_real: bool = True


@dataclass(frozen=True, slots=True)
class _Locality:
    """Where an endpoint goes. `weight` is the locality's share, 0: it has none of its own."""

    zone: str
    sub_zone: str = ""
    priority: int = 0
    weight: int = 0


def affinity_tags(awareness: model.LocalityAwareness | None) -> Sequence[model.AffinityTag]:
    """The tags by which endpoints of the own zone are preferred."""
    if awareness is None or awareness.local_zone is None:
        return ()
    return awareness.local_zone.affinity_tags or ()


def is_weighted(awareness: model.LocalityAwareness | None) -> bool:
    """Whether localities have shares of the traffic."""
    return bool(affinity_tags(awareness))


def values_of(keys: Iterable[str], subject: proxy.ProxyFacts) -> Hashable:
    """The value that a proxy has of each tag, or label of the same name; None where no tag is asked for."""
    networking = subject.spec.networking
    carriers = [each.tags for each in networking.inbound] if networking is not None else []
    if networking is not None and networking.gateway is not None:
        carriers.append(networking.gateway.tags)
    found: dict[str, str] = {}
    for key in keys:
        values = sorted(tags[key] for tags in carriers if key in tags)
        value = values[0] if values else subject.resource.meta.labels.get(key)
        if value is not None:
            found[key] = value
    return tuple(sorted(found.items())) or None


def arrange(message: api.Message, wanted: Wanted | None, context: policy.Context) -> None:
    """Puts the endpoints of a ClusterLoadAssignment in order."""
    if wanted is None:
        return
    awareness = wanted.awareness
    for group in message.endpoints:
        if group.HasField("locality") and group.locality.zone != context.zone:
            group.priority = int(awareness is None or not awareness.disabled)
    if awareness is None or (awareness.local_zone is None and awareness.cross_zone is None):
        return
    through = _egress(awareness, context.zone) if context.egress and not wanted.is_real else None
    placed: dict[_Locality, list[api.Message]] = {}
    for zone, endpoint in _endpoints(message):
        if zone == context.zone:
            place: _Locality | None = _near(awareness, endpoint, context)
        else:
            place = through or _far(awareness, zone, context.zone)
        if place is not None:
            placed.setdefault(place, []).append(endpoint)
    _fill(message, placed)
    message.policy.overprovisioning_factor.value = _overprovisioning(awareness)


def _endpoints(message: api.Message) -> Iterator[tuple[str, api.Message]]:
    """Every endpoint with its zone."""
    for group in message.endpoints:
        for each in group.lb_endpoints:
            yield group.locality.zone, each


def _near(awareness: model.LocalityAwareness, endpoint: api.Message, context: policy.Context) -> _Locality:
    """Of an endpoint in the client's zone: the first tag whose value both have decides."""
    tags = affinity_tags(awareness)
    own = dict(context.own) if isinstance(context.own, tuple) else {}
    for at, tag in enumerate(tags):
        if tag.key in own and _value(endpoint, tag.key) == own[tag.key]:
            # Unless it is said, nine tenths go to the first, nine tenths of the rest to the next, and so on.
            weight = 9 * 10 ** min(len(tags) - at - 1, _LARGEST_POWER) if tag.weight is None else tag.weight
            return _Locality(context.zone, f"{tag.key}={own[tag.key]}", weight=weight)
    return _Locality(context.zone, weight=1)


def _value(endpoint: api.Message, key: str) -> str | None:
    """An endpoint's tag, or else its label of the same name."""
    metadata = endpoint.metadata.filter_metadata
    for each in (_TAGS, _LABELS):
        if each in metadata and key in metadata[each]:
            return str(metadata[each][key])
    return None


def _applying(awareness: model.LocalityAwareness, own: str) -> Iterator[tuple[int, model.FailoverTo]]:
    """The rules about clients of a zone, with the priority that each gives."""
    rules = awareness.cross_zone.failover if awareness.cross_zone is not None else ()
    for at, rule in enumerate(rules or (), start=1):
        if rule.from_ is None or own in rule.from_.zones:
            yield at, rule.to


def _far(awareness: model.LocalityAwareness, zone: str, own: str) -> _Locality | None:
    """Of an endpoint in another zone: the first rule that lets this zone help out decides, without one it cannot."""
    for priority, to in _applying(awareness, own):
        zones = to.zones or ()
        if (
            to.type == "Any"
            or ((to.type == "Only") and zone in zones)
            or (to.type == "AnyExcept" and zone not in zones)
        ):
            return _Locality(zone, priority=priority)
    return None


def _egress(awareness: model.LocalityAwareness, own: str) -> _Locality:
    """All that is reached through an egress, whose own policy picks the zone; its name tells rules apart."""
    parts = []
    for priority, to in _applying(awareness, own):
        zones = ",".join(sorted(set(to.zones or ())))
        if to.type == "Only":
            parts.append(f"{priority}:{zones};")
        elif to.type == "Any":
            parts.append(f"{priority}:Any;")
        elif to.type == "AnyExcept":
            parts.append(f"{priority}:AnyExcept:{zones};")
    digest = base64.b64encode(hashlib.sha256("".join(parts).encode()).digest()).decode()
    return _Locality(f"egress_{digest[:8]}", priority=1)


def _fill(message: api.Message, placed: dict[_Locality, list[api.Message]]) -> None:
    """Writes the groups anew, by zone."""
    made = []
    for place in sorted(placed, key=lambda each: (each.zone, each.sub_zone, each.priority)):
        group = api.LocalityLbEndpoints(priority=place.priority, lb_endpoints=placed[place])
        group.locality.zone, group.locality.sub_zone = place.zone, place.sub_zone
        if place.weight:
            group.load_balancing_weight.value = place.weight
        for each in group.lb_endpoints:
            each.metadata.filter_metadata.pop(_LABELS, None)
        made.append(group)
    del message.endpoints[:]
    message.endpoints.extend(made)


def _overprovisioning(awareness: model.LocalityAwareness) -> int:
    """Percent; the threshold is the share of healthy endpoints below which others help out."""
    threshold = awareness.cross_zone.failover_threshold if awareness.cross_zone is not None else None
    percentage = Decimal(threshold.percentage) if threshold is not None else Decimal(0)
    return int(100 / percentage) * 100 if percentage else OVERPROVISIONING
