"""One unary gRPC call over HTTP/2, on a connection of its own.

A library for gRPC is larger than the agent, and this is all of it that the agent needs: one call, one connection, an
answer whose content does not matter. Sources: RFC 9113, grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html
"""

import asyncio
import ssl
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

import hpack

from kuma.apps.dataplane.wire import frames
from kuma.apps.dataplane.wire.frames import Kind, Setting

_STREAM = 1
_SETTING_BYTES = 6
_HEADERS_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """Where to call: a Unix socket, or a host and port, with TLS where there is a context (which offers `h2`)."""

    socket: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None


class Refused(Exception):
    """The call came to an end, but not to success. `status` is gRPC's, None where there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


async def call(
    place: Place,
    method: str,
    message: bytes,
    timeout: float,
    *,
    metadata: Iterable[tuple[str, str]] = (),
    encoding: str = "",
) -> None:
    """Calls `method` (`/package.Service/Method`). OSError where nobody answers in `timeout` seconds; Refused.

    `encoding` says how the message is compressed, empty: not at all.
    """
    framed = struct.pack(">BI", bool(encoding), len(message)) + message
    fields = [*metadata, ("grpc-encoding", encoding)] if encoding else [*metadata]
    async with asyncio.timeout(timeout):
        if place.socket:
            reader, writer = await asyncio.open_unix_connection(place.socket)
        else:
            reader, writer = await asyncio.open_connection(place.host, place.port, ssl=place.tls)
        try:
            await _Call(reader, writer, framed).run(_request(place, method, fields))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection ended before the call") from error
        finally:
            writer.close()


def _request(place: Place, method: str, metadata: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return [
        (":method", "POST"),
        (":scheme", "https" if place.tls is not None else "http"),
        (":path", method),
        (":authority", f"{host}:{place.port}" if host else "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kuma-dp"),
        *metadata,
    ]


@dataclass(slots=True)
class _Call:
    """The state of one call: what is left to send, how much of it the peer takes now, what it answered."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rest: bytes
    connection_window: int = frames.WINDOW
    stream_window: int = frames.WINDOW
    initial_window: int = frames.WINDOW
    frame_size: int = frames.LARGEST
    block: bytearray = field(default_factory=bytearray)
    ends_with_block: bool = False
    answer: dict[str, str] = field(default_factory=dict)
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)

    async def run(self, request: list[tuple[str, str]]) -> None:
        """Sends the request, reads until the stream has ended, and judges the answer."""
        settings = struct.pack(">HI", Setting.ENABLE_PUSH, 0)
        self.writer.write(frames.PREFACE + frames.frame(Kind.SETTINGS, 0, 0, settings))
        self.writer.write(frames.frame(Kind.HEADERS, frames.END_HEADERS, _STREAM, hpack.Encoder().encode(request)))
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
            self.writer.write(frames.frame(Kind.DATA, 0 if self.rest else frames.END_STREAM, _STREAM, part))
        await self.writer.drain()

    async def _read(self) -> tuple[int, int, int, bytes]:
        size, kind, flags, stream = frames.read_head(await self.reader.readexactly(frames.HEAD))
        if size > frames.LARGEST:
            raise ConnectionError(f"a frame of {size} bytes")
        return kind, flags, stream, await self.reader.readexactly(size)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        """Takes in a frame; whether the stream has ended with it. Answers are small: their window never closes."""
        match kind:
            case Kind.DATA:
                return bool(flags & frames.END_STREAM)
            case Kind.HEADERS:
                self.ends_with_block = bool(flags & frames.END_STREAM)
                self.block = bytearray(_header_block(flags, payload))
                return self._take_block(flags)
            case Kind.CONTINUATION:
                self.block += payload
                if len(self.block) > _HEADERS_LIMIT:
                    raise ConnectionError(f"headers of more than {_HEADERS_LIMIT} bytes")
                return self._take_block(flags)
            case Kind.SETTINGS if not flags & frames.ACK:
                self._take_settings(payload)
            case Kind.WINDOW_UPDATE:
                self._widen(stream, int.from_bytes(payload, "big"))
            case Kind.PING if not flags & frames.ACK:
                self.writer.write(frames.frame(Kind.PING, frames.ACK, 0, payload))
            case Kind.RST_STREAM:
                raise Refused(f"the stream was reset, code {int.from_bytes(payload, 'big')}")
            case Kind.GOAWAY if int.from_bytes(payload[:4], "big") < _STREAM:
                raise ConnectionError("the connection is going away")
        return False

    def _take_block(self, flags: int) -> bool:
        if not flags & frames.END_HEADERS:
            return False
        try:
            for name, value in self.decoder.decode(bytes(self.block)):
                self.answer[str(name)] = str(value)
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ConnectionError(f"headers that cannot be read: {error}") from error
        return self.ends_with_block

    def _take_settings(self, payload: bytes) -> None:
        if len(payload) % _SETTING_BYTES:
            raise ConnectionError("settings that cannot be read")
        for identifier, value in struct.iter_unpack(">HI", payload):
            if identifier == Setting.INITIAL_WINDOW_SIZE:
                self.stream_window += value - self.initial_window
                self.initial_window = value
            elif identifier == Setting.MAX_FRAME_SIZE:
                if value < frames.LARGEST:
                    raise ConnectionError(f"a setting that cannot be: frames of {value} bytes at most")
                self.frame_size = value
        self.writer.write(frames.frame(Kind.SETTINGS, frames.ACK, 0, b""))

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
        raise Refused(f"gRPC status {status}: {message}", int(status) if status.isdigit() else None)


def _header_block(flags: int, payload: bytes) -> bytes:
    try:
        return frames.content(Kind.HEADERS, flags, payload)
    except ValueError as error:
        raise ConnectionError(str(error)) from error
