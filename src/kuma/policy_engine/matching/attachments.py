"""Where the policies of a sidecar take hold: the whole proxy, an inbound, an outbound, a service it calls.

The view of older clients; nothing is merged and no conf is looked at. Source: Kuma's documentation, "Inspect API", and
for which old policy wins "How Kuma chooses the right policy to apply".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kuma.base import labels
from kuma.policy_engine.matching import precedence, reach
from kuma.resources import resource as res
from kuma.resources import selectors
from kuma.resources.kinds import dataplane

AnyResource = res.Resource[Any]
Tags = Mapping[str, str]

_WHOLE = ("ProxyTemplate", "TrafficTrace")
_INBOUND_ONE = ("TrafficPermission",)
_INBOUND_ALL = ("FaultInjection", "RateLimit")
_OUTBOUND = ("Timeout", "TrafficRoute")
_SERVICE = ("CircuitBreaker", "HealthCheck", "Retry", "TrafficLog")
"""Old kinds by the place where they take hold; of most the best one does, of those of an inbound's callers all do."""

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A place in a proxy. `type` is `dataplane`, `inbound`, `outbound` or `service`; a whole proxy has no name."""

    type: str
    name: str = ""
    service: str = ""


Attached = Mapping[str, Sequence[AnyResource]]
"""Policies by kind; the later one has the last word."""


def attached(
    subject: reach.Proxy, policies: Iterable[AnyResource], around: reach.Surroundings
) -> Iterator[tuple[Attachment, Attached]]:
    """Each place of a sidecar where a policy takes hold, with its policies, the whole proxy first."""
    by_kind: dict[str, list[AnyResource]] = {}
    for each in sorted(policies, key=lambda policy: policy.key):
        by_kind.setdefault(each.kind.name, []).append(each)
    networking = subject.spec.networking
    if networking is None:
        return
    places: list[tuple[Attachment, dict[str, list[AnyResource]]]] = [
        (Attachment("dataplane"), _of_whole(subject, by_kind, around))
    ]
    places += [_of_inbound(networking, inbound, by_kind) for inbound in networking.inbound]
    own = list(_own_tags(networking))
    services: set[str] = set()
    for outbound in networking.outbound:
        service = outbound.tags.get(labels.SERVICE_TAG, "")
        if service:
            services.add(service)
            where = Attachment("outbound", f"{outbound.address or _LOOPBACK}:{outbound.port}", service)
            places.append((where, _of_call(_OUTBOUND, by_kind, own, service)))
    for service in sorted(services):
        places.append((Attachment("service", service, service), _of_call(_SERVICE, by_kind, own, service)))
    for where, found in places:
        kept = {kind: found[kind] for kind in sorted(found) if found[kind]}
        if kept:
            yield where, kept


def _of_whole(
    subject: reach.Proxy, by_kind: Mapping[str, list[AnyResource]], around: reach.Surroundings
) -> dict[str, list[AnyResource]]:
    found: dict[str, list[AnyResource]] = {}
    for kind, policies in by_kind.items():
        traits = policies[0].kind.policy
        if traits is not None and traits.target_ref:
            in_force = [each for each in policies if each.meta.labels.get(labels.EFFECT) != "shadow"]
            found[kind] = precedence.sort(each for each in in_force if reach.is_about(each, subject, around))
        elif kind in _WHOLE:
            fitting = [each for each in policies if reach.is_about(each, subject, around)]
            own = list(_own_tags(subject.spec.networking))
            found[kind] = _best((each, [_matching(each.spec.selectors, own) or [{}]]) for each in fitting)
    return found


def _of_inbound(
    networking: dataplane.Networking, inbound: dataplane.Inbound, by_kind: Mapping[str, list[AnyResource]]
) -> tuple[Attachment, dict[str, list[AnyResource]]]:
    address = inbound.address or networking.address
    name = f"{address}:{inbound.port}:{inbound.service_port or inbound.port}"
    where = Attachment("inbound", name, inbound.tags.get(labels.SERVICE_TAG, ""))
    found: dict[str, list[AnyResource]] = {}
    for kind in (*_INBOUND_ONE, *_INBOUND_ALL):
        matching = [(each, _matching(each.spec.destinations, [inbound.tags])) for each in by_kind.get(kind, ())]
        if kind in _INBOUND_ALL:
            fitting = [each for each, matched in matching if matched]
            found[kind] = sorted(fitting, key=_merit_of_sources, reverse=True)
        else:
            found[kind] = _best((each, [matched]) for each, matched in matching)
    return where, found


def _of_call(
    kinds: Iterable[str], by_kind: Mapping[str, list[AnyResource]], own: Sequence[Tags], service: str
) -> dict[str, list[AnyResource]]:
    """The policy of each kind that is best for calls of this proxy to that service, whatever subset of it is called."""
    called = {labels.SERVICE_TAG: service}
    return {
        kind: _best(
            (each, [_matching(each.spec.sources, own), _matching(each.spec.destinations, [called])])
            for each in by_kind.get(kind, ())
        )
        for kind in kinds
    }


def _merit_of_sources(policy: AnyResource) -> tuple[selectors.Rank, datetime]:
    """What decides the place of a policy of which several hold: its first source, then its age."""
    sources = policy.spec.sources
    return selectors.rank(sources[0].match) if sources else selectors.Rank(), policy.meta.creation_time


def _best(candidates: Iterable[tuple[AnyResource, Sequence[Sequence[Tags]]]]) -> list[AnyResource]:
    """The most specific policy, the newest on equality, else the first, of those with something that matches on each side."""
    best: tuple[selectors.Rank, Any] | None = None
    found: list[AnyResource] = []
    for policy, sides in candidates:
        if not all(sides):
            continue
        total = selectors.Rank()
        for side in sides:
            total = total.plus(max(selectors.rank(each) for each in side))
        merit = (total, policy.meta.creation_time)
        if best is None or merit > best:
            best, found = merit, [policy]
    return found


def _own_tags(networking: dataplane.Networking | None) -> Iterator[Tags]:
    if networking is None:
        return
    if networking.gateway is not None:
        yield networking.gateway.tags
    else:
        yield from (inbound.tags for inbound in networking.inbound)


def _matching(side: Sequence[selectors.Selector], carried: Sequence[Tags]) -> list[Tags]:
    return [each.match for each in side for tags in carried if selectors.matches(each.match, tags)]
