"""Addresses and ports of the loopback that nobody else uses, and waiting for what other processes do."""

import itertools
import os
import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a condition may take on a loaded machine; what takes longer is broken."""

_POLL = 0.02
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
"""Below the range from which kernels take ports of outgoing connections, so a free one stays free."""

_draw = random.Random(os.urandom(8))
_block = f"127.{_draw.randint(16, 250)}.{_draw.randint(1, 254)}"
_hosts = itertools.cycle(range(2, 255))
_given: set[tuple[str, int]] = set()


def own_address() -> str:
    """An address in 127.0.0.0/8 for one proxy: ports of different proxies do not meet."""
    return f"{_block}.{next(_hosts)}"


def free_port(address: str = "0.0.0.0") -> int:
    """A port that nobody listens on, and that was not given away before."""
    while True:
        port = _draw.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue  # taken
            if (address, port) in _given:
                continue  # a proxy asks for all its ports before it listens on any
            _given.add((address, port))
            return port


def until(what: str, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What `condition` returns once it is true. It may raise AssertionError and OSError meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            found = condition()
            if found:
                return found
            last = found
        except (AssertionError, OSError) as failure:
            last = failure
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {last!r}")
        time.sleep(_POLL)
