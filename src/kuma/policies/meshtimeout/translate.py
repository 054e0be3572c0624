"""MeshTimeout as the timeouts of clusters, connection managers, TCP proxies and routes.

It has the last word on timeouts of every proxy, also where no MeshTimeout exists: what nobody says has a default.
Only towards a `kuma.io/service` that no MeshTimeout is about, listeners and routes keep what they have. Source: Kuma's
documentation, "MeshTimeout"; where a value goes, Envoy's API.
"""

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshtimeout import model
from kuma.policy_engine import inbound_routes, policy
from kuma.policy_engine.merging import rules
from kuma.resources import values

ORDER = 1000
CONNECTION_SECONDS = 5.0
IDLE_SECONDS = 3600.0
REQUEST_SECONDS = 15.0
STREAM_IDLE_SECONDS = 1800.0

_SILENT = model.Conf()
_WITH_LIFETIMES = (nodes.Protocol.HTTP, nodes.Protocol.HTTP2)
"""Protocols whose clusters carry timeouts of requests. Those of gRPC do not: its streams are meant to last."""


class MeshTimeout(policy.Policy):
    """Timeouts of inbounds by `rules` and `from`, of outbounds by `to`."""

    kind = model.KIND
    order = ORDER
    hears_egress_as_outbound = True

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """The timeouts between the proxy and its application."""
        if found.base is not None or found.is_empty:
            _set_inbound(node, _conf(found.base))
        confs = inbound_routes.client_confs(found, _times_requests)
        inbound_routes.split(node, context.mesh, "mesh_timeout", confs, _shorten)
        nodes.add_authors(node.listener, found.origins)
        nodes.add_authors(node.cluster, found.origins)

    def outbound(self, conf: policy.Conf, node: nodes.OutboundNode, context: policy.Context) -> None:
        """The timeouts of connections from the application."""
        if conf is not None or node.facts.destination.target is not None:
            _set_chain(node.chain, _conf(conf))

    def route(
        self, conf: policy.Conf, node: nodes.RouteNode, outbound: nodes.OutboundFacts, context: policy.Context
    ) -> None:
        """The timeouts of requests."""
        if conf is not None or outbound.destination.target is not None:
            _set_route(node.message, _conf(conf))

    def cluster(self, conf: policy.Conf, node: nodes.DestinationNode, context: policy.Context) -> None:
        """The timeouts of connections to a destination."""
        _set_cluster(node.cluster, _conf(conf), node.facts.protocol)


POLICY = MeshTimeout()


def _conf(merged: policy.Conf) -> model.Conf:
    return merged.conf if merged is not None else _SILENT


def _http(conf: model.Conf) -> model.Http:
    return conf.http or model.Http()


def _duration(value: values.GoDuration | None, default: float) -> api.Message:
    return api.seconds(default) if value is None else api.nanoseconds(value.nanoseconds)


def _set_inbound(node: nodes.InboundNode, conf: model.Conf) -> None:
    _set_cluster(node.cluster, conf, node.facts.protocol)
    for chain in node.listener.chains:
        _set_chain(chain, conf)
        if chain.http is not None:
            for host in chain.http.route_config.virtual_hosts:
                for route in host.routes:
                    _set_route(route, conf)


def _times_requests(conf: model.Conf) -> bool:
    """Whether a conf has timeouts that one route can have and another not."""
    return _http(conf).request_timeout is not None or _http(conf).stream_idle_timeout is not None


def _shorten(route: api.Message, conf: model.Conf) -> None:
    """A route of some clients: what is not said of them is as for everybody."""
    http = _http(conf)
    if http.request_timeout is not None:
        route.route.timeout.CopyFrom(api.nanoseconds(http.request_timeout.nanoseconds))
    if http.stream_idle_timeout is not None:
        route.route.idle_timeout.CopyFrom(api.nanoseconds(http.stream_idle_timeout.nanoseconds))


def _set_cluster(node: nodes.ClusterNode, conf: model.Conf, protocol: nodes.Protocol) -> None:
    node.message.connect_timeout.CopyFrom(_duration(conf.connection_timeout, CONNECTION_SECONDS))
    if node.http is None or protocol not in _WITH_LIFETIMES:
        return
    common, http = node.http.common_http_protocol_options, _http(conf)
    common.idle_timeout.CopyFrom(_duration(conf.idle_timeout, IDLE_SECONDS))
    common.max_connection_duration.CopyFrom(_duration(http.max_connection_duration, 0))
    common.max_stream_duration.CopyFrom(_duration(http.max_stream_duration, 0))


def _set_chain(chain: nodes.ChainNode, conf: model.Conf) -> None:
    if chain.tcp is not None:
        chain.tcp.idle_timeout.CopyFrom(_duration(conf.idle_timeout, IDLE_SECONDS))
    if chain.http is not None:
        chain.http.common_http_protocol_options.idle_timeout.CopyFrom(api.seconds(0))
        headers = _duration(_http(conf).request_headers_timeout, 0)
        chain.http.request_headers_timeout.CopyFrom(headers)


def _set_route(route: api.Message, conf: model.Conf) -> None:
    if not route.HasField("route"):
        return  # a redirect waits for nobody
    http = _http(conf)
    route.route.timeout.CopyFrom(_duration(http.request_timeout, REQUEST_SECONDS))
    route.route.idle_timeout.CopyFrom(_duration(http.stream_idle_timeout, STREAM_IDLE_SECONDS))
