"""What a stored or offered proxy resource means for its bootstrap. Pure.

Zone proxies are read by field name alone, because their kinds may be absent from a control plane's catalog.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from kuma.base import labels
from kuma.envoy import bootstrap_request as requests
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, metrics

KINDS = {requests.DATAPLANE: "Dataplane", requests.INGRESS: "ZoneIngress", requests.EGRESS: "ZoneEgress"}
"""Which kind of resource stands for which type of proxy."""

UNKNOWN_SERVICE = "unknown"
_PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True)
class Scrape:
    """An application endpoint whose metrics the agent adds to Envoy's."""

    name: str
    address: str
    port: int
    path: str


def key_of(request: requests.Request) -> res.Key:
    """Where the proxy's resource is stored."""
    kind = KINDS[request.kind_of_proxy]
    return res.Key(kind, request.mesh if request.kind_of_proxy == requests.DATAPLANE else "", request.name)


def service_of(proxy: res.Resource[Any], proxy_type: str, inbound_tags_disabled: bool) -> str:
    """The name under which Envoy's stats and logs show the proxy (`node.cluster`)."""
    if proxy_type != requests.DATAPLANE:
        return proxy_type
    if inbound_tags_disabled:
        return proxy.meta.labels.get(labels.WORKLOAD) or proxy.meta.name
    spec: dataplane.Dataplane = proxy.spec
    if spec.networking is None:
        return UNKNOWN_SERVICE
    tagged = [each.tags for each in spec.networking.inbound]
    if spec.networking.gateway is not None:
        tagged.append(spec.networking.gateway.tags)
    return next((tags[labels.SERVICE_TAG] for tags in tagged if labels.SERVICE_TAG in tags), UNKNOWN_SERVICE)


def address_of(proxy: res.Resource[Any]) -> str:
    """The proxy's address; empty for zone proxies, as Kuma's agents expect."""
    networking = proxy.spec.networking if isinstance(proxy.spec, dataplane.Dataplane) else None
    return networking.address if networking else ""


def admin_port_of(proxy: res.Resource[Any]) -> int:
    """The admin port that the resource itself sets, 0 where it does not."""
    networking = getattr(proxy.spec, "networking", None)
    admin = getattr(networking, "admin", None)
    return int(getattr(admin, "port", 0) or 0)


def is_builtin_gateway(proxy: res.Resource[Any]) -> bool:
    """Whether it is a gateway that this control plane configures."""
    return isinstance(proxy.spec, dataplane.Dataplane) and proxy.spec.is_builtin_gateway


def has_outbounds_despite_redirection(proxy: res.Resource[Any], request: requests.Request) -> bool:
    """Whether it lists outbounds although its traffic is redirected transparently, where they would never be used."""
    networking = proxy.spec.networking if isinstance(proxy.spec, dataplane.Dataplane) else None
    if networking is None or not networking.outbound:
        return False
    own = networking.transparent_proxying
    redirected = own is not None and bool(own.redirect_port_inbound and own.redirect_port_outbound)
    return redirected or bool(request.transparent_proxy)


def is_exclusive(spec: mesh.Mesh) -> bool:
    """Whether the mesh has MeshServices alone, without services by tag."""
    return spec.mesh_services is not None and spec.mesh_services.mode == mesh.MeshServicesMode.EXCLUSIVE


def scrapes_of(spec: mesh.Mesh, proxy: res.Resource[Any]) -> list[Scrape]:
    """What the agent scrapes beside Envoy: the mesh's Prometheus backend, its entries overridden by the proxy's own."""
    enabled = _enabled_backend(spec)
    if enabled is None or not isinstance(proxy.spec, dataplane.Dataplane):
        return []
    by_name = {each.name: each for each in _conf(enabled).aggregate}
    own = proxy.spec.metrics
    if own is not None and own.type == _PROMETHEUS:
        by_name |= {each.name: each for each in _conf(own).aggregate}
    return [
        Scrape(each.name, each.address or address_of(proxy), each.port, each.path or "/metrics")
        for each in by_name.values()
        if each.enabled is not False
    ]


def _enabled_backend(spec: mesh.Mesh) -> metrics.MetricsBackend | None:
    if spec.metrics is None or not spec.metrics.enabled_backend:
        return None
    named = (each for each in spec.metrics.backends if each.name == spec.metrics.enabled_backend)
    return next((each for each in named if each.type == _PROMETHEUS), None)


def _conf(backend: metrics.MetricsBackend) -> metrics.PrometheusConf:
    return msgspec.convert(backend.conf or {}, metrics.PrometheusConf)
