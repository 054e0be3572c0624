"""Ports of 127.0.0.1: which are taken, and free ones for what nobody needs to know."""

import socket
from collections.abc import Iterable, Sequence

LOCALHOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a program could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
            probe.listen()
        except OSError:
            return False
    return True


def complaints(wanted: Iterable[tuple[str, str, int]]) -> list[str]:
    """One sentence for each port that is taken or asked for twice: (what for, flag, port)."""
    found, seen = [], set()
    for purpose, flag, port in wanted:
        if port in seen:
            found.append(f"port {port} ({purpose}) is asked for twice; choose another with {flag}")
        elif not is_free(port):
            found.append(f"port {port} ({purpose}) is taken; choose another with {flag}")
        seen.add(port)
    return found


def free_ports(count: int, besides: Sequence[int]) -> list[int]:
    """Different free ports, none of them in `besides`."""
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            probe = socket.socket()
            held.append(probe)
            probe.bind((LOCALHOST, 0))
            port = int(probe.getsockname()[1])
            if port not in besides:
                found.append(port)
    finally:
        for each in held:
            each.close()
    return found
