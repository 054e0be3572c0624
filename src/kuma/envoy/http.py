"""Connection managers, routes and HTTP protocol options."""

from collections.abc import Mapping

from kuma.base import regexes
from kuma.envoy import api

CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
TAGS_HEADER = "x-kuma-tags"
"""Tells a server the tags of its client; written by the client's proxy, removed by the server's."""
ROUTER = "envoy.filters.http.router"
GRPC_STATS = "envoy.filters.http.grpc_stats"
PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CATCH_ALL_ROUTE = "9Zuf5Tg79OuZcQITwBbQykxAk2u4fRKrwYn3//AL4Yo="
"""Name of the default route of an outbound: base64 of SHA-256 over its only match, the path prefix `/`."""

NOTHING = r"[^\x{0}-\x{10ffff}]"
"""A regular expression that no text fits."""

_LOOPBACK = (("127.0.0.1", 32), ("::1", 128))
_INTERNAL = (("10.0.0.0", 8), ("192.168.0.0", 16), ("172.16.0.0", 12), ("fc00::", 7), ("fd00::", 8), *_LOOPBACK)


def connection_manager(stat_prefix: str, *, local_only: bool = False, ipv6: bool = True) -> api.Message:
    """A connection manager that trusts the usual private ranges as internal (`local_only`: the loopback alone)."""
    out = api.HttpConnectionManager(stat_prefix=stat_prefix)
    for prefix, length in _LOOPBACK if local_only else _INTERNAL:
        if ipv6 or ":" not in prefix:
            cidr = out.internal_address_config.cidr_ranges.add(address_prefix=prefix)
            cidr.prefix_len.value = length
    return out


def routes(config: api.Message, name: str, host: str) -> api.Message:
    """Fills a route configuration with one virtual host for all domains and returns that host."""
    config.name = name
    config.validate_clusters.value = False
    return config.virtual_hosts.add(name=host, domains=["*"])


def prefix_route(host: api.Message, prefix: str, cluster: str, rewrite: str = "") -> api.Message:
    """Adds a route by path prefix and returns it."""
    route = host.routes.add()
    route.match.prefix = prefix
    route.route.cluster = cluster
    if rewrite:
        route.route.prefix_rewrite = rewrite
    return route


def router() -> api.Message:
    """The last HTTP filter of every chain."""
    return api.Router()


def grpc_stats() -> api.Message:
    """Counts gRPC messages and calls."""
    return api.GrpcStats(emit_filter_state=True)


def upstream_options(http2: bool) -> api.Message:
    """How requests travel to a cluster."""
    out = api.HttpProtocolOptions()
    if http2:
        out.explicit_http_config.http2_protocol_options.SetInParent()
    else:
        out.explicit_http_config.http_protocol_options.SetInParent()
    return out


def header_matcher(kind: str, name: str, value: str) -> api.Message:
    """A test of one header: `Exact`, `Prefix` or `RegularExpression` of its value, or that it is `Present` or `Absent`.

    What is no regular expression fits nothing: Envoy would refuse all of the listener for it.
    """
    out = api.HeaderMatcher(name=name)
    if kind in ("Present", "Absent"):
        out.present_match = kind == "Present"
    elif kind == "RegularExpression":
        out.string_match.safe_regex.regex = value if regexes.is_re2(value) else NOTHING
    elif kind == "Prefix" and not value:
        out.present_match = True  # every value begins with nothing, which Envoy does not let itself be asked
    elif kind == "Prefix":
        out.string_match.prefix = value
    else:
        out.string_match.exact = value
    return out


def tags_matcher(tags: Mapping[str, str], *, invert: bool = False) -> api.Message:
    """A test of the header that tells the client's tags: that it has all of `tags` (`*`: with any value), or not."""
    parts = []
    for key in sorted(tags):
        value = tags[key].replace(".", r"\.")
        parts.append(f"&{key}=" + ("" if value == "*" else f"[^&]*{value}[,&]"))
    out = api.HeaderMatcher(name=TAGS_HEADER, invert_match=invert)
    out.string_match.safe_regex.regex = f".*{'.*'.join(parts)}.*"
    return out
