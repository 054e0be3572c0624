"""Envoy's admin API and the agent's readiness, reachable on the proxy's address for those who may.

`/ready` is open; everything else needs the control plane's client certificate (Kuma's documentation, "Envoy admin").
"""

import ipaddress
from dataclasses import dataclass, field

from kuma.compiler import listeners
from kuma.envoy import api, clusters, http, names, sockets, tls
from kuma.plan import nodes, proxy
from kuma.resources import resource as res

ORIGIN = "admin"
Subject = proxy.ProxyFacts | proxy.ZoneProxyFacts
_UNSPECIFIED = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class AdminCertificate:
    """PEMs of the admin listener: the server's own pair, and the CA of the control plane's client certificate."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes


def admin_nodes(
    subject: Subject, certificate: AdminCertificate | None
) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    """The admin listener and the two clusters behind it; nothing where the proxy has no admin port or no readiness.

    Nothing either where Envoy's admin API is not on the loopback: everybody could use it as it is. There is no listener
    where that API already occupies its address, and none before there is a certificate.
    """
    admin = subject.admin
    admin_address = _loopback(admin.address)
    if not admin.port or not admin.readiness_port or not subject.address or not admin_address:
        return [], []
    unified = subject.has(proxy.UNIFIED_NAMING)
    own, ready = names.admin(unified), names.readiness(unified)
    target = sockets.pipe_address(admin.socket) if admin.socket else sockets.socket_address(admin_address, admin.port)
    behind = [
        _cluster(own, target),
        _cluster(ready, sockets.socket_address(admin_address, admin.readiness_port)),
    ]
    author = res.ref_to(subject.resource)
    made = []
    if certificate is not None and subject.address != admin_address:
        made.append(_listener(subject, subject.address, certificate, own, ready))
    for cluster in behind:
        nodes.add_authors(cluster, [author])
    for listener in made:
        nodes.add_authors(listener, [author])
    return made, behind


def _loopback(address: str) -> str:
    """Where Envoy reaches its own admin API; empty where that is not on the loopback."""
    if address in _UNSPECIFIED:
        return _UNSPECIFIED[address]
    try:
        return address if ipaddress.ip_address(address).is_loopback else ""
    except ValueError:
        return ""


def _cluster(name: str, address: api.Message) -> nodes.ClusterNode:
    message = clusters.cluster(name, "STATIC")
    message.load_assignment.CopyFrom(sockets.static_assignment(name, address))
    return nodes.ClusterNode(name, message, origin=ORIGIN)


def _listener(
    subject: Subject, address: str, certificate: AdminCertificate, own: str, ready: str
) -> nodes.ListenerNode:
    message = listeners.tcp_listener(own, address, subject.admin.port, api.INBOUND)
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    tls.inspect(message)
    secured = _chain(subject, own, ready, with_admin=True)
    secured.match = api.FilterChainMatch(transport_protocol="tls")
    secured.tls = tls.admin_downstream(certificate.certificate, certificate.key, certificate.ca)
    return nodes.ListenerNode(own, message, [_chain(subject, own, ready, with_admin=False), secured], origin=ORIGIN)


def _chain(subject: Subject, own: str, ready: str, *, with_admin: bool) -> nodes.ChainNode:
    manager = http.connection_manager(names.sanitize_stat(own), local_only=True, ipv6=subject.ipv6)
    host = http.routes(manager.route_config, "", own)
    http.prefix_route(host, "/ready", ready, rewrite="/ready")
    if with_admin:
        http.prefix_route(host, "/", own, rewrite="/")
    return nodes.ChainNode(http=manager)
