"""Ways out of this zone: the ingresses of other zones and the egresses of our own, and what they make of a mesh.

A proxy that a service of another zone stands behind is dialled through an ingress of that zone, or through our egress
where the mesh says so; the ingress tells by the server name where to send a connection, so there is no way without
mutual TLS. Source: Kuma's documentation, "Multi-zone deployment" and "Zone Egress".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kuma.base import labels
from kuma.mesh import endpoints
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, externalservice, meshzoneaddress, zoneegress, zoneingress

Address = tuple[str, int]

EXTERNAL_SERVICE_TAG = "kuma.io/external-service-name"
"""Tag of an endpoint that is dialled with the TLS settings of the ExternalService of this name."""


@dataclass(frozen=True, slots=True)
class Zones:
    """What is known of zones, by name of the ingress or egress. `zone` is our own."""

    zone: str = "default"
    ingresses: "Mapping[str, res.Resource[zoneingress.ZoneIngress]]" = field(default_factory=dict)
    egresses: "Mapping[str, res.Resource[zoneegress.ZoneEgress]]" = field(default_factory=dict)

    @property
    def ways_out(self) -> tuple[Address, ...]:
        """Where our egresses listen, by their names."""
        found = [self.egresses[name].spec.networking for name in sorted(self.egresses)]
        return tuple((each.address, each.port) for each in found if each is not None)

    def ways_in(self) -> "Iterator[tuple[Address, res.Resource[zoneingress.ZoneIngress]]]":
        """Ingresses of other zones that can be reached, by their names."""
        for name in sorted(self.ingresses):
            resource = self.ingresses[name]
            networking, zone = resource.spec.networking, resource.spec.zone
            is_other = zone not in ("", self.zone)
            if is_other and networking and networking.advertised_address and networking.advertised_port:
                yield (networking.advertised_address, networking.advertised_port), resource


@dataclass(frozen=True, slots=True)
class Routing:
    """How a mesh leaves its zone. `through` are the egresses that all of it goes through; None: it goes straight.

    `is_mutual`: its proxies have certificates, without which nothing gets into another zone. `is_local_first`: other
    zones are for when the own one fails.
    """

    mesh: str
    zone: str = "default"
    through: tuple[Address, ...] | None = None
    is_mutual: bool = False
    is_local_first: bool = False

    def priority_of(self, zone: str) -> int:
        """Whether endpoints of a zone come first (0) or only where nearer ones fail (1)."""
        return int(self.is_local_first and zone not in ("", self.zone))


@dataclass(frozen=True, slots=True)
class Outside:
    """What a mesh gets from outside its zone, by member: shares in services; and the weight of its own endpoints."""

    shares: Mapping[str, endpoints.Shares] = field(default_factory=dict)
    local_weight: int = 1


def outside(
    zones: Zones, routing: Routing, external: "Iterable[res.Resource[externalservice.ExternalService]]"
) -> Outside:
    """Everything that stands outside the zone under a `kuma.io/service`."""
    shares: dict[str, endpoints.Shares] = {}
    balanced: set[Address] = set()
    for address, ingress in zones.ways_in() if routing.is_mutual else ():
        if address in balanced:
            continue  # another one behind the same load balancer
        if ingress.spec.available_services:
            balanced.add(address)
        shares[f"zone-ingress/{ingress.meta.name}"] = _of_ingress(ingress.spec, address, routing)
    for resource in external:
        shares[f"external-service/{resource.meta.name}"] = _of_external_service(resource, routing)
    return Outside(shares, max(1, len(balanced)))


def egresses_of(proxy: "res.Resource[dataplane.Dataplane] | None") -> tuple[Address, ...]:
    """Where a proxy listens as a zone egress of its mesh; nowhere for most."""
    networking = proxy.spec.networking if proxy is not None else None
    if networking is None:
        return ()
    return tuple(
        (each.address or networking.address, each.port)
        for each in networking.listeners
        if each.type is dataplane.ListenerType.ZONE_EGRESS and each.state is dataplane.ListenerState.READY
    )


def zone_addresses(
    zones: Zones, published: "Iterable[res.Resource[meshzoneaddress.MeshZoneAddress]]"
) -> dict[str, tuple[Address, ...]]:
    """By other zone: where its MeshServices are reached. What the mesh published there counts before ingresses."""
    found: dict[str, dict[Address, None]] = {}
    for each in published:
        zone = each.meta.labels.get(labels.ZONE, "")
        if zone not in ("", zones.zone):
            found.setdefault(zone, {})[each.spec.address, each.spec.port] = None
    by_ingress: dict[str, dict[Address, None]] = {}
    for address, ingress in zones.ways_in():
        by_ingress.setdefault(ingress.spec.zone, {})[address] = None
    return {zone: tuple(addresses) for zone, addresses in {**by_ingress, **found}.items()}


def offered(resource: "res.Resource[zoneingress.ZoneIngress]") -> frozenset[tuple[str, str, object]]:
    """What an ingress offers: mesh, service, and everything about it that matters to clients."""
    return frozenset(
        (each.mesh, each.tags.get(labels.SERVICE_TAG, ""), (tuple(sorted(each.tags.items())), each.instances))
        for each in resource.spec.available_services
    )


def _of_ingress(spec: zoneingress.ZoneIngress, address: Address, routing: Routing) -> endpoints.Shares:
    out: dict[str, tuple[endpoints.Share, ...]] = {}
    for each in spec.available_services:
        service = each.tags.get(labels.SERVICE_TAG)
        if each.mesh != routing.mesh or not service:
            continue
        ends = [(address, each.instances)] if routing.through is None else [(end, 1) for end in routing.through]
        shares = (_share(routing, end, weight, each.tags, is_external=each.external_service) for end, weight in ends)
        out[service] = (*out.get(service, ()), *shares)
    return out


def service_of(spec: externalservice.ExternalService) -> str:
    """The service that an ExternalService is; empty if none."""
    return spec.tags.get(labels.SERVICE_TAG, "")


def address_of(spec: externalservice.ExternalService) -> Address:
    """Where an ExternalService is, without the brackets of IPv6; ValueError where that cannot be read."""
    host, _, port = (spec.networking.address if spec.networking is not None else "").rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _of_external_service(resource: res.Resource[externalservice.ExternalService], routing: Routing) -> endpoints.Shares:
    spec = resource.spec
    service, networking = service_of(spec), spec.networking
    if not service or networking is None:
        return {}
    if routing.through is not None:
        return {service: tuple(_share(routing, end, 1, spec.tags, is_external=True) for end in routing.through)}
    tags = dict(spec.tags)
    if networking.tls is not None and networking.tls.enabled:
        tags[EXTERNAL_SERVICE_TAG] = resource.meta.name
    return {service: (_share(routing, address_of(spec), 1, tags, is_external=True, is_direct=True),)}


def _share(
    routing: Routing,
    address: Address,
    weight: int,
    tags: Mapping[str, str],
    *,
    is_external: bool,
    is_direct: bool = False,
) -> endpoints.Share:
    zone = tags.get(labels.ZONE_TAG, "")
    pairs = endpoints.tag_pairs(tags)
    endpoint = endpoints.Endpoint(*address, pairs, weight=weight, zone=zone, priority=routing.priority_of(zone))
    protocol = tags.get(labels.PROTOCOL_TAG) or "tcp"
    return endpoints.Share(tags[labels.SERVICE_TAG], protocol, endpoint, False, is_external, is_direct)
