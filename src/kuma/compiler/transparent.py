"""Transparent proxying: listeners that iptables redirects to, for traffic that no inbound or outbound takes.

Source: Envoy's original destination cluster; which of them exist is Kuma's transparent proxy contract.
"""

from kuma.compiler import inbounds, listeners
from kuma.envoy import api, clusters, names
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res

ORIGIN = "transparent"
_FAMILIES = (("ipv4", "0.0.0.0", "127.0.0.6"), ("ipv6", "::", "::6"))


def passthrough_nodes(
    picture: view.MeshView, subject: proxy.ProxyFacts, *, strict: bool
) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    """Passthrough in both directions; nothing where traffic is not redirected or outbounds are bound.

    `strict`: some inbound takes mutual TLS alone.
    """
    redirect = subject.redirect
    if not redirect.enabled or subject.has(proxy.BIND_OUTBOUNDS):
        return [], []
    unified = inbounds.is_unified(picture, subject)
    made: list[nodes.ListenerNode] = []
    behind = [nodes.ClusterNode(names.NO_DESTINATION, _no_destination())]
    for family, any_address, source in _FAMILIES[:1] if redirect.ipv4_only else _FAMILIES:
        outbound = names.passthrough("outbound", family, unified)
        made.append(_listener(outbound, any_address, redirect.outbound_port, api.OUTBOUND, [_chain(outbound)], unified))
        if picture.passes_unknown:
            behind.append(nodes.ClusterNode(outbound, clusters.cluster(outbound, "ORIGINAL_DST")))
        if redirect.inbound_port:
            inbound = names.passthrough("inbound", family, unified)
            chains = _inbound_chains(subject, inbound, strict=strict)
            listener = _listener(inbound, any_address, redirect.inbound_port, api.INBOUND, chains, unified)
            listener.message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
            made.append(listener)
            cluster = clusters.cluster(inbound, "ORIGINAL_DST")
            clusters.bind_to(cluster, source)
            behind.append(nodes.ClusterNode(inbound, cluster))
    authors = [res.ref_to(subject.resource), res.ref_to(picture.resource)]
    for each in made:
        each.origin = ORIGIN
        nodes.add_authors(each, authors)
    for other in behind:
        other.origin = ORIGIN
        nodes.add_authors(other, authors)
    return made, behind


def _no_destination() -> api.Message:
    out = clusters.cluster(names.NO_DESTINATION, "STATIC")
    out.alt_stat_name = names.NO_DESTINATION
    return out


def _listener(
    name: str, address: str, port: int, direction: int, chains: list[nodes.ChainNode], unified: bool
) -> nodes.ListenerNode:
    message = listeners.tcp_listener(name, address, port, direction)
    message.use_original_dst.value = True
    if unified:
        message.stat_prefix = name
    return nodes.ListenerNode(name, message, chains)


def _chain(cluster: str, stat: str = "", port: int = 0) -> nodes.ChainNode:
    match = None
    if port:
        match = api.FilterChainMatch()
        match.destination_port.value = port
    return nodes.ChainNode(
        match=match, tcp=api.TcpProxy(stat_prefix=names.sanitize_stat(stat or cluster), cluster=cluster)
    )


def _inbound_chains(subject: proxy.ProxyFacts, name: str, *, strict: bool) -> list[nodes.ChainNode]:
    """Under strict mutual TLS only the ports of inbounds are let through, so that nothing bypasses it."""
    networking = subject.spec.networking
    ports = sorted({each.port for each in networking.inbound}) if networking else []
    if not (subject.has(proxy.STRICT_INBOUND_PORTS) and strict and ports):
        return [_chain(name)]
    return [
        _chain(names.NO_DESTINATION if port == inbounds.RESERVED_PORT else name, stat=name, port=port) for port in ports
    ]
