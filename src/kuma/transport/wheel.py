"""One timer for every deadline of the port.

A thousand connections have thousands of deadlines, nearly all of which are cancelled before they fire. Deadlines are
rounded up to the next tick and kept in one set a tick, so arming and cancelling cost a dictionary access, and the event
loop is woken once for all deadlines of a tick, and not at all when there are none.
"""

import asyncio
import heapq
import math
from collections.abc import Callable


class Deadline:
    """One pending call. Cancelling twice, or after it fired, is harmless."""

    __slots__ = ("_action", "_bucket")

    def __init__(self, action: Callable[[], None], bucket: "set[Deadline]") -> None:
        self._action = action
        self._bucket = bucket

    def cancel(self) -> None:
        """Makes sure that the action is not called any more."""
        self._bucket.discard(self)

    def fire(self) -> None:
        """Calls the action; for the wheel alone."""
        self._action()


class Wheel:
    """Calls actions some seconds from now, at most one tick late and never early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_seconds: float) -> None:
        self._loop = loop
        self._tick = tick_seconds
        self._buckets: dict[int, set[Deadline]] = {}
        self._order: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False

    def after(self, seconds: float, action: Callable[[], None]) -> Deadline:
        """Arms `action`. On a closed wheel the deadline never fires."""
        slot = math.ceil((self._loop.time() + seconds) / self._tick)
        bucket = self._buckets.get(slot)
        if bucket is None:
            bucket = self._buckets[slot] = set()
            heapq.heappush(self._order, slot)
            if self._order[0] == slot:
                self._schedule()
        deadline = Deadline(action, bucket)
        bucket.add(deadline)
        return deadline

    def close(self) -> None:
        """Forgets every deadline."""
        self._closed = True
        self._buckets.clear()
        self._order.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._order and not self._closed:
            self._handle = self._loop.call_at(self._order[0] * self._tick, self._turn)

    def _turn(self) -> None:
        self._handle = None
        # The loop's clock may be a hair before the time it was asked to call at; half a tick forgives that.
        now = self._loop.time() / self._tick + 0.5
        due: list[set[Deadline]] = []
        while self._order and self._order[0] <= now:
            due.append(self._buckets.pop(heapq.heappop(self._order)))
        self._schedule()
        for bucket in due:
            while bucket:
                deadline = bucket.pop()
                try:
                    deadline.fire()
                except Exception as error:
                    self._loop.call_exception_handler({"message": "a deadline's action failed", "exception": error})
