"""MeshRateLimit as token buckets of inbounds: of each route for requests, of each filter chain for connections.

A filter without a limit stands among the HTTP filters, routes carry the limits; clients that have a limit of their own
have routes of their own. Connections are counted before anybody knows the client. Source: Kuma's documentation,
"MeshRateLimit"; Envoy's API, "Local rate limit".
"""

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshratelimit import model
from kuma.policy_engine import inbound_routes, policy
from kuma.policy_engine.merging import rules
from kuma.policy_engine.writing import headers as http_headers

ORDER = 900

HTTP_FILTER = "envoy.filters.http.local_ratelimit"
_NETWORK_FILTER = "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"
_HTTP_STAT, _NETWORK_STAT = "rate_limit", "tcp_rate_limit"
_ENABLED, _ENFORCED = "local_rate_limit_enabled", "local_rate_limit_enforced"


class MeshRateLimit(policy.Policy):
    """Limits of inbounds by `rules` and `from`."""

    kind = model.KIND
    order = ORDER
    at_egress = ("inbound",)

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """The requests and connections that an inbound lets in."""
        confs = inbound_routes.client_confs(found, _says_requests)
        everybody = _limit_of(found.base.conf) if found.base is not None else None
        if everybody is not None or any(_limit_of(each.conf) is not None for each in confs):
            for chain in node.listener.chains:
                _limit_requests(chain, everybody)
            inbound_routes.split(node, context.mesh, "mesh_rate_limit", confs, _set_limit)
        connections = _connection_limit(found.base.conf) if found.base is not None else None
        if connections is not None:
            for chain in node.listener.chains:
                chain.filters.append(nodes.FilterNode(nodes.Stage.CONNECTION_LIMIT, _NETWORK_FILTER, connections))
        nodes.add_authors(node.listener, found.origins)


POLICY = MeshRateLimit()


def _says_requests(conf: model.Conf) -> bool:
    return conf.local is not None and conf.local.http is not None


def _limit_requests(chain: nodes.ChainNode, limit: api.Message | None) -> None:
    if chain.http is None:
        return
    chain.http_filters.append(
        nodes.FilterNode(nodes.Stage.RATE_LIMIT, HTTP_FILTER, api.HttpRateLimit(stat_prefix=_HTTP_STAT))
    )
    for host in chain.http.route_config.virtual_hosts:
        for route in host.routes:
            _put(route, limit)


def _set_limit(route: api.Message, conf: model.Conf) -> None:
    """A route of some clients: their limit, none where it is turned off."""
    _put(route, _limit_of(conf))


def _put(route: api.Message, limit: api.Message | None) -> None:
    if limit is None:
        route.typed_per_filter_config.pop(HTTP_FILTER, None)
    else:
        route.typed_per_filter_config[HTTP_FILTER].CopyFrom(api.pack(limit))


def _limit_of(conf: model.Conf) -> api.Message | None:
    """The limit of requests; None where there is none or it is disabled."""
    http = conf.local.http if conf.local is not None else None
    if http is None or http.disabled or http.request_rate is None:
        return None
    out = api.HttpRateLimit(stat_prefix=_HTTP_STAT)
    _fill(out.token_bucket, http.request_rate)
    for switch, key in ((out.filter_enabled, _ENABLED), (out.filter_enforced, _ENFORCED)):
        switch.runtime_key = key
        switch.default_value.numerator = 100
    if http.on_rate_limit is not None:
        _answer(out, http.on_rate_limit)
    return out


def _answer(limit: api.Message, answer: model.OnRateLimit) -> None:
    """What a refused client hears. A status that Envoy does not know becomes its own, 429."""
    if answer.status in api.StatusCode.values() and answer.status:
        limit.status.code = answer.status
    headers = answer.headers or http_headers.HeaderChanges()
    for each in headers.add or ():
        header = limit.response_headers_to_add.add().header
        header.key, header.value = each.name, each.value
    for each in headers.set or ():
        header = limit.response_headers_to_add.add(append_action=api.OVERWRITE).header
        header.key, header.value = each.name, each.value


def _connection_limit(conf: model.Conf) -> api.Message | None:
    tcp = conf.local.tcp if conf.local is not None else None
    if tcp is None or tcp.disabled or tcp.connection_rate is None:
        return None
    out = api.NetworkRateLimit(stat_prefix=_NETWORK_STAT)
    _fill(out.token_bucket, tcp.connection_rate)
    return out


def _fill(bucket: api.Message, rate: model.Rate) -> None:
    bucket.max_tokens = rate.num
    bucket.tokens_per_fill.value = rate.num
    bucket.fill_interval.CopyFrom(api.nanoseconds(rate.interval.nanoseconds))
