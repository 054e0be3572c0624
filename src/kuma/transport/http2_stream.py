"""One HTTP/2 stream: flow control in both directions and the order of its frames. What the bytes mean is its sink's."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from kuma.transport import context as contexts
from kuma.transport import frames, limits, slices, wheel

RECEIVE_WINDOW = 256 * 1024
"""Request bytes that a client may send ahead on one stream. Large enough that a 61 KiB first request of Envoy needs no
round trip, small enough that it can be granted to every stream."""
_CHUNK = 64 * 1024
_PROGRESS = 16 * 1024


class Sink(Protocol):
    """What a stream carries: a gRPC call or an HTTP request. Called from the event loop, must not block."""

    def on_data(self, data: bytes) -> None:
        """Body bytes arrived. The sink returns their window with `Http2Stream.credit` once they cost no memory."""
        ...

    def on_end(self) -> None:
        """The client has half-closed."""
        ...

    def on_gone(self) -> None:
        """The client reset the stream or the connection is lost; nothing can be sent any more."""
        ...


class Link(Protocol):
    """The connection as its streams see it."""

    context: contexts.Context
    send_window: int
    max_frame: int
    is_writable: bool
    blocked: dict[int, "Http2Stream"]

    def write(self, data: bytes) -> None:
        """Writes whole frames."""
        ...

    def write_headers(self, stream_id: int, block: bytes, *, end_stream: bool) -> None:
        """Writes a header block."""
        ...

    def credit(self, size: int) -> None:
        """Returns window of the connection to the peer."""
        ...

    def forget(self, stream_id: int) -> None:
        """The stream is closed on both sides."""
        ...

    def fail(self, fault: frames.ConnectionFault) -> None:
        """Ends the connection."""
        ...


class Http2Stream:
    """State of one stream. `sink` is set by whoever opened it, before any data is passed in."""

    __slots__ = (
        "_expected",
        "_link",
        "_owed",
        "_receive_left",
        "_waiter",
        "_writing",
        "id",
        "is_open",
        "is_receiving",
        "send_window",
        "sink",
    )

    def __init__(self, link: Link, stream_id: int, send_window: int, expected: int | None) -> None:
        self._link = link
        self.id = stream_id
        self.send_window = send_window
        self.sink: Sink
        self.is_open = True
        self.is_receiving = True
        self._expected = expected
        self._receive_left = RECEIVE_WINDOW
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writing = False

    # --- from the client --------------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow_size: int, *, ends: bool) -> None:
        """Takes one DATA frame; `flow_size` counts its padding too. Raises StreamFault."""
        if not self.is_receiving:
            raise frames.StreamFault(self.id, frames.Code.STREAM_CLOSED, "DATA after the end of the stream")
        self._receive_left -= flow_size
        if self._receive_left < 0:
            raise frames.StreamFault(self.id, frames.Code.FLOW_CONTROL_ERROR, "more DATA than the window allows")
        if flow_size > len(data):
            self.credit(flow_size - len(data))
        if self._expected is not None:
            self._expected -= len(data)
            if self._expected < 0 or (ends and self._expected):
                raise frames.StreamFault(self.id, frames.Code.PROTOCOL_ERROR, "body and content-length differ")
        if data:
            self.sink.on_data(data)
        if ends and self.is_open:
            self.end_receiving()

    def end_receiving(self) -> None:
        """The client has half-closed."""
        self.is_receiving = False
        self.sink.on_end()

    def credit(self, size: int) -> None:
        """Lets the client send `size` more bytes. Told in big steps: half a window at a time."""
        self._link.credit(size)
        self._owed += size
        if self._owed >= RECEIVE_WINDOW // 2 and self.is_open and self.is_receiving:
            self._link.write(frames.window_update(self.id, self._owed))
            self._receive_left += self._owed
            self._owed = 0

    def add_window(self, increment: int) -> None:
        """The client can take more. Raises StreamFault when the window overflows."""
        self.send_window += increment
        if self.send_window > frames.MAX_WINDOW:
            raise frames.StreamFault(self.id, frames.Code.FLOW_CONTROL_ERROR, "window above 2**31-1")
        self.wake()

    def wake(self) -> None:
        """Lets a waiting writer look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def drop(self) -> None:
        """Closes without a frame: the client reset the stream or the connection is lost."""
        if self.is_open:
            self._close()
            self.sink.on_gone()

    # --- to the client ----------------------------------------------------------------------------------------------

    def send_headers(self, block: bytes, *, end_stream: bool = False) -> None:
        """Writes response headers or trailers. Ignored on a closed stream."""
        if not self.is_open:
            return
        self._link.write_headers(self.id, block, end_stream=end_stream)
        if end_stream:
            self._end()

    def reset(self, code: frames.Code) -> None:
        """Ends the stream in both directions, now."""
        if self.is_open:
            self._link.write(frames.rst_stream(self.id, code))
            self._close()

    async def write(self, parts: Sequence[bytes], *, end_stream: bool = False) -> None:
        """Writes the parts one after the other as DATA, as fast as windows and the socket allow.

        Returns when the socket's buffer is below its high-water mark. Raises ConnectionError when the stream is closed.
        A write that is cancelled half-way resets the stream, as its framing is lost.
        """
        if self._writing:
            raise RuntimeError("a stream has one writer")
        if not self.is_open:
            raise ConnectionResetError("the stream is closed")
        rest = slices.Slices(parts)
        self._writing = True
        complete = False
        patience = _Patience(self)
        try:
            while rest.left:
                room = self._room()
                if room <= 0:
                    await self._wait(patience)
                    continue
                size = min(room, rest.left, _CHUNK)
                self._link.write(self._cut(rest, size, end_stream and size == rest.left))
                patience.progressed(size)
            if end_stream and not rest.size:
                self._link.write(frames.frame(frames.Type.DATA, frames.Flag.END_STREAM, self.id))
            complete = True
            if end_stream:
                self._end()
            while self.is_open and not self._link.is_writable:
                await self._wait(patience)
        finally:
            patience.cancel()
            self._writing = False
            if not complete:
                self.reset(frames.Code.INTERNAL_ERROR)

    def stalled(self) -> bool:
        """The client has not made room for too long: ends the stream, or the connection if its window is closed.

        False if it is the socket that is full. That is for the TLS layer to judge, and the wait goes on.
        """
        link = self._link
        if not link.is_writable:
            return False
        if link.send_window <= 0:
            reason = "the connection's window stayed closed"
            link.fail(frames.ConnectionFault(frames.Code.ENHANCE_YOUR_CALM, reason, limits.Refusal.SLOW_READER))
        elif self.is_open:
            link.context.refuse(limits.Refusal.SLOW_READER)
            link.write(frames.rst_stream(self.id, frames.Code.CANCEL))
            self.drop()
        return True

    @property
    def context(self) -> contexts.Context:
        """What the server shares."""
        return self._link.context

    # --- inside -----------------------------------------------------------------------------------------------------

    def _room(self) -> int:
        if not self.is_open:
            raise ConnectionResetError("the stream is closed")
        return min(self.send_window, self._link.send_window) if self._link.is_writable else 0

    async def _wait(self, patience: "_Patience") -> None:
        self._waiter = self._link.context.loop.create_future()
        self._link.blocked[self.id] = self
        patience.start()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._link.blocked.pop(self.id, None)

    def _cut(self, rest: "slices.Slices", size: int, ends: bool) -> bytes:
        link = self._link
        link.send_window -= size
        self.send_window -= size
        pieces: list[bytes | memoryview] = []
        while size:
            payload = min(size, link.max_frame)
            size -= payload
            flags = frames.Flag.END_STREAM if ends and not size else 0
            pieces.append(frames.header(payload, frames.Type.DATA, flags, self.id))
            rest.take(payload, pieces)
        return b"".join(pieces)

    def _end(self) -> None:
        """Our side is complete. A client that still sends is told that nobody listens (RFC 9113 section 8.1)."""
        if self.is_receiving:
            self._link.write(frames.rst_stream(self.id, frames.Code.NO_ERROR))
        self._close()

    def _close(self) -> None:
        self.is_open = False
        self.is_receiving = False
        self._link.forget(self.id)
        self.wake()


class _Patience:
    """How long one write may wait: it expires unless some progress is made within the stall limit, so that a client
    which opens its window byte by byte does not hold a message for ever."""

    __slots__ = ("_deadline", "_sent", "_stream")

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream
        self._deadline: wheel.Deadline | None = None
        self._sent = 0

    def start(self) -> None:
        if self._deadline is None:
            context = self._stream.context
            self._deadline = context.wheel.after(context.limits.write_stall_seconds, self._expired)
            self._sent = 0

    def progressed(self, size: int) -> None:
        self._sent += size
        if self._sent >= _PROGRESS:
            self.cancel()

    def cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        if not self._stream.stalled():
            self.start()
