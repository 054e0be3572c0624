"""Who answers for a service: the endpoints behind each `kuma.io/service`, and what they speak.

The index is advanced by the proxies that changed; services they have no part in keep their objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kuma.base import labels
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane

_STACKS = {
    "http": ("http", "tcp"),
    "http2": ("http2", "tcp"),
    "grpc": ("grpc", "http2", "tcp"),
    "kafka": ("kafka", "tcp"),
    "tcp": ("tcp",),
}
"""What each protocol can be treated as, best first."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a service. Pairs are sorted, so equal endpoints are equal values."""

    address: str
    port: int
    tags: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...] = ()
    weight: int = 1

    @property
    def zone(self) -> str:
        """The zone it lives in; empty if unknown."""
        return dict(self.tags).get(labels.ZONE_TAG, "")


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its healthy endpoints sorted by address and port, and its protocol (`unknown` without proxies)."""

    name: str
    protocol: str = "unknown"
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class _Share:
    """What one inbound gives to its service; an inbound that is not ready gives its protocol alone."""

    service: str
    protocol: str
    endpoint: Endpoint | None


Shares = Mapping[str, tuple[_Share, ...]]
"""What one proxy gives to each service."""


def protocol_of(inbound: dataplane.Inbound) -> str:
    """The protocol of an inbound: its field, else its tag, else tcp."""
    return inbound.protocol or inbound.tags.get(labels.PROTOCOL_TAG) or "tcp"


def address_of(networking: dataplane.Networking, inbound: dataplane.Inbound) -> str:
    """The address that peers dial for an inbound."""
    return networking.advertised_address or inbound.address or networking.address


@dataclass(frozen=True, slots=True)
class EndpointIndex:
    """All services of a mesh by name."""

    services: Mapping[str, Service] = field(default_factory=dict)
    _members: Mapping[str, Mapping[str, tuple[_Share, ...]]] = field(default_factory=dict)

    def of(self, service: str) -> Service:
        """A service; one that nobody offers is known as `unknown` and has no endpoints."""
        return self.services.get(service) or Service(service)

    def advance(self, changes: Mapping[str, tuple[Shares, Shares]]) -> tuple["EndpointIndex", frozenset[str]]:
        """The index after proxies, by name, gave other shares than before, and the services that look different now.

        A service is built once, however many of its proxies changed.
        """
        touched: dict[str, dict[str, tuple[_Share, ...]]] = {}
        for name, (old, new) in changes.items():
            for service in old.keys() | new.keys():
                if old.get(service) == new.get(service):
                    continue
                own = touched.get(service)
                if own is None:
                    own = touched[service] = dict(self._members.get(service, {}))
                own.pop(name, None)
                if service in new:
                    own[name] = new[service]
        if not touched:
            return self, frozenset()
        members, services = dict(self._members), dict(self.services)
        changed = set()
        for service, own in touched.items():
            built = _service(service, own)
            if built != services.get(service):
                changed.add(service)
            members[service], services[service] = own, built
            if not own:
                del members[service], services[service]
        return EndpointIndex(services, members), frozenset(changed)


def shares_of(resource: "res.Resource[dataplane.Dataplane] | None") -> Shares:
    """What a proxy gives, by service; nothing where there is none."""
    networking = resource.spec.networking if resource else None
    if resource is None or networking is None:
        return {}
    shared_labels = tuple(sorted(resource.meta.labels.items()))
    out: dict[str, tuple[_Share, ...]] = {}
    for inbound in networking.inbound:
        service = inbound.tags.get(labels.SERVICE_TAG)
        if not service or inbound.state == dataplane.InboundState.IGNORED:
            continue
        endpoint = None
        if inbound.is_ready:
            tags = tuple(sorted((key, value) for key, value in inbound.tags.items() if key != labels.SERVICE_TAG))
            endpoint = Endpoint(address_of(networking, inbound), inbound.port, tags, shared_labels)
        out[service] = (*out.get(service, ()), _Share(service, protocol_of(inbound), endpoint))
    return out


def _service(name: str, members: Mapping[str, tuple[_Share, ...]]) -> Service:
    shares = [share for own in members.values() for share in own]
    endpoints = [share.endpoint for share in shares if share.endpoint is not None]
    endpoints.sort(key=lambda each: (each.address, each.port))
    return Service(name, _common({share.protocol for share in shares}), tuple(endpoints))


def _common(protocols: set[str]) -> str:
    """The best protocol that all can be treated as."""
    if not protocols:
        return "unknown"
    if len(protocols) == 1:
        return next(iter(protocols))
    stacks = [_STACKS.get(each, ("tcp",)) for each in protocols]
    return next((each for each in stacks[0] if all(each in stack for stack in stacks)), "tcp")
