"""Clusters: the fields that every one of ours has."""

import ipaddress

from kuma.envoy import api, names, sockets, tls

CONNECT_TIMEOUT_SECONDS = 5.0


def cluster(name: str, kind: str, connect_timeout: float = CONNECT_TIMEOUT_SECONDS) -> api.Message:
    """A cluster of a discovery type (`STATIC`, `EDS`, `ORIGINAL_DST`) that reports its remaining capacity."""
    out = api.Cluster(name=name, type=api.Cluster.DiscoveryType.Value(kind))
    out.connect_timeout.CopyFrom(api.seconds(connect_timeout))
    out.circuit_breakers.thresholds.add().track_remaining = True
    stat = names.sanitize_stat(name)
    if stat != name:
        out.alt_stat_name = stat
    if kind == "EDS":
        out.eds_cluster_config.eds_config.ads.SetInParent()
        out.eds_cluster_config.eds_config.resource_api_version = api.V3
    if kind == "ORIGINAL_DST":
        out.lb_policy = api.Cluster.LbPolicy.CLUSTER_PROVIDED
    return out


def bind_to(message: api.Message, address: str) -> None:
    """Sends from a fixed source address, so that iptables lets it pass to the application."""
    source = message.upstream_bind_config.source_address
    source.address = address
    source.port_value = 0


def outside(name: str, address: str, port: int, *, ipv6: bool) -> api.Message:
    """A cluster of one host beyond the mesh, an IP address or a name. `ipv6`: the proxy itself is dialled over IPv6."""
    is_ip = _is_ip(address)
    out = cluster(name, "STATIC" if is_ip else "STRICT_DNS")
    if not is_ip and not ipv6:
        out.dns_lookup_family = api.Cluster.DnsLookupFamily.V4_ONLY
    out.load_assignment.CopyFrom(sockets.static_assignment(name, sockets.socket_address(address, port)))
    return out


def piped(name: str, path: str) -> api.Message:
    """A cluster behind a Unix socket."""
    out = cluster(name, "STATIC")
    out.load_assignment.CopyFrom(sockets.static_assignment(name, sockets.pipe_address(path)))
    return out


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def secure_outside(message: api.Message, host: str, roots: str = "") -> None:
    """Dials a host beyond the mesh with TLS. It is verified where `roots`, a file of trusted certificates, is given."""
    context = api.UpstreamTlsContext(allow_renegotiation=True)
    if not _is_ip(host):
        context.sni = host
    if roots:
        context.common_tls_context.validation_context.trusted_ca.filename = roots
        san = context.common_tls_context.validation_context.match_typed_subject_alt_names.add()
        san.san_type = api.SubjectAltNameMatcher.SanType.IP_ADDRESS if _is_ip(host) else api.DNS_SAN
        san.matcher.exact = host
    match = message.transport_socket_matches.add(name=host)
    match.match.SetInParent()
    match.transport_socket.CopyFrom(tls.socket(context))
