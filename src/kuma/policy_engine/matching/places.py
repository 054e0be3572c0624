"""The places of a proxy that a policy can be about: its inbounds, listeners of zone proxies and gateways.

A delegated gateway has one place, for all traffic that leaves it. Source: Kuma's documentation, "Introduction to
policies".
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kuma.base import labels
from kuma.resources import resource as res
from kuma.resources import selectors
from kuma.resources.kinds import dataplane, meshgateway

AnyResource = res.Resource[Any]
Proxy = res.Resource[dataplane.Dataplane]
Tags = Mapping[str, str]

ANY_HOSTNAME = "*"


class Sort(enum.Enum):
    """What a place is."""

    INBOUND = "inbound"
    ZONE_PROXY = "zone proxy"
    GATEWAY_LISTENER = "gateway listener"
    DELEGATED = "delegated gateway"


@dataclass(frozen=True, slots=True)
class Place:
    """One place. `section` is its name, or its port as text; `hostname` is for listeners of gateways."""

    sort: Sort
    tags: Tags
    address: str = ""
    port: int = 0
    section: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one proxy. `gateway` is the MeshGateway that it serves."""

    proxy: res.Meta
    all: tuple[Place, ...]
    is_gateway: bool = False
    is_builtin: bool = False
    gateway: AnyResource | None = None

    @property
    def zoned(self) -> res.Meta:
        """Whose zone policies are held to: that of the MeshGateway where it serves one, as in Kuma."""
        return self.proxy if self.gateway is None else self.gateway.meta


def places_of(subject: Proxy, gateways: Iterable[AnyResource]) -> Places:
    """The places of a proxy, given the MeshGateways of its mesh. Inbounds that are to be ignored are none."""
    networking = subject.spec.networking
    if networking is None:
        return Places(subject.meta, ())
    if networking.gateway is not None:
        return _of_gateway(subject, networking, networking.gateway, gateways)
    found = [
        Place(Sort.INBOUND, each.tags, each.address or networking.address, each.port, each.section)
        for each in networking.inbound
        if each.state is not dataplane.InboundState.IGNORED
    ]
    found += [
        Place(Sort.ZONE_PROXY, {}, each.address or networking.address, each.port, each.section)
        for each in networking.listeners
    ]
    return Places(subject.meta, tuple(found))


def places_of_gateway(gateway: res.Resource[meshgateway.MeshGateway]) -> Places:
    """The places of any proxy that serves a MeshGateway, as far as that alone tells about them."""
    selecting = gateway.spec.selectors[0].match if gateway.spec.selectors else {}
    listeners = tuple(_listeners("", selecting, gateway))
    return Places(gateway.meta, listeners, is_gateway=True, is_builtin=True, gateway=gateway)


def _of_gateway(
    subject: Proxy, networking: dataplane.Networking, own: dataplane.Gateway, gateways: Iterable[AnyResource]
) -> Places:
    if own.type == dataplane.GatewayType.DELEGATED:
        place = Place(Sort.DELEGATED, own.tags, networking.address)
        return Places(subject.meta, (place,), is_gateway=True)
    gateway = gateway_of(subject, gateways)
    listeners = () if gateway is None else tuple(_listeners(networking.address, own.tags, gateway))
    return Places(subject.meta, listeners, is_gateway=True, is_builtin=True, gateway=gateway)


def _listeners(address: str, own: Tags, gateway: res.Resource[meshgateway.MeshGateway]) -> Iterator[Place]:
    """Each listener, with the tags of the Dataplane, overridden by the MeshGateway's, overridden by its own."""
    conf = gateway.spec.conf
    for each in conf.listeners if conf is not None else ():
        tags = {**own, **gateway.spec.tags, **each.tags}
        hostname = each.hostname or ANY_HOSTNAME
        yield Place(Sort.GATEWAY_LISTENER, tags, address, each.port, str(each.port), hostname)


def gateway_of(subject: Proxy, gateways: Iterable[AnyResource]) -> AnyResource | None:
    """The MeshGateway that a builtin gateway serves; None without one.

    Of those that are not of another zone, the one with the most specific selector, then the newest.
    """
    networking = subject.spec.networking
    if networking is None or networking.gateway is None or not subject.spec.is_builtin_gateway:
        return None
    best: tuple[selectors.Rank, Any] | None = None
    found: AnyResource | None = None
    for gateway in sorted(gateways, key=lambda each: each.meta.name):
        if _is_elsewhere(gateway.meta, subject.meta):
            continue
        fitting = [
            selectors.rank(each.match)
            for each in gateway.spec.selectors
            if selectors.matches(each.match, networking.gateway.tags)
        ]
        if fitting:
            merit = (max(fitting), gateway.meta.creation_time)
            if best is None or merit > best:
                best, found = merit, gateway
    return found


def _is_elsewhere(gateway: res.Meta, proxy: res.Meta) -> bool:
    """Whether a MeshGateway was written for another zone than the proxy's; nobody's zone is another one."""
    own, its = proxy.labels.get(labels.ZONE), gateway.labels.get(labels.ZONE)
    is_zoned = gateway.labels.get(labels.ORIGIN, labels.ORIGIN_GLOBAL) != labels.ORIGIN_GLOBAL
    return is_zoned and None not in (own, its) and own != its
