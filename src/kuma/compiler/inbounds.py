"""Inbounds of a sidecar: a listener that peers dial, and the cluster of the application behind it.

Timeouts are those that are left where a MeshTimeout speaks of some clients only; in all other cases that policy
writes them anew. Source: Envoy's listener and cluster API.
"""

from collections.abc import Iterable

from kuma.base import labels
from kuma.compiler import credentials, listeners
from kuma.envoy import api, clusters, http, names, sockets, tls
from kuma.mesh import endpoints, view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane

ORIGIN = "inbound"
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 7200.0
STREAM_IDLE_SECONDS = 3600.0
RESERVED_PORT = 49151
"""Port of inbounds that stand for a workload without a service; nothing listens there."""
TRANSPARENT_SOURCE = {False: "127.0.0.6", True: "::6"}


def facts(subject: proxy.ProxyFacts) -> Iterable[nodes.InboundFacts]:
    """The inbounds of a proxy that get a listener."""
    networking = subject.spec.networking
    if networking is None:
        return
    for inbound in networking.inbound:
        if inbound.port == RESERVED_PORT or inbound.state == dataplane.InboundState.IGNORED:
            continue
        address = inbound.address or networking.address
        yield nodes.InboundFacts(
            service=inbound.tags.get(labels.SERVICE_TAG, ""),
            section=inbound.section,
            address=address,
            port=inbound.port,
            workload_address=inbound.service_address or address,
            workload_port=inbound.service_port or inbound.port,
            protocol=nodes.Protocol.named(endpoints.protocol_of(inbound)),
            tags=tuple(sorted(inbound.tags.items())),
        )


def node(
    picture: view.MeshView, subject: proxy.ProxyFacts, inbound: nodes.InboundFacts, *, plaintext: bool = False
) -> nodes.InboundNode:
    """The skeleton of one inbound, before any policy. `plaintext`: it is taken, beside mutual TLS where that is on."""
    unified = is_unified(picture, subject)
    cluster = _cluster(subject, inbound, unified)
    listener = _listener(picture, subject, inbound, cluster.name, unified=unified, plaintext=plaintext)
    author = res.ref_to(subject.resource)
    nodes.add_authors(cluster, [author])
    nodes.add_authors(listener, [author, res.ref_to(picture.resource)])
    return nodes.InboundNode(inbound, listener, cluster)


def is_unified(picture: view.MeshView, subject: proxy.ProxyFacts) -> bool:
    """Whether resources carry unified names: the agent asked for it and the mesh has no legacy destinations."""
    return subject.has(proxy.UNIFIED_NAMING) and picture.is_exclusive


def _cluster(subject: proxy.ProxyFacts, inbound: nodes.InboundFacts, unified: bool) -> nodes.ClusterNode:
    name = names.inbound_cluster(inbound.workload_port, inbound.section, unified)
    message = clusters.cluster(name, "STATIC")
    message.connect_timeout.CopyFrom(api.seconds(CONNECT_SECONDS))
    address = sockets.socket_address(inbound.workload_address, inbound.workload_port)
    message.load_assignment.CopyFrom(sockets.static_assignment(name, address))
    is_local = inbound.workload_address in ("127.0.0.1", "::1")
    if subject.redirect.enabled and not is_local:
        clusters.bind_to(message, TRANSPARENT_SOURCE[":" in inbound.workload_address])
    options = None
    if inbound.protocol.is_http:
        options = http.upstream_options(http2=inbound.protocol != nodes.Protocol.HTTP)
        options.common_http_protocol_options.idle_timeout.CopyFrom(api.seconds(IDLE_SECONDS))
    return nodes.ClusterNode(name, message, http=options, origin=ORIGIN)


def _listener(
    picture: view.MeshView,
    subject: proxy.ProxyFacts,
    inbound: nodes.InboundFacts,
    cluster: str,
    *,
    unified: bool,
    plaintext: bool,
) -> nodes.ListenerNode:
    name = names.inbound_listener(inbound.address, inbound.port, inbound.section, unified)
    message = listeners.tcp_listener(name, inbound.address, inbound.port, api.INBOUND)
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    if subject.redirect.enabled:
        message.bind_to_port.value = False
    listeners.set_tags(message, dict(inbound.tags) or {"kuma.io/unified-name": f"self_inbound_dp_{inbound.section}"})
    if unified:
        message.stat_prefix = name
    out = nodes.ListenerNode(name, message, origin=ORIGIN)
    shown = credentials.held(picture, subject, unified=unified).shown

    def chain(secured: bool, match: api.Message | None = None) -> nodes.ChainNode:
        made = _chain(subject, inbound, name, cluster, unified)
        made.match = match
        made.tls = _downstream(shown) if secured and shown else None
        return made

    if shown is None:
        out.chains.append(chain(secured=False))
    elif not plaintext:
        out.chains.append(chain(secured=True))
    else:
        tls.inspect(message)
        out.chains += [
            chain(secured=False, match=api.FilterChainMatch(transport_protocol="raw_buffer")),
            chain(secured=False, match=api.FilterChainMatch(transport_protocol="tls")),
            chain(secured=True, match=api.FilterChainMatch(transport_protocol="tls", application_protocols=[tls.ALPN])),
        ]
    return out


def _downstream(shown: credentials.Credentials) -> api.Message:
    return tls.downstream(shown.identity, shown.roots, shown.clients, shown.server)


def _chain(
    subject: proxy.ProxyFacts, inbound: nodes.InboundFacts, listener: str, cluster: str, unified: bool
) -> nodes.ChainNode:
    if not inbound.protocol.is_http:
        stat = names.sanitize_stat(cluster)
        tcp = api.TcpProxy(stat_prefix=stat, cluster=cluster)
        tcp.idle_timeout.CopyFrom(api.seconds(IDLE_SECONDS))
        filters = listeners.kafka_filters(
            stat, is_kafka=subject.knows_kafka and inbound.protocol is nodes.Protocol.KAFKA
        )
        return nodes.ChainNode(filters=filters, tcp=tcp)
    manager = http.connection_manager(names.sanitize_stat(cluster), ipv6=subject.ipv6)
    manager.forward_client_cert_details = api.SANITIZE_SET
    manager.set_current_client_cert_details.uri = True
    manager.common_http_protocol_options.idle_timeout.CopyFrom(api.seconds(IDLE_SECONDS))
    manager.stream_idle_timeout.CopyFrom(api.seconds(STREAM_IDLE_SECONDS))
    name = names.inbound_route(inbound.service or listener, inbound.section, unified)
    host = http.routes(manager.route_config, name, name if unified else inbound.service or listener)
    manager.route_config.request_headers_to_remove.append(http.TAGS_HEADER)
    route = http.prefix_route(host, "/", cluster)
    route.route.timeout.CopyFrom(api.seconds(0))
    return nodes.ChainNode(http=manager, http_filters=listeners.http_filters(inbound.protocol))
