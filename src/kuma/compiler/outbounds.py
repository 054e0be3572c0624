"""Outbounds by `kuma.io/service`: a listener for the application to dial, the cluster it leads to, its endpoints.

Nothing here is personal to a proxy, so a node is built once for all proxies that have equal facts.
"""

from collections.abc import Iterable

from kuma.base import labels
from kuma.compiler import inbounds, listeners
from kuma.envoy import api, clusters, http, names, sockets, tls
from kuma.mesh import endpoints, view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 3600.0


def facts(picture: view.MeshView, subject: proxy.ProxyFacts) -> tuple[nodes.OutboundFacts, ...]:
    """The outbounds of a proxy, in the order it lists them; one that stands twice on one address counts once."""
    networking = subject.spec.networking
    if networking is None:
        return ()
    unified = inbounds.is_unified(picture, subject)
    bind = not subject.redirect.enabled or subject.has(proxy.BIND_OUTBOUNDS)
    found: dict[tuple[str, int], nodes.OutboundFacts] = {}
    for outbound in networking.outbound:
        service = outbound.tags.get(labels.SERVICE_TAG)
        if not service:
            continue
        address = outbound.address or LOOPBACK
        made = nodes.OutboundFacts(
            mesh=picture.name,
            service=service,
            address=address,
            port=outbound.port,
            protocol=nodes.Protocol.named(picture.endpoints.of(service).protocol),
            tls=nodes.Tls.MUTUAL if picture.speaks_tls(service) else nodes.Tls.PLAIN,
            unified=unified,
            bind=bind,
            ipv6=subject.ipv6,
        )
        found.setdefault((address, outbound.port), made)
    return tuple(found.values())


def node(picture: view.MeshView, outbound: nodes.OutboundFacts) -> nodes.OutboundNode:
    """The skeleton of one outbound, before any policy."""
    listener, cluster = _listener(outbound), _cluster(outbound)
    author = res.ref_to(picture.resource)
    nodes.add_authors(listener, [author])
    nodes.add_authors(cluster, [author])
    return nodes.OutboundNode(outbound, listener, cluster)


def _listener(outbound: nodes.OutboundFacts) -> nodes.ListenerNode:
    name = names.outbound_listener(outbound.address, outbound.port)
    message = listeners.tcp_listener(name, outbound.address, outbound.port, api.OUTBOUND)
    if not outbound.bind:
        message.bind_to_port.value = False
    listeners.set_tags(message, {labels.SERVICE_TAG: outbound.service})
    stat = names.sanitize_stat(outbound.service)
    if not outbound.protocol.is_http:
        chain = nodes.ChainNode(tcp=api.TcpProxy(stat_prefix=stat, cluster=outbound.service))
        return nodes.ListenerNode(name, message, [chain])
    manager = http.connection_manager(stat, ipv6=outbound.ipv6)
    manager.normalize_path.value = True
    manager.common_http_protocol_options.idle_timeout.CopyFrom(api.seconds(0))
    host = http.routes(manager.route_config, names.outbound_route(outbound.service), outbound.service)
    route = http.prefix_route(host, "/", outbound.service)
    route.name = http.CATCH_ALL_ROUTE
    route.route.timeout.CopyFrom(api.seconds(0))
    chain = nodes.ChainNode(http=manager, http_filters=listeners.http_filters(outbound.protocol))
    return nodes.ListenerNode(name, message, [chain])


def _cluster(outbound: nodes.OutboundFacts) -> nodes.ClusterNode:
    message = clusters.cluster(outbound.service, "EDS")
    options = http.upstream_options(http2=True)
    if outbound.protocol in (nodes.Protocol.HTTP, nodes.Protocol.HTTP2):
        http.set_lifetimes(options, IDLE_SECONDS)
    context = None
    if outbound.tls == nodes.Tls.MUTUAL:
        sni = names.service_sni(outbound.service, outbound.mesh)
        context = tls.upstream(outbound.mesh, outbound.service, sni, outbound.unified)
    return nodes.ClusterNode(outbound.service, message, http=options, tls=context)


def load_assignment(name: str, members: Iterable[endpoints.Endpoint]) -> api.Message:
    """The endpoints of a cluster, grouped by zone; none at all leaves the name alone."""
    out = api.ClusterLoadAssignment(cluster_name=name)
    zones: dict[str, api.Message] = {}
    for member in sorted(members, key=lambda each: (each.zone, each.address, each.port)):
        group = zones.get(member.zone)
        if group is None:
            group = zones[member.zone] = out.endpoints.add()
            if member.zone:
                group.locality.zone = member.zone
        one = group.lb_endpoints.add()
        one.endpoint.address.CopyFrom(sockets.socket_address(member.address, member.port))
        one.load_balancing_weight.value = member.weight
        metadata = one.metadata.filter_metadata
        tags = dict(member.tags)
        if tags:
            metadata["envoy.lb"].update(tags)
            metadata["envoy.transport_socket_match"].update(tags)
        if member.labels:
            metadata["io.kuma.labels"].update(dict(member.labels))
    return out
