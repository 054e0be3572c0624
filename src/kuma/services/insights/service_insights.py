"""The state of every service of a mesh, computed from its proxies. Pure; `insight_loop` keeps it current.

Source: Kuma's documentation, "Service health": a service is the proxies that carry its `kuma.io/service` tag. Services
of ExternalServices stand beside them: nobody knows how those are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kuma.base import labels
from kuma.resources.kinds import dataplane, dataplaneinsight, externalservice
from kuma.resources.kinds import serviceinsight as kinds
from kuma.services.insights import overviews

GATEWAY_TYPES = {
    dataplane.GatewayType.BUILTIN: kinds.ServiceType.GATEWAY_BUILTIN,
    dataplane.GatewayType.DELEGATED: kinds.ServiceType.GATEWAY_DELEGATED,
}
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Membership:
    """One proxy's part in one service."""

    service: str
    zone: str
    type: kinds.ServiceType
    is_online: bool


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """All that insights need to know of one proxy: small, comparable, so that a change that matters is seen."""

    status: overviews.Status
    gateway: dataplane.GatewayType | None
    kuma_dp: str
    envoy: str
    issued_backend: str
    supported_backends: tuple[str, ...]
    memberships: tuple[Membership, ...]


@dataclass(frozen=True, slots=True)
class External:
    """An ExternalService, as far as insights show it: its service, zone (empty: every) and HOST:PORT."""

    service: str
    zone: str
    address: str


def external_of(spec: externalservice.ExternalService) -> External:
    """What insights show of an ExternalService."""
    address = spec.networking.address if spec.networking else ""
    return External(spec.tags.get(labels.SERVICE_TAG, ""), spec.tags.get(labels.ZONE_TAG, ""), address)


def facts_of(spec: dataplane.Dataplane, insight: dataplaneinsight.DataplaneInsight | None) -> ProxyFacts:
    """The facts of one proxy. Versions are those of its last connection, `unknown` before the first."""
    gateway = spec.networking.gateway if spec.networking else None
    last = insight.subscriptions[-1] if insight is not None and insight.subscriptions else None
    version = last.version if last is not None else None
    mtls = insight.mtls if insight is not None else None
    return ProxyFacts(
        status=overviews.status_of(spec, insight),
        gateway=gateway.type if gateway is not None else None,
        kuma_dp=(version.kuma_dp.version if version and version.kuma_dp else "") or UNKNOWN,
        envoy=(version.envoy.version if version and version.envoy else "") or UNKNOWN,
        issued_backend=mtls.issued_backend if mtls else "",
        supported_backends=mtls.supported_backends if mtls else (),
        memberships=_memberships(spec, insight is not None and insight.is_online),
    )


def _memberships(spec: dataplane.Dataplane, is_connected: bool) -> tuple[Membership, ...]:
    """One entry a service: several inbounds of one service count once, and it is ready when one of them is."""
    networking = spec.networking
    if networking is None:
        return ()
    if networking.gateway is not None:
        tags, kind = networking.gateway.tags, GATEWAY_TYPES[networking.gateway.type]
        return _member(tags, kind, is_connected)
    found: dict[str, Membership] = {}
    for inbound in networking.inbound:
        if inbound.state is dataplane.InboundState.IGNORED:
            continue
        for member in _member(inbound.tags, kinds.ServiceType.INTERNAL, is_connected and inbound.is_ready):
            if member.is_online or member.service not in found:
                found[member.service] = member
    return tuple(found.values())


def _member(tags: Mapping[str, str], kind: kinds.ServiceType, is_online: bool) -> tuple[Membership, ...]:
    service = tags.get(labels.SERVICE_TAG, "")
    return (Membership(service, tags.get(labels.ZONE_TAG, ""), kind, is_online),) if service else ()


def desired(
    proxies: Iterable[ProxyFacts], externals: Iterable[External] = (), dns_domain: str = "mesh", vip_port: int = 80
) -> kinds.ServiceInsight:
    """The state of all services that the proxies make up, and of those outside, by name in order.

    A name that both bear is the proxies'. `dns_domain` and `vip_port` make the address by which an internal service is
    called with transparent proxying.
    """
    inside = _inside(proxies, dns_domain, vip_port)
    services = _outside(externals) | inside
    return kinds.ServiceInsight(services={name: services[name] for name in sorted(services)})


def _outside(externals: Iterable[External]) -> dict[str, kinds.Service]:
    """The services of ExternalServices; of several ones of a service the first says the address."""
    found: dict[str, list[External]] = {}
    for each in externals:
        if each.service:
            found.setdefault(each.service, []).append(each)
    return {
        name: kinds.Service(
            status=kinds.ServiceStatus.NOT_AVAILABLE,
            dataplanes=kinds.DataplaneStat(),
            service_type=kinds.ServiceType.EXTERNAL,
            address_port=several[0].address,
            zones=tuple(sorted({each.zone for each in several if each.zone})),
        )
        for name, several in found.items()
    }


def _inside(proxies: Iterable[ProxyFacts], dns_domain: str, vip_port: int) -> dict[str, kinds.Service]:
    online: Counter[str] = Counter()
    offline: Counter[str] = Counter()
    zones: dict[str, set[str]] = {}
    types: dict[str, kinds.ServiceType] = {}
    backends: dict[str, Counter[str]] = {}
    for proxy in proxies:
        for member in proxy.memberships:
            name = member.service
            (online if member.is_online else offline)[name] += 1
            types[name] = member.type
            if member.zone:
                zones.setdefault(name, set()).add(member.zone)
            if proxy.issued_backend:
                backends.setdefault(name, Counter())[proxy.issued_backend] += 1
    return {
        name: kinds.Service(
            status=_status(online[name], offline[name]),
            dataplanes=kinds.DataplaneStat(
                total=online[name] + offline[name], online=online[name], offline=offline[name]
            ),
            issued_backends=dict(sorted(backends.get(name, {}).items())),
            service_type=types[name],
            address_port=f"{name}.{dns_domain}:{vip_port}" if types[name] is kinds.ServiceType.INTERNAL else "",
            zones=tuple(sorted(zones.get(name, ()))),
        )
        for name in types
    }


def _status(online: int, offline: int) -> kinds.ServiceStatus:
    if not online:
        return kinds.ServiceStatus.OFFLINE
    return kinds.ServiceStatus.PARTIALLY_DEGRADED if offline else kinds.ServiceStatus.ONLINE
