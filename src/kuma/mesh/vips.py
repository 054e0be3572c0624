"""The virtual addresses of a mesh: of its destinations, and the older ones by `kuma.io/service` that a Config holds.

An application under transparent proxying dials these; `mesh.outbounds` says which of them a proxy answers for.
Source: Kuma's documentation, "DNS" and "MeshService".
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kuma.base import labels
from kuma.base.kri import Kri
from kuma.mesh import destinations, endpoints
from kuma.resources import dns_vips

_DNS_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")


@dataclass(frozen=True, slots=True)
class Naming:
    """How services are named where nothing else says so: their top-level domain, and the port of every one of them."""

    domain: str = "mesh"
    port: int = 80


@dataclass(frozen=True, slots=True)
class Listed:
    """One outbound: what an application dials, and where that leads.

    Either to a `kuma.io/service`, narrowed down by `tags`, or to a `destination`. `hostnames` are the names under which
    its address is found.
    """

    address: str
    port: int
    service: str = ""
    tags: endpoints.Pairs = ()
    destination: Kri | None = None
    hostnames: tuple[str, ...] = ()


def of_services(table: dns_vips.Table, naming: Naming) -> tuple[Listed, ...]:
    """The outbounds by `kuma.io/service`, in the order of their names."""
    return tuple(each for host in sorted(table) for each in _of_host(host, table[host], naming))


def of_destinations(found: Iterable[destinations.Destination]) -> tuple[Listed, ...]:
    """The outbounds of destinations: each port on each address. A hostname stands for the first address."""
    return tuple(
        Listed(vip, each.port, destination=each.kri, hostnames=each.hostnames if vip == each.vips[0] else ())
        for each in found
        for vip in each.vips
    )


def _of_host(host: dns_vips.Host, entry: dns_vips.VirtualOutbound, naming: Naming) -> Iterator[Listed]:
    if not entry.address or not entry.outbounds:
        return
    hostnames = _hostnames(host, entry, naming)
    is_service = host.type is dns_vips.HostType.SERVICE
    outbounds = entry.outbounds[:1] if is_service else entry.outbounds
    ports = {each.port: each for each in outbounds if each.port}
    if is_service or (host.type is dns_vips.HostType.HOST and hostnames):
        ports.setdefault(naming.port, outbounds[0])
    for port, each in ports.items():
        tags = dict(each.tags)
        pairs = endpoints.tag_pairs(tags)
        yield Listed(entry.address, port, tags.get(labels.SERVICE_TAG, ""), pairs, hostnames=hostnames)


def _hostnames(host: dns_vips.Host, entry: dns_vips.VirtualOutbound, naming: Naming) -> tuple[str, ...]:
    if host.type is not dns_vips.HostType.SERVICE:
        return (host.name,) if _is_dns_name(host.name) else ()
    service = dict(entry.outbounds[0].tags).get(labels.SERVICE_TAG, "")
    return tuple(dict.fromkeys(f"{name}.{naming.domain}" for name in (service, service.replace("_", "."))))


def _is_dns_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(name) <= 255 and _DNS_NAME.fullmatch(name) is not None
    return False
