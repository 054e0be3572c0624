"""Keeps Envoy running: reports its end, or starts it again where the user asked for that."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from kuma.apps.dataplane import log
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.supervised.process import Child, start_child

_log = log.logger("envoy")


def describe_end(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class EnvoyKeeper:
    """One Envoy after another, with the same command line. Pauses are seconds.

    The first restart is immediate; after that pauses double from `base` to `limit`, and an Envoy that lived longer
    than `limit` counts as a fresh start.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        admin_socket: str,
        restart: bool,
        base: float,
        limit: float,
        passes: Callable[[bytes], bool],
    ) -> None:
        """`passes` says which lines of Envoy's log the user gets to see."""
        self._arguments = arguments
        self._passes = passes
        self._admin_socket = admin_socket
        self._restart = restart
        self._base = base
        self._limit = limit
        self._child: Child | None = None
        self._leaving = False

    async def run(self) -> None:
        """Returns when Envoy ended because of `stop`; AgentError with its last words when it ended by itself."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            started = loop.time()
            child = self._child = await self._start()
            code = await child.wait()
            if self._leaving:
                return
            end = f"Envoy ended with {describe_end(code)}"
            if not self._restart:
                words = child.last_words()
                raise AgentError(f"{end}; its last words:\n{words}" if words else f"{end} without a word")
            if loop.time() - started > self._limit:
                pause = 0.0
            _log.info("%s; starting it again in %g s", end, pause)
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, self._base), self._limit)

    async def stop(self) -> None:
        """Ends Envoy, politely at first; nothing starts it again."""
        self._leaving = True
        if self._child is not None:
            await self._child.stop()

    async def _start(self) -> Child:
        if self._admin_socket:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._admin_socket)  # left by an Envoy that was killed
        try:
            child = await start_child(self._arguments, passes=self._passes)
        except OSError as error:
            raise AgentError(f"could not start Envoy ({self._arguments[0]}): {error}") from error
        _log.info("Envoy started, process %d", child.pid)
        return child
