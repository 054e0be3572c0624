"""Every name that Envoy will show: resources, routes, stat prefixes, SNI.

Legacy and unified naming stand side by side, one function a name. Source: Kuma's resource naming; the table of legacy
names is what Kuma 2.14 proxies carry, the unified ones are KRIs and contextual names (`self_...`, `system_...`).
"""

import hashlib
import re
from collections.abc import Mapping

from kuma.base import labels

_NOT_STAT = re.compile(r"[^a-zA-Z_\-0-9]")


def sanitize_stat(name: str) -> str:
    """The name as a stat prefix: everything outside `[a-zA-Z_0-9-]` becomes `_`."""
    return _NOT_STAT.sub("_", name)


def host_port(address: str, port: int) -> str:
    """`address:port`, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def inbound_listener(address: str, port: int, section: str, unified: bool) -> str:
    """Listener of one inbound."""
    return f"self_inbound_dp_{section}" if unified else f"inbound:{host_port(address, port)}"


def inbound_cluster(workload_port: int, section: str, unified: bool) -> str:
    """Cluster of the application behind one inbound."""
    return f"self_inbound_dp_{section}" if unified else f"localhost:{workload_port}"


def inbound_route(service: str, section: str, unified: bool) -> str:
    """Route configuration of one inbound."""
    return f"self_inbound_dp_{section}" if unified else f"inbound:{service}"


def outbound_listener(address: str, port: int) -> str:
    """Listener of one outbound by `kuma.io/service`."""
    return f"outbound:{host_port(address, port)}"


def outbound_route(service: str) -> str:
    """Route configuration of one outbound by `kuma.io/service`."""
    return f"outbound:{service}"


def service_cluster(service: str, tags: Mapping[str, str]) -> str:
    """Cluster of a `kuma.io/service`; a subset carries the start of a SHA-256 over all tags, sorted, the service too."""
    if not tags:
        return service
    pairs = {**tags, labels.SERVICE_TAG: service}
    digest = hashlib.sha256("".join(key + pairs[key] for key in sorted(pairs)).encode())
    return f"{service}-{digest.hexdigest()[:16]}"


def egress_listener(address: str, port: int, unified: bool) -> str:
    """The listener of a zone egress."""
    return f"self_inbound_ze_{port}" if unified else f"inbound:{host_port(address, port)}"


def zone_listener(way: str, section: str) -> str:
    """Listener of a proxy that is the `ingress` or `egress` of its mesh."""
    return f"self_zone{way}_dp_{section}"


def egress_cluster(mesh: str, service: str) -> str:
    """Cluster of a `kuma.io/service` at a zone egress, which knows those of all meshes."""
    return f"{mesh}:{service}"


def egress_chain(mesh: str, service: str) -> str:
    """Chain of the egress's listener that leads to an ExternalService."""
    return f"{service}_{mesh}"


def passthrough(direction: str, family: str, unified: bool) -> str:
    """Listener and cluster of transparent passthrough; direction inbound/outbound, family ipv4/ipv6."""
    return f"self_transparentproxy_passthrough_{direction}_{family}" if unified else f"{direction}:passthrough:{family}"


NO_DESTINATION = "self_transparentproxy_no_destination_inbound"
"""Cluster without endpoints that swallows traffic to ports no inbound has."""


def admin(unified: bool) -> str:
    """Listener and cluster of Envoy's admin API."""
    return "system_envoy_admin" if unified else "kuma:envoy:admin"


def readiness(unified: bool) -> str:
    """Cluster of the agent's readiness reporter."""
    return "system_probe_readiness" if unified else "kuma:readiness"


def dns(unified: bool) -> str:
    """Listener of Envoy's DNS server."""
    return "system_dns" if unified else "kuma:dns"


def dynamic_config(unified: bool) -> str:
    """Listener from which the agent reads what concerns it."""
    return "system_dynamicconfig" if unified else "_kuma:dynamicconfig"


def dynamic_config_route(document: str, unified: bool) -> str:
    """Route of one document of the agent's."""
    return f"system_dynamicconfig_{document}" if unified else f"_kuma:dynamicconfig:/{document}"


def dynamic_config_unchanged(document: str, unified: bool) -> str:
    """Route that says that a document has not changed; it has no name in legacy naming."""
    return f"system_dynamicconfig_{document}_not_modified" if unified else ""


def identity_secret(mesh: str, unified: bool) -> str:
    """Secret with the proxy's certificate and key."""
    return f"system_mtls_identity_{mesh}" if unified else f"identity_cert:secret:{mesh}"


def ca_secret(mesh: str, unified: bool) -> str:
    """Secret with the roots of the mesh."""
    return f"system_mtls_ca_{mesh}" if unified else f"mesh_ca:secret:{mesh}"


TRUST_BUNDLE = "system_trust_bundle"
"""Secret with the roots of every trust domain that a mesh trusts."""

SPIRE_AGENT = "system_identity_sds-spire-agent"
"""Cluster of the SPIRE agent beside a proxy."""

SPIRE_BUNDLE = "ALL"
"""What a SPIRE agent calls the roots of all trust domains it knows."""


def service_sni(service: str, mesh: str, tags: Mapping[str, str] | None = None) -> str:
    """SNI of a destination by `kuma.io/service`: `api{mesh=m,version=v1}`."""
    pairs = {**(tags or {}), "mesh": mesh}
    return f"{service}{{{','.join(f'{key}={pairs[key]}' for key in sorted(pairs))}}}"


def spiffe_id(mesh: str, service: str) -> str:
    """SPIFFE identity of a service in a mesh with builtin or provided CA."""
    return f"spiffe://{mesh}/{service}"


def tag_id(key: str, value: str) -> str:
    """URI under which a certificate carries one tag of its proxy."""
    return f"kuma://{key}/{value}"


_NOT_SYSTEM = re.compile(r"[^a-z0-9_\-]")


def _system(part: str) -> str:
    """A text of the user as part of a `system_...` name."""
    return _NOT_SYSTEM.sub("-", part)


def log_collector(index: int, address: str, port: int, unified: bool) -> str:
    """Cluster of a collector of access logs; in legacy naming by the order of their use."""
    return f"system_meshaccesslog_{_system(f'{address}-{port}')}" if unified else f"meshaccesslog:opentelemetry:{index}"


def log_pipe(index: int, backend: str, unified: bool) -> str:
    """As `log_collector`, for one that the agent hands on to."""
    return f"system_meshaccesslog_otel_{_system(backend)}" if unified else f"meshaccesslog:opentelemetry:{index}"


def tracing_collector(kind: str, where: str, unified: bool) -> str:
    """Cluster of the collector of spans; `kind` is `zipkin`, `datadog` or `opentelemetry`, `where` its URL or name."""
    short = "otel" if kind == "opentelemetry" else kind
    return f"system_meshtrace_{short}_{_system(where)}" if unified else f"meshtrace:{kind}"


PROMETHEUS_LISTENER = "kuma:metrics:prometheus"
"""Listener for the Prometheus backend of a Mesh, with whatever naming."""

METRICS_HIJACKER = "kuma:metrics:hijacker"
"""Cluster of the agent's answers to that Prometheus."""

DIRECT_ACCESS = "direct_access"
"""Cluster of what is dialled by its own address, and the start of its listeners, with whatever naming."""

PROBE_LISTENER = "probe:listener"
"""Listener of the virtual probes of a Dataplane, with whatever naming."""

PROBE_ROUTES = "probe:route_configuration"
"""Route configuration of virtual probes."""


def metrics_listener(client: str, unified: bool) -> str:
    """Listener for one Prometheus, by its client id."""
    return f"system_meshmetric_prometheus_{_system(client)}" if unified else f"_kuma:metrics:prometheus:{client}"


def metrics_hijacker(client: str, unified: bool) -> str:
    """Cluster of the agent's answers to scrapes; in legacy naming one for all clients."""
    return f"system_meshmetric_prometheus_{_system(client)}" if unified else "_kuma:metrics:hijacker"


def metrics_export(backend: str, unified: bool) -> str:
    """Listener and cluster through which the agent sends metrics to a collector."""
    return f"system_meshmetric_otel_{_system(backend)}" if unified else f"_kuma:metrics:opentelemetry:{backend}"
