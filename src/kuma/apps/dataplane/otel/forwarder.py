"""One signal on its way to one collector: what waits for it, what got through, what had to be dropped.

What comes within a moment, or while an export is under way, goes with the next one. A collector that is away is tried again, and what waits
for it is bounded: telemetry never holds up traffic.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kuma.apps.dataplane import log

if TYPE_CHECKING:
    from kuma.apps.dataplane.otel.routes import Route

BACKLOG = 2 * 1024 * 1024
"""Bytes that wait for one collector and signal."""

_REQUEST = 1024 * 1024
"""Bytes of an export: collectors refuse more than 4 MiB by default."""

_GATHER = 0.2
"""Seconds in which an export fills up: Envoy sends spans five at a time."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_REPORT_EVERY = 30.0

_log = log.logger("otel")


class _Waiting(NamedTuple):
    request: bytes
    records: int


class Forwarder:
    """Sends what it is given to wherever `route` leads. `name` is the backend's, `now` a clock of seconds."""

    def __init__(self, name: str, signal: str, route: "Route", now: Callable[[], float]) -> None:
        self.name = name
        self.signal = signal
        self.route = route
        self.sent = 0
        self.dropped = 0
        self._now = now
        self._waiting: list[_Waiting] = []
        self._size = 0
        self._arrived, self._emptied = asyncio.Event(), asyncio.Event()
        self._emptied.set()
        self._trouble = ""
        self._reported, self._report_at = 0, 0.0

    def put(self, request: bytes, records: int) -> bool:
        """Takes a request of OTLP to send; False where too much waits already, then it is dropped."""
        if self._waiting and self._size + len(request) > BACKLOG:  # one by itself may be as large as the socket takes
            self._drop(records, "too many wait")
            return False
        self._waiting.append(_Waiting(request, records))
        self._size += len(request)
        self._arrived.set()
        self._emptied.clear()
        return True

    async def run(self) -> None:
        """Works until it is cancelled. Pauses double while nothing gets through."""
        pause = _FIRST_PAUSE
        while True:
            await self._arrived.wait()
            if self._size < _REQUEST:
                await asyncio.sleep(_GATHER)
            if await self._export():
                pause = _FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def finish(self, seconds: float) -> None:
        """Gives what waits `seconds` to get through; the rest is dropped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._emptied.wait()
        if self._waiting:
            self._report_at = 0.0
            self._drop(sum(each.records for each in self._waiting), "they did not get through in time")
            self._done_with(len(self._waiting))

    async def _export(self) -> bool:
        """Sends the oldest of what waits; False where it has to be tried again."""
        from kuma.apps.dataplane.otel import delivery

        batch = self._batch()
        try:
            await delivery.deliver(self.route, self.signal, b"".join(each.request for each in batch))
        except delivery.Refused as refusal:
            self._drop(sum(each.records for each in batch), str(refusal))
        except Exception as error:  # whatever is wrong with a collector, the proxy lives on
            self._say(f"does not take {self.signal}: {error or type(error).__name__}")
            return False
        else:
            self.sent += sum(each.records for each in batch)
            self._say("")
        self._done_with(len(batch))
        return True

    def _batch(self) -> list[_Waiting]:
        """As much of what waits as goes into one export, one request at least."""
        size, number = 0, 0
        for each in self._waiting:
            size += len(each.request)
            if number and size > _REQUEST:
                break
            number += 1
        return self._waiting[:number]

    def _done_with(self, number: int) -> None:
        self._size -= sum(len(each.request) for each in self._waiting[:number])
        del self._waiting[:number]
        if not self._waiting:
            self._arrived.clear()
            self._emptied.set()

    def _drop(self, records: int, reason: str) -> None:
        self.dropped += records
        if self._now() >= self._report_at:
            number = self.dropped - self._reported
            _log.warning(
                "%d records (%s) for the collector %s were dropped: %s", number, self.signal, self.name, reason
            )
            self._reported, self._report_at = self.dropped, self._now() + _REPORT_EVERY

    def _say(self, trouble: str) -> None:
        """Logs a change for the worse or for the better, once."""
        if trouble and trouble != self._trouble:
            _log.warning("the collector %s %s", self.name, trouble)
        elif self._trouble and not trouble:
            _log.info("the collector %s takes %s again", self.name, self.signal)
        self._trouble = trouble
