"""One unary gRPC call over HTTP/2 on a Unix socket, where Envoy takes it on.

A library for gRPC is larger than the agent, and this is all of it that the agent needs: one call, one connection, an
answer whose content does not matter. Sources: RFC 9113, grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html
"""

import asyncio
import enum
import struct
from dataclasses import dataclass, field
from urllib.parse import unquote

import hpack

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_PADDED, _PRIORITY = 0x8, 0x20
_ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 2, 4, 5
_STREAM = 1
_FRAME_LIMIT = 16_384


class _Kind(enum.IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Refused(Exception):
    """The call came to an end, but not to success."""


async def call(socket: str, method: str, message: bytes, timeout: float) -> None:
    """Calls `method` (`/package.Service/Method`). OSError where nobody answers in `timeout` seconds; Refused."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            await _Call(reader, writer, struct.pack(">BI", 0, len(message)) + message).run(method)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection ended before the call") from error
        finally:
            writer.close()


@dataclass(slots=True)
class _Call:
    """The state of one call: what is left to send, how much of it the peer takes now, what it answered."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rest: bytes
    connection_window: int = 65_535
    stream_window: int = 65_535
    initial_window: int = 65_535
    frame_size: int = _FRAME_LIMIT
    block: bytearray = field(default_factory=bytearray)
    ends_with_block: bool = False
    answer: dict[str, str] = field(default_factory=dict)
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)

    async def run(self, method: str) -> None:
        """Sends the request, reads until the stream has ended, and judges the answer."""
        self.writer.write(_PREFACE + _frame(_Kind.SETTINGS, 0, 0, struct.pack(">HI", _ENABLE_PUSH, 0)))
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "kuma-dp"),
        ]
        self.writer.write(_frame(_Kind.HEADERS, _END_HEADERS, _STREAM, hpack.Encoder().encode(headers)))
        has_ended = False
        while not has_ended:
            await self._send()
            has_ended = self._take(*await self._read())
        self._judge()

    async def _send(self) -> None:
        """Sends as much as the peer takes now."""
        while self.rest and (room := min(self.connection_window, self.stream_window, self.frame_size)) > 0:
            part, self.rest = self.rest[:room], self.rest[room:]
            self.connection_window -= len(part)
            self.stream_window -= len(part)
            self.writer.write(_frame(_Kind.DATA, 0 if self.rest else _END_STREAM, _STREAM, part))
        await self.writer.drain()

    async def _read(self) -> tuple[int, int, int, bytes]:
        head = await self.reader.readexactly(9)
        size, stream = int.from_bytes(head[:3], "big"), int.from_bytes(head[5:], "big")
        if size > _FRAME_LIMIT:
            raise ConnectionError(f"a frame of {size} bytes")
        return head[3], head[4], stream, await self.reader.readexactly(size)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        """Takes in a frame; whether the stream has ended with it. Answers are small: their window never closes."""
        match kind:
            case _Kind.DATA:
                return bool(flags & _END_STREAM)
            case _Kind.HEADERS:
                self.ends_with_block = bool(flags & _END_STREAM)
                self.block = bytearray(_unpadded(flags, payload))
                return self._take_block(flags)
            case _Kind.CONTINUATION:
                self.block += payload
                return self._take_block(flags)
            case _Kind.SETTINGS if not flags & _ACK:
                self._take_settings(payload)
            case _Kind.WINDOW_UPDATE:
                self._widen(stream, int.from_bytes(payload, "big"))
            case _Kind.PING if not flags & _ACK:
                self.writer.write(_frame(_Kind.PING, _ACK, 0, payload))
            case _Kind.RST_STREAM:
                raise Refused(f"the stream was reset, code {int.from_bytes(payload, 'big')}")
            case _Kind.GOAWAY if int.from_bytes(payload[:4], "big") < _STREAM:
                raise ConnectionError("the connection is going away")
        return False

    def _take_block(self, flags: int) -> bool:
        if not flags & _END_HEADERS:
            return False
        try:
            for name, value in self.decoder.decode(bytes(self.block)):
                self.answer[str(name)] = str(value)
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ConnectionError(f"headers that cannot be read: {error}") from error
        return self.ends_with_block

    def _take_settings(self, payload: bytes) -> None:
        for identifier, value in struct.iter_unpack(">HI", payload):
            if identifier == _INITIAL_WINDOW_SIZE:
                self.stream_window += value - self.initial_window
                self.initial_window = value
            elif identifier == _MAX_FRAME_SIZE:
                self.frame_size = value
        self.writer.write(_frame(_Kind.SETTINGS, _ACK, 0, b""))

    def _widen(self, stream: int, more: int) -> None:
        if stream:
            self.stream_window += more
        else:
            self.connection_window += more

    def _judge(self) -> None:
        status = self.answer.get("grpc-status")
        if status == "0":
            return
        message = unquote(self.answer.get("grpc-message", "")) or "no reason given"
        if status is None:
            raise Refused(f"HTTP status {self.answer.get(':status', 'missing')}, and no gRPC status")
        raise Refused(f"gRPC status {status}: {message}")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _unpadded(flags: int, payload: bytes) -> bytes:
    """The header block of a HEADERS frame."""
    start, end = 0, len(payload)
    if flags & _PADDED:
        start, end = 1, len(payload) - payload[0]
    return payload[start + 5 : end] if flags & _PRIORITY else payload[start:end]
