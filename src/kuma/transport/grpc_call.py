"""One gRPC call on an HTTP/2 stream (grpc.io, "gRPC over HTTP2"): messages in, messages out, a status at the end."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Mapping, Sequence

from kuma.transport import context as contexts
from kuma.transport import frames, headers, http2_stream, wheel
from kuma.transport.limits import Refusal
from kuma.transport.stream import GrpcError, Handler, Status

_PREFIX = 5
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])\Z")
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_ONLY_IDENTITY = {b"grpc-accept-encoding": b"identity"}

_log = logging.getLogger(__name__)


class Ledger:
    """Memory that the calls of one connection hold: unfinished messages, and finished ones nobody has taken."""

    __slots__ = ("_context", "_held")

    def __init__(self, context: contexts.Context) -> None:
        self._context = context
        self._held = 0

    def take(self, size: int) -> bool:
        """Books `size` bytes; False if that is more than the connection or the server may hold."""
        self._held += size
        self._context.buffered += size
        bounds = self._context.limits
        return self._held <= bounds.connection_buffer_bytes and self._context.buffered <= bounds.total_buffer_bytes

    def give(self, size: int) -> None:
        """Gives booked bytes back."""
        self._held -= size
        self._context.buffered -= size


class GrpcCall:
    """A `stream.GrpcStream` for the handler, a `http2_stream.Sink` for the stream.

    When the client resets the call, or the connection is lost, the handler's task is cancelled; from then on `receive`
    and `send` raise ConnectionError.
    """

    def __init__(self, stream: http2_stream.Http2Stream, request: headers.Request, peer: str, ledger: Ledger) -> None:
        self.path = request.path.decode("utf-8", "replace")
        self.metadata: Mapping[str, str] = request.metadata()
        self.peer = peer
        self._stream = stream
        self._context = stream.context
        self._ledger = ledger
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._queued = 0
        self._withheld = 0
        self._is_complete = False
        self._has_headers = False
        self._waiter: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        """The handler's task; set by the connection that started it."""
        self._partial: wheel.Deadline | None = None
        self._expiry: wheel.Deadline | None = None

    # --- for the handler --------------------------------------------------------------------------------------------

    async def receive(self) -> bytes | None:
        """The next message, None after the last. Raises ConnectionError once the call is over. One task may wait."""
        while not self._messages:
            if not self._stream.is_open:
                raise ConnectionResetError("the call is over")
            if self._is_complete:
                return None
            if self._waiter is not None:
                raise RuntimeError("a call has one reader")
            self._waiter = self._context.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        size = len(message) + _PREFIX
        self._queued -= size
        self._ledger.give(size)
        if self._withheld and self._queued < http2_stream.RECEIVE_WINDOW:
            withheld, self._withheld = self._withheld, 0
            self._stream.credit(withheld)
        return message

    async def send(self, parts: Sequence[bytes]) -> None:
        """See `stream.GrpcStream`. One task may send at a time."""
        if not self._has_headers:
            self._has_headers = True
            self._stream.send_headers(headers.GRPC_RESPONSE)
        size = sum(map(len, parts))
        await self._stream.write([b"\x00" + size.to_bytes(4, "big"), *parts])

    # --- for the connection -----------------------------------------------------------------------------------------

    async def run(self, handler: Handler | None) -> None:
        """Runs the handler and ends the call with the status that comes of it."""
        self._expire_in_time()
        try:
            if handler is None:
                self._context.refuse(Refusal.UNKNOWN_METHOD)
                raise GrpcError(Status.UNIMPLEMENTED, f"unknown method {self.path}")
            await handler(self)
            self._finish(Status.OK, "")
        except GrpcError as error:
            self._finish(error.status, error.message)
        except asyncio.CancelledError:
            self._finish(Status.UNAVAILABLE, "the server is stopping")
        except Exception as error:
            if self._stream.is_open:
                _log.exception("gRPC handler failed", extra={"path": self.path, "peer": self.peer}, exc_info=error)
            self._finish(Status.INTERNAL, "internal error")

    def release(self) -> None:
        """Gives back what the call holds. The connection calls it once, when the call's task is done."""
        self._stream.reset(frames.Code.INTERNAL_ERROR)
        for deadline in (self._partial, self._expiry):
            if deadline is not None:
                deadline.cancel()
        self._ledger.give(self._queued + len(self._buffer))
        self._stream.credit(self._withheld)
        self._buffer.clear()
        self._messages.clear()

    def stop(self) -> None:
        """Ends the call because the server stops."""
        self._fail(Status.UNAVAILABLE, "the server is stopping")

    def on_data(self, data: bytes) -> None:
        """Adds to the message that is being read, and queues those that are complete."""
        if not self._ledger.take(len(data)):
            self._ledger.give(len(data))
            self._refuse(Refusal.BUFFER, Status.RESOURCE_EXHAUSTED, "too many unread or unfinished messages")
            return
        self._buffer += data
        try:
            is_progress = self._cut_messages()
        except GrpcError as error:
            self._fail(error.status, error.message, _ONLY_IDENTITY if error.status is Status.UNIMPLEMENTED else {})
            return
        self._watch_partial(is_progress)
        if self._queued < http2_stream.RECEIVE_WINDOW:
            self._stream.credit(len(data))
        else:
            self._withheld += len(data)

    def on_end(self) -> None:
        """The client has half-closed."""
        self._is_complete = True
        if self._buffer:
            self._fail(Status.INTERNAL, "the stream ended within a message")
        self._wake()

    def on_gone(self) -> None:
        """The client is gone: the handler is cancelled."""
        self._wake()
        if self.task is not None:
            self.task.cancel()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _cut_messages(self) -> bool:
        """Moves complete messages to the queue; returns whether there were any. Raises GrpcError."""
        buffer = self._buffer
        start = 0
        while len(buffer) - start >= _PREFIX:
            size = int.from_bytes(buffer[start + 1 : start + _PREFIX], "big")
            if buffer[start]:
                self._context.refuse(Refusal.COMPRESSED)
                raise GrpcError(Status.UNIMPLEMENTED, "compressed messages are not supported")
            if size > self._context.limits.message_bytes:
                self._context.refuse(Refusal.MESSAGE)
                limit = self._context.limits.message_bytes
                raise GrpcError(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes is above the limit of {limit}")
            stop = start + _PREFIX + size
            if stop > len(buffer):
                break
            self._messages.append(bytes(buffer[start + _PREFIX : stop]))
            self._queued += stop - start
            start = stop
        if start:
            del buffer[:start]
            self._wake()
        return start > 0

    def _watch_partial(self, is_progress: bool) -> None:
        if self._partial is not None and (is_progress or not self._buffer):
            self._partial.cancel()
            self._partial = None
        if self._partial is None and self._buffer:
            self._partial = self._context.wheel.after(self._context.limits.message_seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._refuse(Refusal.SLOW_MESSAGE, Status.DEADLINE_EXCEEDED, "the message took too long to arrive")

    def _refuse(self, reason: Refusal, status: Status, message: str) -> None:
        self._context.refuse(reason)
        self._fail(status, message)

    def _fail(self, status: Status, message: str, extra: Mapping[bytes, bytes] | None = None) -> None:
        """Ends the call from outside the handler, which is cancelled."""
        self._finish(status, message, extra)
        self._wake()
        if self.task is not None:
            self.task.cancel()

    def _finish(self, status: Status, message: str, extra: Mapping[bytes, bytes] | None = None) -> None:
        block = headers.grpc_trailers(status, message, extra or {})
        if not self._has_headers:
            self._has_headers = True
            block = headers.GRPC_RESPONSE + block
        self._stream.send_headers(block, end_stream=True)

    def _expire_in_time(self) -> None:
        match = _TIMEOUT.match(self.metadata.get("grpc-timeout", ""))
        if match is not None:
            seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
            self._expiry = self._context.wheel.after(seconds, self._expired)

    def _expired(self) -> None:
        self._fail(Status.DEADLINE_EXCEEDED, "the deadline of the call has passed")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
