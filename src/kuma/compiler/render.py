"""Nodes into bytes: each is packed once, filters in the order of their stages."""

from collections.abc import Sequence

from kuma.base import labels
from kuma.discovery import resources as xds
from kuma.envoy import api, http, tls
from kuma.plan import nodes

TCP_PROXY = "envoy.filters.network.tcp_proxy"


def listener(node: nodes.ListenerNode, routes: Sequence[nodes.RouteNode] = ()) -> api.Message:
    """A listener with all its chains; `routes` are those of an outbound that speaks HTTP."""
    message = node.message
    for chain in node.chains:
        if routes and chain.http is not None:
            chain.http.route_config.virtual_hosts[0].routes.extend(each.message for each in routes)
        _chain(message.filter_chains.add(), chain)
    return message


def _chain(out: api.Message, chain: nodes.ChainNode) -> None:
    out.name = chain.name
    if chain.match is not None:
        out.filter_chain_match.CopyFrom(chain.match)
    if chain.tls is not None:
        out.transport_socket.CopyFrom(tls.socket(chain.tls))
    for each in sorted(chain.filters, key=lambda node: node.stage):
        out.filters.add(name=each.name).typed_config.CopyFrom(api.pack(each.message))
    if chain.http is not None:
        manager = chain.http
        for each in sorted(chain.http_filters, key=lambda node: node.stage):
            manager.http_filters.add(name=each.name).typed_config.CopyFrom(api.pack(each.message))
        manager.http_filters.add(name=http.ROUTER).typed_config.CopyFrom(api.pack(http.router()))
        out.filters.add(name=http.CONNECTION_MANAGER).typed_config.CopyFrom(api.pack(manager))
    if chain.tcp is not None:
        out.filters.add(name=TCP_PROXY).typed_config.CopyFrom(api.pack(chain.tcp))


def cluster(node: nodes.ClusterNode) -> api.Message:
    """A cluster with its protocol options and TLS context, which endpoints of some zones have under another name."""
    message = node.message
    if node.http is not None:
        message.typed_extension_protocol_options[http.PROTOCOL_OPTIONS].CopyFrom(api.pack(node.http))
    if node.tls is not None:
        message.transport_socket.CopyFrom(tls.socket(node.tls))
        for zone, sni in node.by_zone:
            other = api.UpstreamTlsContext()
            other.CopyFrom(node.tls)
            other.sni = sni
            match = message.transport_socket_matches.add(name=zone, transport_socket=tls.socket(other))
            match.match[labels.ZONE_TAG] = zone
    return message


def rendered(type_url: str, message: api.Message) -> xds.Rendered:
    """A message as proxies get it."""
    name = message.cluster_name if type_url == xds.ENDPOINT else message.name
    return xds.Rendered(type_url, name, message.SerializeToString(deterministic=True))
