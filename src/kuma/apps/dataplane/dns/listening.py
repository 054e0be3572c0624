"""Whether the agent answers DNS, and where: sockets are taken before anything is said to the control plane.

Source: Kuma's documentation, "DNS" and "Transparent proxying".
"""

import socket
from collections.abc import Mapping
from typing import Any

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining.definition import Definition

_BACKLOG = 128
_RECEIVE_BUFFER = 1 << 20

Pair = tuple[socket.socket, socket.socket]
"""UDP and TCP on one port."""


def open_sockets(
    settings: conf.Settings, redirection: Mapping[str, Any] | None, brought: Definition | None, has_ipv6: bool
) -> tuple[Pair, ...]:
    """The sockets, one pair an address; none where the agent leaves DNS alone. AgentError where one is taken."""
    port = chosen_port(settings, redirection is not None or is_redirected(brought))
    if not port:
        return ()
    made: list[Pair] = []
    for address in addresses(redirection, settings.ipv6_enabled and has_ipv6):
        try:
            made.append(bind(address, port))
        except OSError as error:
            for each in (each for pair in made for each in pair):
                each.close()
            raise AgentError(
                f"could not answer DNS on {address}:{port}: {error.strerror}. Choose another port with "
                "KUMA_DNS_PROXY_PORT, or do without names of the mesh: --dns-enabled=false"
            ) from error
    return tuple(made)


def chosen_port(settings: conf.Settings, redirected: bool) -> int:
    """The port, 0 for none. Names lead to addresses that are reached by redirection alone, so without it nobody asks."""
    if not settings.dns_enabled or settings.proxy_type != "dataplane":
        return 0
    if redirected or "dns_coredns_port" in settings.given:
        return settings.dns_proxy_port or settings.dns_coredns_port
    return settings.dns_proxy_port


def is_redirected(brought: Definition | None) -> bool:
    """Whether a Dataplane says itself that outgoing traffic is redirected into the proxy."""
    networking = brought.document.get("networking") if brought else None
    transparent = networking.get("transparentProxying") if isinstance(networking, dict) else None
    return isinstance(transparent, dict) and bool(transparent.get("redirectPortOutbound"))


def addresses(redirection: Mapping[str, Any] | None, has_ipv6: bool) -> tuple[str, ...]:
    """Where to listen. Containers of a virtual network are redirected to addresses of its bridge; else the loopback does."""
    redirect = (redirection or {}).get("redirect") or {}
    v4, v6 = ("0.0.0.0", "::") if (redirect.get("vnet") or {}).get("networks") else ("127.0.0.1", "::1")
    is_dual = redirection is not None and redirection.get("ipFamilyMode") != "ipv4"
    return (v4, v6) if is_dual and has_ipv6 else (v4,)


def bind(address: str, port: int) -> Pair:
    """A UDP and a TCP socket on one port; OSError where either is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made: list[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            made.append(each := socket.socket(family, kind))
            each.setblocking(False)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            each.bind((address, port))
        made[1].listen(_BACKLOG)
    except OSError:
        for each in made:
            each.close()
        raise
    return made[0], made[1]
