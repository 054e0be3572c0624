"""Frames that break RFC 9113: each ends the connection (or the stream) with the code of the rule; the server lives on."""

import asyncio
import struct

import h2.events
import hpack
import pytest

from kuma.transport import frames, headers
from kuma.transport.frames import Code, Flag, Type, frame
from tests.kit import port as kit

GREETING = frames.PREFACE + frames.settings_frame({})
REQUEST = b"\x82\x87\x84" + headers.encode([(b":authority", b"x")])
OPEN = frame(Type.HEADERS, Flag.END_HEADERS, 1, REQUEST)


def setting(key: int, value: int) -> bytes:
    return GREETING + frame(Type.SETTINGS, 0, 0, struct.pack(">HI", key, value))


CONNECTION_ERRORS = {
    "wrong preface": (b"PRI * HTTP/1.1\r\n\r\n", Code.PROTOCOL_ERROR),
    "preface only begun wrong": (b"GET", Code.PROTOCOL_ERROR),
    "first frame is no SETTINGS": (frames.PREFACE + frame(Type.PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
    "first frame is an ACK": (frames.PREFACE + frame(Type.SETTINGS, Flag.ACK, 0), Code.PROTOCOL_ERROR),
    "frame too large": (GREETING + frames.header(16_385, Type.DATA, 0, 1), Code.FRAME_SIZE_ERROR),
    "SETTINGS of 5 bytes": (GREETING + frame(Type.SETTINGS, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
    "SETTINGS ACK with payload": (GREETING + frame(Type.SETTINGS, Flag.ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (GREETING + frame(Type.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "ENABLE_PUSH 2": (setting(2, 2), Code.PROTOCOL_ERROR),
    "INITIAL_WINDOW_SIZE too large": (setting(4, 2**31), Code.FLOW_CONTROL_ERROR),
    "MAX_FRAME_SIZE too small": (setting(5, 16_383), Code.PROTOCOL_ERROR),
    "MAX_FRAME_SIZE too large": (setting(5, 2**24), Code.PROTOCOL_ERROR),
    "PING of 7 bytes": (GREETING + frame(Type.PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "PING on a stream": (GREETING + frame(Type.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "GOAWAY of 7 bytes": (GREETING + frame(Type.GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "PRIORITY of 4 bytes": (GREETING + frame(Type.PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
    "RST_STREAM of 3 bytes": (GREETING + frame(Type.RST_STREAM, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
    "RST_STREAM of an idle stream": (GREETING + frames.rst_stream(1, Code.CANCEL), Code.PROTOCOL_ERROR),
    "WINDOW_UPDATE of 3 bytes": (GREETING + frame(Type.WINDOW_UPDATE, 0, 0, bytes(3)), Code.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of 0": (GREETING + frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "WINDOW_UPDATE beyond 2**31-1": (GREETING + frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "WINDOW_UPDATE of an idle stream": (GREETING + frames.window_update(1, 1), Code.PROTOCOL_ERROR),
    "DATA on stream 0": (GREETING + frame(Type.DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "DATA on an idle stream": (GREETING + frame(Type.DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),
    "padding longer than DATA": (GREETING + OPEN + frame(Type.DATA, Flag.PADDED, 1, b"\x05abc"), Code.PROTOCOL_ERROR),
    "padded DATA without a length": (GREETING + OPEN + frame(Type.DATA, Flag.PADDED, 1), Code.PROTOCOL_ERROR),
    "HEADERS on stream 0": (GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 0, REQUEST), Code.PROTOCOL_ERROR),
    "HEADERS on an even stream": (GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 2, REQUEST), Code.PROTOCOL_ERROR),
    "HEADERS without its priority": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS | Flag.PRIORITY, 1, b"abc"),
        Code.FRAME_SIZE_ERROR,
    ),
    "padding longer than HEADERS": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS | Flag.PADDED, 1, b"\xff" + REQUEST),
        Code.PROTOCOL_ERROR,
    ),
    "unknown table index": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 1, b"\xfe"),
        Code.COMPRESSION_ERROR,
    ),
    "header block cut off": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 1, b"\x82\x04\x7f"),
        Code.COMPRESSION_ERROR,
    ),
    "bad Huffman code": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 1, b"\x04\x84\xff\xff\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "table size above ours": (
        GREETING + frame(Type.HEADERS, Flag.END_HEADERS, 1, b"\x3f\xff\xff\x03" + REQUEST),
        Code.COMPRESSION_ERROR,
    ),
    "CONTINUATION without HEADERS": (GREETING + frame(Type.CONTINUATION, 4, 1, REQUEST), Code.PROTOCOL_ERROR),
    "header block interrupted": (
        GREETING + frame(Type.HEADERS, 0, 1, REQUEST) + frame(Type.PING, 0, 0, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION of another stream": (
        GREETING + frame(Type.HEADERS, 0, 1, REQUEST) + frame(Type.CONTINUATION, 4, 3, b""),
        Code.PROTOCOL_ERROR,
    ),
    "PUSH_PROMISE": (GREETING + OPEN + frame(Type.PUSH_PROMISE, 4, 1, bytes(4)), Code.PROTOCOL_ERROR),
    "window overflow by SETTINGS": (
        GREETING + OPEN + frames.window_update(1, 2**31 - 1 - 65_535) + frame(4, 0, 0, struct.pack(">HI", 4, 65_536)),
        Code.FLOW_CONTROL_ERROR,
    ),
}


async def frames_until(reader: asyncio.StreamReader, kind: Type) -> tuple[int, bytes]:
    """Stream and payload of the next frame of a kind."""
    while True:
        head = await asyncio.wait_for(reader.readexactly(9), 10)
        payload = await asyncio.wait_for(reader.readexactly(int.from_bytes(head[:3], "big")), 10)
        if head[3] == kind:
            return int.from_bytes(head[5:], "big"), payload


@pytest.mark.parametrize(("sent", "code"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS.keys())
async def test_connection_error(sent: bytes, code: Code) -> None:
    async with kit.serve() as port:
        other = await port.open_h2()
        reader, writer = await port.open("h2")
        writer.write(sent)
        _, payload = await frames_until(reader, Type.GOAWAY)
        assert Code(int.from_bytes(payload[4:8], "big")) == code
        assert await kit.closed(reader) == b""
        assert port.refused == ["malformed"]
        await other.until(h2.events.StreamEnded, other.request("/x"))


def headers_of(*fields: tuple[bytes, bytes]) -> bytes:
    return frame(Type.HEADERS, Flag.END_HEADERS, 1, headers.encode(fields))


GET = ((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"))
STREAM_ERRORS = {
    "no method": (headers_of(*GET[1:]), Code.PROTOCOL_ERROR),
    "no path": (headers_of(*GET[:2]), Code.PROTOCOL_ERROR),
    "relative path": (headers_of(*GET[:2], (b":path", b"x")), Code.PROTOCOL_ERROR),
    "method twice": (headers_of(*GET, GET[0]), Code.PROTOCOL_ERROR),
    "unknown pseudo-header": (headers_of(*GET, (b":status", b"200")), Code.PROTOCOL_ERROR),
    "pseudo-header after a field": (headers_of(*GET[:2], (b"a", b"b"), GET[2]), Code.PROTOCOL_ERROR),
    "upper case": (headers_of(*GET, (b"Accept", b"x")), Code.PROTOCOL_ERROR),
    "empty name": (headers_of(*GET, (b"", b"x")), Code.PROTOCOL_ERROR),
    "name with a space": (headers_of(*GET, (b"a b", b"x")), Code.PROTOCOL_ERROR),
    "value with a line break": (headers_of(*GET, (b"a", b"x\r\nb: c")), Code.PROTOCOL_ERROR),
    "path with NUL": (headers_of(*GET[:2], (b":path", b"/\x00")), Code.PROTOCOL_ERROR),
    "connection": (headers_of(*GET, (b"connection", b"close")), Code.PROTOCOL_ERROR),
    "transfer-encoding": (headers_of(*GET, (b"transfer-encoding", b"chunked")), Code.PROTOCOL_ERROR),
    "te other than trailers": (headers_of(*GET, (b"te", b"gzip")), Code.PROTOCOL_ERROR),
    "content-length is no number": (headers_of(*GET, (b"content-length", b"-1")), Code.PROTOCOL_ERROR),
    "two content-lengths": (
        headers_of(*GET, (b"content-length", b"1"), (b"content-length", b"2")),
        Code.PROTOCOL_ERROR,
    ),
    "body longer than announced": (
        headers_of(*GET, (b"content-length", b"1")) + frame(Type.DATA, 0, 1, b"ab"),
        Code.PROTOCOL_ERROR,
    ),
    "body shorter than announced": (
        headers_of(*GET, (b"content-length", b"3")) + frame(Type.DATA, Flag.END_STREAM, 1, b"ab"),
        Code.PROTOCOL_ERROR,
    ),
    "DATA after the end": (
        headers_of(*GET) + frame(Type.DATA, Flag.END_STREAM, 1) + frame(Type.DATA, 0, 1, b"x"),
        Code.STREAM_CLOSED,
    ),
    "trailers that end nothing": (OPEN + frame(Type.HEADERS, Flag.END_HEADERS, 1, b""), Code.PROTOCOL_ERROR),
    "pseudo-header in trailers": (
        OPEN + frame(Type.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, b"\x82"),
        Code.PROTOCOL_ERROR,
    ),
    "WINDOW_UPDATE of 0": (OPEN + frames.window_update(1, 0), Code.PROTOCOL_ERROR),
    "window beyond 2**31-1": (OPEN + frames.window_update(1, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "DATA beyond the window": (
        OPEN + frame(Type.DATA, 0, 1, bytes(16_384)) * 17,
        Code.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize(("sent", "code"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
async def test_stream_error(sent: bytes, code: Code) -> None:
    async def deaf(scope, receive, send) -> None:
        await asyncio.get_running_loop().create_future()

    async with kit.serve(app=deaf) as port:
        reader, writer = await port.open("h2")
        writer.write(GREETING + sent + frame(Type.PING, 0, 0, b"stillup?"))
        stream, payload = await frames_until(reader, Type.RST_STREAM)
        assert (stream, Code(int.from_bytes(payload, "big"))) == (1, code)
        assert await frames_until(reader, Type.PING) == (0, b"stillup?")
        assert port.refused == ["malformed"]


@pytest.mark.parametrize(
    "sent",
    [
        frame(99, 0xFF, 7, b"unknown type"),
        frame(Type.PRIORITY, 0, 9, bytes(5)),
        setting(77, 1)[len(GREETING) :],
        frame(Type.SETTINGS, Flag.ACK, 0),
        OPEN + frames.rst_stream(1, Code.CANCEL) + frame(Type.DATA, 0, 1, b"late") + frames.window_update(1, 5),
        frame(Type.HEADERS, Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY, 1, b"\x02" + bytes(5) + REQUEST + b"pp"),
        frame(Type.HEADERS, 0, 1, REQUEST[:2]) + frame(Type.CONTINUATION, 4, 1, REQUEST[2:]),
        OPEN + frame(Type.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, headers.encode([(b"a", b"b")])),
    ],
    ids=["type", "priority", "setting", "ack", "late", "padded", "continued", "trailers"],
)
async def test_unusual_and_right(sent: bytes) -> None:
    async with kit.serve() as port:
        reader, writer = await port.open("h2")
        writer.write(GREETING + sent + frame(Type.PING, 0, 0, b"stillup?"))
        assert await frames_until(reader, Type.PING) == (0, b"stillup?")
        assert port.refused == []


async def test_request_with_indexed_and_compressed_fields() -> None:
    """The table of the client's encoder is kept over requests, also over those that are refused."""
    encoder = hpack.Encoder()
    fields = [(":method", "GET"), (":scheme", "https"), (":path", "/same"), ("x-a", "b")]
    bad = [*fields, ("Upper", "case")]
    async with kit.serve() as port:
        reader, writer = await port.open("h2")
        writer.write(GREETING)
        for number, sent in enumerate((fields, bad, fields)):
            block = encoder.encode(sent)
            writer.write(frame(Type.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 2 * number + 1, block))
        assert {await frames_until(reader, Type.DATA) for _ in range(2)} == {
            (1, b"2 GET /same 0"),
            (5, b"2 GET /same 0"),
        }


async def test_header_as_the_load_tool_writes_it() -> None:
    """Indexed method and scheme, then literals without indexing; a table of size 0 and the largest windows."""
    path = b"/a.B/C"
    block = b"\x83\x87\x04" + bytes((len(path),)) + path + b"\x01\x09localhost\x0f\x10\x10application/grpc"
    block += b"\x00\x02te\x08trailers"
    greeting = frames.PREFACE + frame(4, 0, 0, struct.pack(">HIHI", 4, 0x7FFFFFFF, 1, 0))
    greeting += frames.window_update(0, 0x7FFFFFFF - 65_535) + frame(1, 4, 1, block)

    async def double(stream) -> None:
        message = await stream.receive()
        await stream.send([message, message])
        await stream.receive()

    async with kit.serve(grpc={"/a.B/C": double}) as port:
        reader, writer = await port.open("h2")
        writer.write(greeting + frame(0, 0, 1, kit.framed(b"ab")))
        _, response = await frames_until(reader, Type.HEADERS)
        assert response[0] == 0x20
        decoder = hpack.Decoder()
        assert decoder.decode(response) == [(":status", "200"), ("content-type", "application/grpc")]
        assert await frames_until(reader, Type.DATA) == (1, kit.framed(b"abab"))
