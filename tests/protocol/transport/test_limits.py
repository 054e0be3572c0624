"""What a client may not do: stop reading, dribble, flood. Each is cut off, counted, and the server lives on."""

import asyncio
import contextlib
import dataclasses
import os

import h2.errors
import h2.events
import h2.exceptions
import pytest

from kuma import transport
from kuma.transport import frames, headers
from kuma.transport.frames import Code, Flag, Type, frame
from kuma.transport.limits import Refusal
from tests.kit import port as kit

GREETING = frames.PREFACE + frames.settings_frame({})
REQUEST = b"\x82\x87\x84" + headers.encode([(b":authority", b"x")])
CALL = frame(
    Type.HEADERS,
    Flag.END_HEADERS,
    1,
    headers.encode(
        [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/a.B/C"), (b"content-type", b"application/grpc")]
    ),
)


def limits(**changed: float) -> transport.Limits:
    return dataclasses.replace(kit.BRISK, **changed)  # type: ignore[arg-type]


async def goaway_code(reader: asyncio.StreamReader) -> Code:
    while True:
        head = await asyncio.wait_for(reader.readexactly(9), 10)
        payload = await asyncio.wait_for(reader.readexactly(int.from_bytes(head[:3], "big")), 10)
        if head[3] == Type.GOAWAY:
            return Code(int.from_bytes(payload[4:8], "big"))


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Sends a byte every few milliseconds until the server closes; fails if it lets all of them in."""
    for byte in sent:
        writer.write(bytes((byte,)))
        try:
            if not await asyncio.wait_for(reader.read(65_536), 0.01):
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    pytest.fail("every byte was accepted")


class Sender:
    """A handler that sends large messages for ever and notes how it ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = asyncio.Event()

    async def __call__(self, stream: transport.GrpcStream) -> None:
        message = [os.urandom(1024)] * 1024
        try:
            while True:
                await stream.send(message)
                self.sent += 1
        finally:
            self.ended.set()


# --- clients that do not read -----------------------------------------------------------------------------------------


async def test_client_that_never_reads_is_cut_off() -> None:
    sender = Sender()
    async with kit.serve(grpc={"/a.B/C": sender}, limits=limits(write_stall_seconds=0.3)) as port:
        reader, writer = await port.open("h2")
        writer.transport.pause_reading()
        wide = frames.settings_frame({frames.Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
        writer.write(frames.PREFACE + wide + frames.window_update(0, 2**31 - 1 - 65_535) + CALL)
        await port.refused.until(Refusal.SLOW_READER)
        await asyncio.wait_for(sender.ended.wait(), 10)
        assert sender.sent < 64, "what was sent is bounded by the buffers of the kernel"
        assert port.refused == ["slow_reader"]
        del reader


async def test_client_that_leaves_the_streams_window_closed() -> None:
    sender = Sender()
    async with kit.serve(grpc={"/a.B/C": sender}, limits=limits(write_stall_seconds=0.1)) as port:
        client = await port.open_h2(window=10)
        stream_id = client.call("/a.B/C")
        event = await client.until(h2.events.StreamReset, stream_id)
        assert event.error_code == h2.errors.ErrorCodes.CANCEL
        await asyncio.wait_for(sender.ended.wait(), 10)
        assert (sender.sent, port.refused) == (0, ["slow_reader"])
        await client.until(h2.events.StreamEnded, client.request("/x", method="HEAD"))


async def test_client_that_leaves_the_connections_window_closed() -> None:
    sender = Sender()
    async with kit.serve(grpc={"/a.B/C": sender}, limits=limits(write_stall_seconds=0.1)) as port:
        client = await port.open_h2(window=2**20)
        client.call("/a.B/C")
        event = await client.until(h2.events.ConnectionTerminated)
        assert event.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        await asyncio.wait_for(sender.ended.wait(), 10)
        assert port.refused == ["slow_reader"]


async def test_client_that_opens_its_window_byte_by_byte() -> None:
    sender = Sender()
    async with kit.serve(grpc={"/a.B/C": sender}, limits=limits(write_stall_seconds=0.2)) as port:
        client = await port.open_h2(window=10)
        stream_id = client.call("/a.B/C")
        with contextlib.suppress(h2.exceptions.StreamClosedError):  # the reset was read before the update
            either = (h2.events.DataReceived, h2.events.StreamReset)
            while isinstance(await client.until(either, stream_id), h2.events.DataReceived):
                client.h2.increment_flow_control_window(1, stream_id)
                client.flush()
        await port.refused.until(Refusal.SLOW_READER)
        await asyncio.wait_for(sender.ended.wait(), 10)
        assert sender.sent == 0


async def test_http1_client_that_never_reads() -> None:
    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1024 * 1024), "more_body": True})
        await send({"type": "http.response.body"})

    async with kit.serve(app=app, limits=limits(write_stall_seconds=0.3)) as port:
        _reader, writer = await port.open("http/1.1")
        writer.transport.pause_reading()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await port.refused.until(Refusal.SLOW_READER)


# --- clients that dribble ---------------------------------------------------------------------------------------------


async def test_byte_by_byte_handshake() -> None:
    async with kit.serve(limits=limits(handshake_seconds=0.1)) as port:
        await dribble(*await port.open_tcp(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
        assert port.refused == ["slow_tls_handshake"]


DRIBBLES = {
    "preface": ("h2", b"", frames.PREFACE + frames.settings_frame({}), "slow_headers"),
    "HTTP/1.1 request line": ("http/1.1", b"", b"GET /" + b"a" * 500, "slow_headers"),
    "HTTP/1.1 headers": ("http/1.1", b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 100, "slow_headers"),
    "header block": (
        "h2",
        GREETING + frame(Type.HEADERS, 0, 1, REQUEST),
        frame(Type.CONTINUATION, 0, 1, b"") * 50,
        "slow_headers",
    ),
    "frame": ("h2", GREETING + CALL, frames.header(600, Type.DATA, 0, 1) + bytes(600), "slow_message"),
}


@pytest.mark.parametrize(("alpn", "first", "then", "reason"), DRIBBLES.values(), ids=DRIBBLES.keys())
async def test_byte_by_byte(alpn: str, first: bytes, then: bytes, reason: str) -> None:
    brief = limits(header_seconds=0.15, message_seconds=0.15)
    async with kit.serve(grpc={"/a.B/C": Sender()}, limits=brief) as port:
        reader, writer = await port.open(alpn)
        writer.write(first)
        await dribble(reader, writer, then)
        assert port.refused == [reason]


@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
async def test_silence_after_the_handshake(alpn: str) -> None:
    async with kit.serve(limits=limits(header_seconds=0.1)) as port:
        reader, _writer = await port.open(alpn)
        await kit.closed(reader)
        assert port.refused == ["slow_headers"]


async def test_grpc_message_byte_by_byte_in_whole_frames() -> None:
    async def wait(stream: transport.GrpcStream) -> None:
        await stream.receive()

    async with kit.serve(grpc={"/a.B/C": wait}, limits=limits(message_seconds=0.15)) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        for byte in kit.framed(bytes(500)):
            if port.refused:
                break
            client.send(stream_id, bytes((byte,)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.until(h2.events.StreamEnded, stream_id), 0.01)
        assert port.refused == ["slow_message"]
        assert (await client.status(stream_id))[0] == "4"


async def test_http1_body_byte_by_byte() -> None:
    async with kit.serve(limits=limits(message_seconds=0.15)) as port:
        reader, writer = await port.open("http/1.1")
        writer.write(b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n1")
        assert (await kit.closed(reader)).startswith(b"HTTP/1.1 408 ")
        assert port.refused == ["slow_message"]


async def test_http1_body_that_nobody_reads_does_not_hold_the_connection() -> None:
    async def early(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with kit.serve(app=early, limits=limits(message_seconds=0.1, linger_seconds=0.1)) as port:
        reader, writer = await port.open("http/1.1")
        writer.write(b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        await port.refused.until(Refusal.SLOW_MESSAGE)
        await kit.closed(reader)


# --- clients that flood -----------------------------------------------------------------------------------------------


async def test_connections_above_the_limit() -> None:
    async with kit.serve(limits=limits(connections=1)) as port:
        client = await port.open_h2()
        reader, _ = await port.open_tcp()
        assert await kit.closed(reader) == b""
        assert port.refused == ["too_many_connections"]
        await client.until(h2.events.StreamEnded, client.request("/x"))
        assert port.server.connections == 1


async def test_streams_above_the_limit() -> None:
    release = asyncio.Event()

    async def wait(stream: transport.GrpcStream) -> None:
        await release.wait()

    async with kit.serve(grpc={"/a.B/C": wait}, limits=limits(streams=2)) as port:
        reader, writer = await port.open("h2")
        writer.write(GREETING + CALL)
        for stream_id in (3, 5):
            writer.write(CALL[:5] + stream_id.to_bytes(4, "big") + CALL[9:])
        while True:
            head = await asyncio.wait_for(reader.readexactly(9), 10)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == Type.RST_STREAM:
                break
        assert (int.from_bytes(head[5:], "big"), payload[3]) == (5, Code.REFUSED_STREAM)
        assert port.refused == ["too_many_streams"]


def opened_and_reset(count: int) -> bytes:
    pairs = [
        CALL[:5] + (2 * n + 1).to_bytes(4, "big") + CALL[9:] + frames.rst_stream(2 * n + 1, Code.CANCEL)
        for n in range(count)
    ]
    return b"".join(pairs)


HEADER = headers.encode([(b"x-long", b"y" * 1000)])
FLOODS = {
    "rapid reset": (opened_and_reset(11), "too_many_resets"),
    "PING": (frame(Type.PING, 0, 0, bytes(8)) * 11, "too_many_pings"),
    "SETTINGS": (frame(Type.SETTINGS, 0, 0) * 11, "too_many_settings"),
    "empty DATA": (CALL + frame(Type.DATA, 0, 1) * 11, "too_many_useless_frames"),
    "PRIORITY": (frame(Type.PRIORITY, 0, 1, bytes(5)) * 11, "too_many_useless_frames"),
    "unknown frames": (frame(200, 0, 0) * 11, "too_many_useless_frames"),
    "DATA of ended streams": (
        CALL + frames.rst_stream(1, Code.CANCEL) + frame(Type.DATA, 0, 1, b"x") * 11,
        "too_many_useless_frames",
    ),
    "empty CONTINUATION": (
        frame(Type.HEADERS, 0, 1, REQUEST) + frame(Type.CONTINUATION, 0, 1) * 20,
        "headers_too_large",
    ),
    "large header block": (
        frame(Type.HEADERS, 0, 1, REQUEST) + frame(Type.CONTINUATION, 0, 1, HEADER * 3) * 2,
        "headers_too_large",
    ),
    "header list that grows by reference": (
        frame(Type.HEADERS, 4, 1, REQUEST + b"\x40\x01a\x7f\x00" + b"b" * 127 + b"\xbe" * 50),
        "headers_too_large",
    ),
}


@pytest.mark.parametrize(("sent", "reason"), FLOODS.values(), ids=FLOODS.keys())
async def test_flood(sent: bytes, reason: str) -> None:
    tight = limits(
        resets_per_second=10, pings_per_second=10, settings_per_second=10, oddities_per_second=10, header_bytes=5000
    )
    async with kit.serve(grpc={"/a.B/C": Sender()}, limits=tight) as port:
        reader, writer = await port.open("h2")
        writer.write(GREETING + sent)
        assert await goaway_code(reader) is Code.ENHANCE_YOUR_CALM
        assert port.refused == [reason]
        other = await port.open_h2()
        await other.until(h2.events.StreamEnded, other.request("/x"))


async def test_http1_headers_without_end() -> None:
    async with kit.serve(limits=limits(header_bytes=5000)) as port:
        reader, writer = await port.open("http/1.1")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 6000)
        assert (await kit.closed(reader)).startswith(b"HTTP/1.1 431 ")
        assert port.refused == ["headers_too_large"]


async def test_unfinished_messages_above_the_connections_buffer() -> None:
    async def wait(stream: transport.GrpcStream) -> None:
        await stream.receive()

    async with kit.serve(grpc={"/a.B/C": wait}, limits=limits(connection_buffer_bytes=50_000)) as port:
        client = await port.open_h2()
        first, second = client.call("/a.B/C"), client.call("/a.B/C")
        unfinished = kit.framed(bytes(40_000))
        client.send(first, unfinished[:-1])
        client.send(second, unfinished[:20_000])
        assert (await client.status(second))[0] == "8"
        client.send(first, unfinished[-1:], ends=True)
        assert (await client.status(first))[0] == "0"
        assert port.refused == ["too_much_buffered"]


# --- clients that are gone, or have nothing to say --------------------------------------------------------------------


async def test_peer_that_does_not_answer_pings() -> None:
    cancelled = asyncio.Event()

    async def wait(stream: transport.GrpcStream) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    brief = limits(ping_interval_seconds=0.1, ping_timeout_seconds=0.1)
    async with kit.serve(grpc={"/a.B/C": wait}, limits=brief) as port:
        _reader, writer = await port.open("h2")
        writer.write(GREETING + CALL)
        await port.refused.until(Refusal.NO_PING_ANSWER)
        await asyncio.wait_for(cancelled.wait(), 10)


async def test_peer_that_answers_pings_stays() -> None:
    async def wait(stream: transport.GrpcStream) -> None:
        await stream.receive()

    brief = limits(ping_interval_seconds=0.05, ping_timeout_seconds=0.5)
    async with kit.serve(grpc={"/a.B/C": wait}, limits=brief) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        for _ in range(4):
            await client.until(h2.events.PingReceived)
        client.send(stream_id, b"", ends=True)
        assert await client.status(stream_id) == ("0", "")
        assert port.refused == []


async def test_connection_without_streams() -> None:
    async with kit.serve(limits=limits(idle_seconds=0.1)) as port:
        client = await port.open_h2()
        event = await client.until(h2.events.ConnectionTerminated)
        assert event.error_code == h2.errors.ErrorCodes.NO_ERROR
        assert port.refused == ["idle_connection"]
