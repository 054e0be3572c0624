"""Which name servers this machine asks. Source: resolv.conf(5)."""

import ipaddress
import os
import time
from collections.abc import Callable, Sequence

PATH = "/etc/resolv.conf"

_PORT = 53
_LOOK_AGAIN = 5.0
"""Seconds between looks at whether the file has changed."""

Server = tuple[str, int]


class ResolvConf:
    """The name servers of a resolv.conf, read again after it changed. `own` is never among them: it would ask itself."""

    def __init__(self, path: str = PATH, own: Sequence[Server] = (), clock: Callable[[], float] = time.monotonic):
        self._path = path
        self._own = frozenset(own)
        self._clock = clock
        self._look_at = clock()
        self._seen: tuple[int, int] | None = None
        self._servers: tuple[Server, ...] = ()

    def servers(self) -> tuple[Server, ...]:
        """The servers of the moment, in their order; empty where there are none."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN
            self._look()
        return self._servers

    def _look(self) -> None:
        try:
            found = os.stat(self._path)
            if self._seen == (found.st_mtime_ns, found.st_ino):
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                listed = [(address, _PORT) for address in name_servers(file.read())]
        except OSError:  # it is being replaced, or there is none; what was read before still holds
            return
        self._servers = tuple(each for each in listed if each not in self._own)
        self._seen = found.st_mtime_ns, found.st_ino


def name_servers(text: str) -> list[str]:
    """Addresses in the `nameserver` lines of a resolv.conf; what is no address is left out."""
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1])]


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
