"""The listening socket: one address, or every address of the machine in one socket."""

import socket


def open_socket(host: str, port: int, backlog: int) -> socket.socket:
    """A bound, listening TCP socket. An empty `host` is every address, IPv6 included where the machine has it.

    Raises OSError when the port is taken.
    """
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=backlog)
