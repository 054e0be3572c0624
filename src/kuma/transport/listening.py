"""The listening socket: one address, or every address of the machine in one socket."""

import socket


def open_socket(host: str, port: int, backlog: int) -> socket.socket:
    """A bound, listening TCP socket. An empty `host` is every address, IPv6 included where the machine has it.

    Connections that it accepts inherit TCP_NODELAY: asyncio sets it only on sockets that were made with the number of
    TCP, and without it a small answer after another waits 40 ms for the client's ACK. Raises OSError when the port is
    taken.
    """
    opened = _open(host, port, backlog)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _open(host: str, port: int, backlog: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=backlog)
