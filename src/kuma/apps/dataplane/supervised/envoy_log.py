"""Reads along what Envoy writes: what the user should know is said in the agent's words, noise is left out.

Envoy reports each attempt to reach the control plane anew. Source of the texts: Envoy 1.38, `grpc_stream.h`.
"""

import re
from collections.abc import Callable

from kuma.apps.dataplane import log

QUIET_COMPONENTS = "upstream:error,main:error,hc:off"
"""Log levels of parts of Envoy where the user chose none: no line for each attempt of health discovery."""

AGAIN_AFTER = 60.0
"""Seconds after which the same message is worth another line."""

_CLOSED = re.compile(rb"gRPC config stream(?: to \S+)? closed[^:]*: (\d+), ([^\r\n]*)")
_LOST = frozenset({0, 1, 4, 13, 14})
"""gRPC statuses of a stream that broke (OK, CANCELLED, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE); others are verdicts."""
_PROBING = b"cgroup_cpu_util.cc"  # debug lines that Envoy writes before it knows its log level
_RETRYING = b"HdsDelegate stream/connection failure, will retry"  # follows each line of a stream that was closed

_log = log.logger("envoy")


class EnvoyLog:
    """One Envoy's lines. `quiet`: also leaves out what the agent says itself. `now` is a steady clock in seconds.

    Set `is_leaving` when the proxy leaves: that it loses the control plane then is no news.
    """

    def __init__(self, *, quiet: bool, verbose: bool, now: Callable[[], float]) -> None:
        """`verbose`: the user wants debug lines, so all of them."""
        self.is_leaving = False
        self._quiet = quiet
        self._verbose = verbose
        self._now = now
        self._said: dict[str, float] = {}

    def passes(self, line: bytes) -> bool:
        """Whether the user gets to see a line."""
        if _PROBING in line or _RETRYING in line:
            return self._verbose
        closed = _CLOSED.search(line)
        if closed is None:
            return True
        status, reason = int(closed[1]), closed[2].decode(errors="replace").replace("{via_upstream}", "").strip()
        if self.is_leaving:
            return self._verbose
        if status not in _LOST:
            self._say(f"the control plane refuses this proxy: {reason}")
            return self._verbose
        if self._quiet:
            self._say("Envoy lost the control plane, serves on with what it has and tries again")
        return not self._quiet

    def _say(self, message: str) -> None:
        now = self._now()
        self._said = {each: at for each, at in self._said.items() if now - at < AGAIN_AFTER}
        if message not in self._said:
            self._said[message] = now
            _log.warning(message)
