"""Who answers for a service: the endpoints behind each `kuma.io/service`, and what they speak.

The index is advanced by those who joined, changed or left; services they have no part in keep their objects. Most of
them are proxies of the mesh; `mesh.zones` adds those of other zones and destinations outside the mesh.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

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

Pairs = tuple[tuple[str, str], ...]
"""Tags or labels, sorted, so that equal ones are equal values."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a service. `tags` are without `kuma.io/service`; `labels` are those of the Dataplane.

    `zone` is empty if unknown. Endpoints of a lower `priority` number are used first.
    """

    address: str
    port: int
    tags: Pairs = ()
    labels: Pairs = ()
    weight: int = 1
    zone: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """One service or destination: its healthy endpoints sorted by address and port, and its protocol.

    The protocol is `unknown` where nobody offers it. `is_external`: it is outside the mesh. `is_direct`: clients dial
    its endpoints, which may be hostnames, by themselves; otherwise they are sent to a proxy of the mesh.
    """

    name: str
    protocol: str = "unknown"
    endpoints: tuple[Endpoint, ...] = ()
    is_external: bool = False
    is_direct: bool = False

    def __hash__(self) -> int:
        """Cheap, because services are looked up for every outbound of a proxy: equal ones are found by comparing."""
        return hash((self.name, self.protocol, len(self.endpoints)))


@dataclass(frozen=True, slots=True)
class Share:
    """What one member gives to a service; an inbound that is not ready gives its protocol alone.

    `is_local`: it is a proxy of this zone, whose endpoints weigh as much as there are ways into other zones.
    """

    service: str
    protocol: str
    endpoint: Endpoint | None
    is_local: bool = True
    is_external: bool = False
    is_direct: bool = False


Shares = Mapping[str, tuple[Share, ...]]
"""What one member gives to each service."""


def protocol_of(inbound: dataplane.Inbound) -> str:
    """The protocol of an inbound: its field, else its tag, else tcp."""
    return inbound.protocol or inbound.tags.get(labels.PROTOCOL_TAG) or "tcp"


def address_of(networking: dataplane.Networking, inbound: dataplane.Inbound) -> str:
    """The address that peers dial for an inbound."""
    return networking.advertised_address or inbound.address or networking.address


def tag_pairs(tags: Mapping[str, str]) -> Pairs:
    """Tags of an endpoint, without the service that has it."""
    return tuple(sorted((key, value) for key, value in tags.items() if key != labels.SERVICE_TAG))


def endpoint_of(networking: dataplane.Networking, inbound: dataplane.Inbound, of_proxy: Pairs) -> Endpoint:
    """The endpoint that an inbound of a proxy with these labels is."""
    zone = inbound.tags.get(labels.ZONE_TAG) or dict(of_proxy).get(labels.ZONE, "")
    return Endpoint(address_of(networking, inbound), inbound.port, tag_pairs(inbound.tags), of_proxy, zone=zone)


@dataclass(frozen=True, slots=True)
class EndpointIndex:
    """All services of a mesh by name. `local_weight` is the weight of endpoints of this zone."""

    services: Mapping[str, Service] = field(default_factory=dict)
    local_weight: int = 1
    _members: Mapping[str, Mapping[str, tuple[Share, ...]]] = field(default_factory=dict)

    def of(self, service: str, tags: Mapping[str, str] | None = None) -> Service:
        """A service, or the part of it whose endpoints carry `tags`.

        One that nobody offers is known as `unknown` and has no endpoints.
        """
        found = self.services.get(service) or Service(service)
        if not tags:
            return found
        wanted = {pair for pair in tags.items() if pair[0] != labels.SERVICE_TAG}
        return replace(found, endpoints=tuple(each for each in found.endpoints if wanted.issubset(each.tags)))

    def members_of(self, service: str) -> Collection[str]:
        """The names of the proxies, and of whatever else gives endpoints, that have a part in a service."""
        return self._members.get(service, {}).keys()

    def advance(
        self, changes: Mapping[str, tuple[Shares, Shares]], local_weight: int = 1
    ) -> tuple["EndpointIndex", frozenset[str]]:
        """The index after members, by name, gave other shares than before, and the services that look different now.

        A service is built once, however many of its members changed.
        """
        touched: dict[str, dict[str, tuple[Share, ...]]] = {}
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
        if local_weight != self.local_weight:
            touched = {service: dict(own) for service, own in self._members.items()} | touched
        elif not touched:
            return self, frozenset()
        members, services = dict(self._members), dict(self.services)
        changed = set()
        for service, own in touched.items():
            built = _service(service, own, local_weight)
            if built != services.get(service):
                changed.add(service)
                services[service] = built
            members[service] = own
            if not own:
                del members[service], services[service]
        return EndpointIndex(services, local_weight, members), frozenset(changed)


def shares_of(resource: "res.Resource[dataplane.Dataplane] | None") -> Shares:
    """What a proxy gives, by service; nothing where there is none."""
    networking = resource.spec.networking if resource else None
    if resource is None or networking is None:
        return {}
    shared_labels = tuple(sorted(resource.meta.labels.items()))
    out: dict[str, tuple[Share, ...]] = {}
    for inbound in networking.inbound:
        service = inbound.tags.get(labels.SERVICE_TAG)
        if not service or inbound.state == dataplane.InboundState.IGNORED:
            continue
        endpoint = endpoint_of(networking, inbound, shared_labels) if inbound.is_ready else None
        out[service] = (*out.get(service, ()), Share(service, protocol_of(inbound), endpoint))
    return out


def in_order(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Endpoints in the order that a service has them, whoever joined first."""
    return tuple(sorted(endpoints, key=lambda each: (each.address, each.port, each.tags, each.labels)))


def _service(name: str, members: Mapping[str, tuple[Share, ...]], local_weight: int) -> Service:
    shares = [share for own in members.values() for share in own]
    endpoints = (
        replace(share.endpoint, weight=local_weight) if share.is_local and local_weight != 1 else share.endpoint
        for share in shares
        if share.endpoint is not None
    )
    return Service(
        name,
        _common({share.protocol for share in shares}),
        in_order(endpoints),
        any(share.is_external for share in shares),
        any(share.is_direct for share in shares),
    )


def _common(protocols: set[str]) -> str:
    """The best protocol that all can be treated as."""
    if not protocols:
        return "unknown"
    if len(protocols) == 1:
        return next(iter(protocols))
    stacks = [_STACKS.get(each, ("tcp",)) for each in protocols]
    return next((each for each in stacks[0] if all(each in stack for stack in stacks)), "tcp")
