"""Ports of 127.0.0.1: which are taken, and free ones for what nobody needs to know."""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LOCALHOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port that has to be free: what it is for, the flag that chooses another, and where it is listened on."""

    purpose: str
    flag: str
    port: int
    host: str = LOCALHOST


def is_free(port: int, host: str = LOCALHOST) -> bool:
    """Whether a program could listen on `port` now, at one address or (`0.0.0.0`) at all of them."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    return True


def complaints(wanted: Iterable[Wanted]) -> list[str]:
    """One sentence for each port that is taken or asked for twice."""
    found, seen = [], set()
    for each in wanted:
        reason = "asked for twice" if each.port in seen else "" if is_free(each.port, each.host) else "taken"
        if reason:
            found.append(f"port {each.port} ({each.purpose}) is {reason}; choose another with {each.flag}")
        seen.add(each.port)
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
