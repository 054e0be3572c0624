"""The Prometheus backend of a Mesh: a listener on which metrics are read, and the agent behind it, which gathers them.

A MeshMetric takes its place. Source: Kuma's documentation, "Traffic metrics", and recorded proxies of Kuma 2.14.
"""

import ipaddress
from collections.abc import Iterator

import msgspec

from kuma.base import sockets
from kuma.compiler import credentials, inbounds, listeners
from kuma.envoy import api, clusters, http, names, tls
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, metrics
from kuma.resources.rules import metrics as rules

ORIGIN = "prometheus"
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})


def prometheus_nodes(
    picture: view.MeshView, subject: proxy.ProxyFacts
) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    """The listener and the cluster of the agent; nothing where metrics are not asked for.

    Nothing either where Envoy has no admin port, from which the agent would read, or where the port is taken: what the
    proxy is there for goes first.
    """
    shared = of_mesh(picture)
    if shared is None or not subject.admin.port:
        return [], []
    conf = of_proxy(shared, subject.spec)
    if _is_taken(subject, conf.port):
        return [], []
    meta = subject.resource.meta
    name, behind = names.PROMETHEUS_LISTENER, names.METRICS_HIJACKER
    cluster = nodes.ClusterNode(
        behind, clusters.piped(behind, sockets.metrics(subject.workdir, meta.mesh, meta.name)), origin=ORIGIN
    )
    message = listeners.tcp_listener(name, subject.address, conf.port, api.INBOUND)
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    listener = nodes.ListenerNode(name, message, list(_chains(picture, subject, conf)), origin=ORIGIN)
    authors = [res.ref_to(subject.resource), res.ref_to(picture.resource)]
    nodes.add_authors(cluster, authors)
    nodes.add_authors(listener, authors)
    return [listener], [cluster]


def of_mesh(picture: view.MeshView) -> metrics.PrometheusConf | None:
    """The backend that the Mesh has enabled; None where there is none."""
    said = picture.resource.spec.metrics
    if said is None:
        return None
    backend = next((each for each in said.backends if each.name == said.enabled_backend), None)
    if backend is None or backend.type != rules.PROMETHEUS:
        return None
    return rules.prometheus_conf(rules.with_defaults(backend).conf)


def of_proxy(conf: metrics.PrometheusConf, spec: dataplane.Dataplane) -> metrics.PrometheusConf:
    """The backend of a mesh as it is at a proxy: with what its Dataplane says instead."""
    own = spec.metrics
    if own is None or own.type != rules.PROMETHEUS:
        return conf
    own_conf = rules.prometheus_conf(own.conf)
    return msgspec.structs.replace(
        conf,
        port=own_conf.port or conf.port,
        tags={**conf.tags, **own_conf.tags},
        path=own_conf.path or conf.path,
        envoy=own_conf.envoy or conf.envoy,
        tls=own_conf.tls or conf.tls,
    )


def _is_taken(subject: proxy.ProxyFacts, port: int) -> bool:
    """Whether the proxy or the application behind it listens there already."""
    networking = subject.spec.networking
    taken = {(each.address or "127.0.0.1", each.port) for each in networking.outbound} if networking else set()
    for inbound in inbounds.facts(subject):
        taken |= {(inbound.address, inbound.port), (inbound.workload_address, inbound.workload_port)}
    return any((subject.address, port) == each or (each[0] in _ANY_ADDRESS and each[1] == port) for each in taken)


def _chains(
    picture: view.MeshView, subject: proxy.ProxyFacts, conf: metrics.PrometheusConf
) -> Iterator[nodes.ChainNode]:
    """Under mutual TLS the proxy's own address needs none: a Prometheus in the mesh reads its own sidecar as well."""
    shown = credentials.held(picture, subject, unified=inbounds.is_unified(picture, subject)).of_mesh
    chain = _chain(subject, conf)
    mode = conf.tls.mode if conf.tls is not None else metrics.PrometheusTlsMode.DISABLED
    if mode == metrics.PrometheusTlsMode.PROVIDED_TLS and all(subject.metrics_pair):
        chain.tls = tls.file_downstream(*subject.metrics_pair)
    elif mode == metrics.PrometheusTlsMode.ACTIVE_MTLS_BACKEND and shown is not None:
        own = _own_address(subject)
        if own is not None:
            near = _chain(subject, conf)
            near.match = own
            yield near
        chain.tls = tls.downstream(shown.identity, shown.roots, shown.clients, shown.server)
    yield chain


def _own_address(subject: proxy.ProxyFacts) -> api.Message | None:
    """A match of connections from the proxy's address; None where that is a name."""
    try:
        address = ipaddress.ip_address(subject.address)
    except ValueError:
        return None
    out = api.FilterChainMatch()
    out.source_prefix_ranges.add(address_prefix=subject.address).prefix_len.value = address.max_prefixlen
    return out


def _chain(subject: proxy.ProxyFacts, conf: metrics.PrometheusConf) -> nodes.ChainNode:
    manager = http.connection_manager(
        names.sanitize_stat(names.PROMETHEUS_LISTENER), local_only=True, ipv6=subject.ipv6
    )
    host = http.routes(manager.route_config, "", names.PROMETHEUS_LISTENER)
    http.prefix_route(host, conf.path, names.METRICS_HIJACKER, rewrite="/" + _query(conf.envoy))
    return nodes.ChainNode(http=manager)


def _query(wanted: metrics.PrometheusEnvoyConfig | None) -> str:
    """What Envoy is to be asked for. Envoy's admin interface knows `usedonly` without a value."""
    if wanted is None:
        return ""
    parts = [f"filter={wanted.filter_regex}"] if wanted.filter_regex else []
    if wanted.used_only:
        parts.append("usedonly")
    return f"?{'&'.join(parts)}" if parts else ""
