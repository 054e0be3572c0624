"""A server of unary gRPC calls on a Unix socket that only our user may open; its one client is the Envoy beside us.

Each call is answered at once, with a status and an empty message: whoever takes messages does not wait. What a call and
all of them together may hold is bounded. Sources: RFC 9113, grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html
"""

import asyncio
import contextlib
import os
import struct
from collections.abc import Callable
from urllib.parse import quote

import hpack

from kuma.apps.dataplane.wire import frames
from kuma.apps.dataplane.wire.frames import Kind, Setting

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 0, 3, 8, 9, 12, 14
"""Codes of gRPC."""

LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes; what libraries of gRPC take by default."""

_LARGEST_TOTAL = 2 * LARGEST_MESSAGE
"""Bytes of messages that one connection may have begun and not ended."""

_STREAM_WINDOW = LARGEST_MESSAGE + 65_536
"""A message fits in, so no stream needs more."""

_STREAMS = 100
_PREFIX = 5
_NO_ERROR, _PROTOCOL_ERROR, _REFUSED_STREAM, _ENHANCE_YOUR_CALM = 0, 1, 7, 11

Take = Callable[[str, bytes], tuple[int, str]]
"""What becomes of a message for a method: a code of gRPC, and why where it is not `OK`."""


async def serve(path: str, take: Take) -> None:
    """Answers calls on a Unix socket at `path` until it is cancelled. OSError where there can be no such socket."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # left by an agent that was killed
    connections: set[_Connection] = set()
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(take, connections), path)
    try:
        os.chmod(path, 0o600)
        async with server:
            await server.serve_forever()
    finally:
        for each in list(connections):
            each.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class _Broken(Exception):
    """The connection cannot go on; `code` is what the peer is told."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Call:
    """One stream: the method, and what came of its message."""

    __slots__ = ("body", "method")

    def __init__(self, method: str) -> None:
        self.method = method
        self.body = bytearray()


class _Connection(asyncio.Protocol):
    """One connection of Envoy's. It stands in `others` while it is open."""

    def __init__(self, take: Take, others: "set[_Connection]") -> None:
        self._take_message = take
        self._others = others
        self._transport: asyncio.Transport
        self._unread = bytearray()
        self._is_greeted = False
        self._calls: dict[int, _Call] = {}
        self._held = 0
        self._block, self._ends = bytearray(), False
        self._decoder, self._encoder = hpack.Decoder(), hpack.Encoder()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends our settings, and more window for all streams together than the standard gives."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._others.add(self)
        settings = {Setting.MAX_CONCURRENT_STREAMS: _STREAMS, Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW}
        packed = b"".join(struct.pack(">HI", name, value) for name, value in settings.items())
        transport.write(frames.frame(Kind.SETTINGS, 0, 0, packed) + _credit(0, _LARGEST_TOTAL - frames.WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what had not come whole."""
        self._others.discard(self)
        self._calls.clear()

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Takes in every frame that is whole by now."""
        self._unread += data
        try:
            self._read()
        except _Broken as reason:
            last = max(self._calls, default=0)
            said = struct.pack(">II", last, reason.code) + str(reason).encode()
            self._transport.write(frames.frame(Kind.GOAWAY, 0, 0, said))
            self._transport.close()

    def _read(self) -> None:
        if not self._is_greeted:
            if not self._unread.startswith(frames.PREFACE):
                if not frames.PREFACE.startswith(self._unread):
                    raise _Broken(_PROTOCOL_ERROR, "not HTTP/2")
                return
            del self._unread[: len(frames.PREFACE)]
            self._is_greeted = True
        start, unread = 0, bytes(self._unread)
        while len(unread) - start >= frames.HEAD:
            size, kind, flags, stream = frames.read_head(unread[start : start + frames.HEAD])
            if size > frames.LARGEST:
                raise _Broken(_PROTOCOL_ERROR, "a frame that is too large")
            end = start + frames.HEAD + size
            if end > len(unread):
                break
            self._receive(kind, flags, stream, unread[start + frames.HEAD : end])
            start = end
        del self._unread[:start]

    def _receive(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        match kind:
            case Kind.DATA:
                self._receive_data(flags, stream, payload)
            case Kind.HEADERS:
                self._ends = bool(flags & frames.END_STREAM)
                self._block = bytearray(_content(Kind.HEADERS, flags, payload))
                self._receive_block(flags, stream)
            case Kind.CONTINUATION:
                self._block += payload
                self._receive_block(flags, stream)
            case Kind.RST_STREAM:
                self._forget(stream)
            case Kind.SETTINGS if not flags & frames.ACK:
                self._transport.write(frames.frame(Kind.SETTINGS, frames.ACK, 0))
            case Kind.PING if not flags & frames.ACK:
                self._transport.write(frames.frame(Kind.PING, frames.ACK, 0, payload))

    def _receive_block(self, flags: int, stream: int) -> None:
        """Begins a call where its headers are whole now."""
        if len(self._block) > frames.LARGEST:
            raise _Broken(_ENHANCE_YOUR_CALM, "headers that are too large")
        if not flags & frames.END_HEADERS:
            return
        try:
            fields = {str(name): str(value) for name, value in self._decoder.decode(bytes(self._block))}
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise _Broken(_PROTOCOL_ERROR, "headers that cannot be read") from error
        if stream not in self._calls:
            if len(self._calls) >= _STREAMS:
                self._reset(stream, _REFUSED_STREAM)
                return
            self._calls[stream] = _Call(fields.get(":path", ""))
        if self._ends:
            self._end(stream)

    def _receive_data(self, flags: int, stream: int, payload: bytes) -> None:
        if payload:
            self._transport.write(_credit(0, len(payload)))
        call = self._calls.get(stream)
        if call is None:
            return  # of a call that is over
        body = _content(Kind.DATA, flags, payload)
        call.body += body
        self._held += len(body)
        if self._held > _LARGEST_TOTAL:
            raise _Broken(_ENHANCE_YOUR_CALM, "too much that has no end")
        if len(call.body) > LARGEST_MESSAGE + _PREFIX:
            self._answer(stream, RESOURCE_EXHAUSTED, f"a message of more than {LARGEST_MESSAGE} bytes")
            self._reset(stream, _NO_ERROR)
        elif flags & frames.END_STREAM:
            self._end(stream)

    def _end(self, stream: int) -> None:
        """The message of a call is whole."""
        call = self._calls[stream]
        self._forget(stream)
        if len(call.body) < _PREFIX or int.from_bytes(call.body[1:_PREFIX], "big") != len(call.body) - _PREFIX:
            self._answer(stream, INVALID_ARGUMENT, "not one message")
        elif call.body[0]:
            self._answer(stream, UNIMPLEMENTED, "compressed messages are not taken")
        else:
            self._answer(stream, *self._take_message(call.method, bytes(call.body[_PREFIX:])))

    def _forget(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            self._held -= len(call.body)

    def _reset(self, stream: int, code: int) -> None:
        self._forget(stream)
        self._transport.write(frames.frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code)))

    def _answer(self, stream: int, code: int, reason: str) -> None:
        fields = [(":status", "200"), ("content-type", "application/grpc")]
        status = [("grpc-status", str(code))] + ([("grpc-message", quote(reason, safe=" "))] if reason else [])
        flags = frames.END_HEADERS
        if code == OK:
            begin = frames.frame(Kind.HEADERS, flags, stream, self._encoder.encode(fields))
            self._transport.write(begin + frames.frame(Kind.DATA, 0, stream, bytes(_PREFIX)))
            fields = []
        end = self._encoder.encode(fields + status)
        self._transport.write(frames.frame(Kind.HEADERS, flags | frames.END_STREAM, stream, end))


def _credit(stream: int, size: int) -> bytes:
    return frames.frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def _content(kind: int, flags: int, payload: bytes) -> bytes:
    try:
        return frames.content(kind, flags, payload)
    except ValueError as error:
        raise _Broken(_PROTOCOL_ERROR, str(error)) from error
