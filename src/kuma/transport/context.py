"""What every connection of one server shares."""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from kuma.transport import wheel
from kuma.transport.limits import Limits, Refusal
from kuma.transport.stream import Handler

READ_SIZE = 16 * 1024
"""One TLS record, the most that one read of the TLS layer can return."""


@dataclass(slots=True)
class Context:
    """The parts that connections borrow from their server. One instance a server, one event loop."""

    loop: asyncio.AbstractEventLoop
    wheel: wheel.Wheel
    limits: Limits
    ssl_context: ssl.SSLContext
    app: ASGIApp
    """Bodies are bounded already; see `bodies.py`."""
    grpc: Mapping[str, Handler]
    on_refused: Callable[[str], None]
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    """Every running call and request; the server cancels what is left when it stops."""
    serial: "itertools.count[int]" = field(default_factory=itertools.count)
    """Numbers connections."""
    buffered: int = 0
    """Bytes of unfinished and unread gRPC messages over all connections."""
    ciphertext: memoryview = field(default_factory=lambda: memoryview(bytearray(READ_SIZE)))
    """Scratch space for one read. Shared, because it is used up before the event loop runs anything else."""

    def refuse(self, reason: Refusal) -> None:
        """Counts one client that was refused or cut off."""
        self.on_refused(reason.value)

    def spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Runs `work` as a task that the server owns until it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.call_exception_handler({"message": "a transport task failed", "exception": error, "task": task})
