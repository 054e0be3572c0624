"""Outbounds: a listener for the application to dial, the cluster of a destination, its endpoints.

Nothing here is personal to a proxy, so a node is built once for all proxies that have equal facts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kuma.base import labels
from kuma.compiler import destinations, external, listeners
from kuma.envoy import api, clusters, http, names, sockets, tls
from kuma.mesh import endpoints, view
from kuma.mesh import outbounds as mesh_outbounds
from kuma.plan import nodes, proxy
from kuma.resources import resource as res

ORIGIN = "outbound"
UNIFIED_NAME = "kuma.io/unified-name"


def listed(picture: view.MeshView, subject: proxy.ProxyFacts) -> mesh_outbounds.Outbounds:
    """The addresses on which a proxy's application finds destinations; one object for proxies of equal reach."""
    transparent = subject.redirect.enabled or subject.has(proxy.BIND_OUTBOUNDS)
    return picture.outbounds_of(subject.resource, transparent=transparent)


def facts(
    subject: proxy.ProxyFacts, clients: destinations.Clients, source_tags: str = ""
) -> tuple[nodes.OutboundFacts, ...]:
    """The outbounds of a proxy, in the order it lists them. `source_tags`: what HTTP servers are told of its tags."""
    bind = not subject.redirect.enabled or subject.has(proxy.BIND_OUTBOUNDS)
    found = listed(clients.picture, subject)
    key = (id(found), bind, subject.ipv6, subject.knows_kafka, source_tags)
    known = clients.outbounds.get(key)
    if known is None:
        made = tuple(_facts(found, clients, subject, bind=bind, source_tags=source_tags))
        known = clients.outbounds[key] = (found, made)
    return known[1]


def _facts(
    found: mesh_outbounds.Outbounds,
    clients: destinations.Clients,
    subject: proxy.ProxyFacts,
    *,
    bind: bool,
    source_tags: str,
) -> Iterator[nodes.OutboundFacts]:
    for each in found:
        subset = None
        if each.destination is None:
            destination = clients.of_service(each.service)
            if each.tags:
                subset = clients.of_service(each.service, dict(each.tags))
        else:
            known = clients.picture.destinations.of(each.destination)
            if known is None:
                continue
            destination = clients.of_destination(known)
        yield nodes.OutboundFacts(
            destination,
            each.address,
            each.port,
            unified=clients.unified,
            bind=bind,
            ipv6=subject.ipv6,
            is_kafka=subject.knows_kafka and destination.protocol is nodes.Protocol.KAFKA,
            subset=subset,
            source_tags=source_tags if destination.protocol.is_http else "",
        )


def node(
    picture: view.MeshView, outbound: nodes.OutboundFacts, routes: Sequence[nodes.RouteFacts]
) -> nodes.OutboundNode:
    """The skeleton of one outbound, before any policy."""
    destination = outbound.destination
    name = listener_name(outbound)
    message = listeners.tcp_listener(name, outbound.address, outbound.port, api.OUTBOUND)
    if not outbound.bind:
        message.bind_to_port.value = False
    if destination.target is not None:
        listeners.set_tags(message, {UNIFIED_NAME: str(destination.target)})
        if outbound.unified:
            message.stat_prefix = name
    else:
        listeners.set_tags(message, {**dict(outbound.default.tags), labels.SERVICE_TAG: destination.service})
    listener = nodes.ListenerNode(name, message, origin=ORIGIN)
    nodes.add_authors(listener, [res.ref_to(picture.resource), *(who for each in routes for who in each.origins)])
    stat = names.sanitize_stat(destination.name)
    if any(each.message is None for each in routes):
        splits = [split for each in routes for split in each.splits]
        before = listeners.kafka_filters(stat, is_kafka=outbound.is_kafka)
        chain = nodes.ChainNode(filters=before, tcp=_tcp_proxy(stat, splits)) if splits else nodes.ChainNode()
        listener.chains.append(chain)
        return nodes.OutboundNode(outbound, listener)
    manager = http.connection_manager(stat, ipv6=outbound.ipv6)
    manager.normalize_path.value = True
    manager.common_http_protocol_options.idle_timeout.CopyFrom(api.seconds(0))
    config = str(destination.target) if destination.target is not None else names.outbound_route(destination.service)
    http.routes(manager.route_config, config, destination.name)
    if outbound.source_tags:
        header = manager.route_config.request_headers_to_add.add().header
        header.key, header.value = http.TAGS_HEADER, outbound.source_tags
    listener.chains.append(nodes.ChainNode(http=manager, http_filters=listeners.http_filters(destination.protocol)))
    made = []
    for each in routes:
        copied = api.Route()
        copied.CopyFrom(each.message)
        made.append(nodes.RouteNode(each, copied, listener.chains[0]))
    return nodes.OutboundNode(outbound, listener, made)


def listener_name(outbound: nodes.OutboundFacts) -> str:
    """What Envoy calls the listener: after its address, or after its destination with unified naming."""
    target = outbound.destination.target
    if outbound.unified and target is not None:
        return str(target)
    return names.outbound_listener(outbound.address, outbound.port)


def _tcp_proxy(stat: str, splits: Sequence[nodes.Split]) -> api.Message:
    out = api.TcpProxy(stat_prefix=stat)
    if len(splits) == 1:
        out.cluster = splits[0].cluster.name
    else:
        for split in splits:
            out.weighted_clusters.clusters.add(name=split.cluster.name, weight=split.weight)
    return out


def destination(
    picture: view.MeshView, facts: nodes.ClusterFacts, outside: external.Outside | None = None
) -> nodes.DestinationNode:
    """The skeleton of the cluster of a destination, before any policy; `outside` where it is beyond the mesh.

    Proxies of the mesh speak HTTP/2 to each other; what is beyond it is spoken to in its own protocol.
    """
    options: api.Message | None = http.upstream_options(http2=True)
    if outside is not None:
        facts = replace(facts, protocol=outside.protocol)
        options = external.options(outside.protocol)
    if outside is not None and facts.is_direct:
        message = external.cluster(facts, outside)
        message.load_assignment.CopyFrom(load_assignment(facts.name, (each for each, _ in outside.dialled)))
    else:
        message = clusters.cluster(facts.name, "EDS")
    context, up = None, facts.upstream
    if up is not None:
        context = tls.upstream(up.identity, up.roots, up.sni, exact=up.exact, prefix=up.prefix, server=up.server)
    by_zone = up.by_zone if up is not None else ()
    made = nodes.ClusterNode(facts.name, message, http=options, tls=context, by_zone=by_zone, origin=ORIGIN)
    nodes.add_authors(made, [res.ref_to(picture.resource)])
    return nodes.DestinationNode(facts, made)


def load_assignment(name: str, members: Iterable[endpoints.Endpoint]) -> api.Message:
    """The endpoints of a cluster, grouped by zone; none at all leaves the name alone."""
    out = api.ClusterLoadAssignment(cluster_name=name)
    groups: dict[tuple[str, int], api.Message] = {}
    for member in sorted(members, key=lambda each: (each.zone, each.priority, each.address, each.port)):
        at = (member.zone, member.priority)
        group = groups.get(at)
        if group is None:
            group = groups[at] = out.endpoints.add(priority=member.priority)
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
