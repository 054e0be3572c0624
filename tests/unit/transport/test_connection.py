"""An HTTP/2 connection without a socket: nothing that a client can send makes it fail in a way of its own."""

import asyncio
import ssl
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from kuma import transport
from kuma.transport import context as contexts
from kuma.transport import frames, headers, http2, wheel
from kuma.transport.frames import Code, Type, frame

CALL = headers.encode(
    [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/a.B/C"), (b"content-type", b"application/grpc")]
)
GET = headers.encode([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b"content-length", b"3")])


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.waiting = 0
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.1", 5) if name in ("peername", "sockname") else default

    def sent(self) -> list[frames.Frame]:
        """The frames that were written."""
        return list(frames.FrameReader(2**24).feed(frames.PREFACE + self.written))


async def echo(stream: transport.GrpcStream) -> None:
    while (message := await stream.receive()) is not None:
        await stream.send([message])


async def app(scope, receive, send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 100})


def connect() -> tuple[http2.Http2Connection, Wire, list[str], contexts.Context]:
    loop = asyncio.get_running_loop()
    refused: list[str] = []
    context = contexts.Context(
        loop=loop,
        wheel=wheel.Wheel(loop, 0.5),
        limits=transport.Limits(),
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        app=app,
        grpc={"/a.B/C": echo},
        on_refused=refused.append,
    )
    connection, wire = http2.Http2Connection(context), Wire()
    connection.connection_made(wire)
    return connection, wire, refused, context


BLOCK = st.one_of(st.sampled_from((CALL, GET, CALL + b"\x40\x01a\x01b", b"\xbe" + CALL)), st.binary(max_size=40))
PLAUSIBLE = st.one_of(
    st.builds(frame, st.just(Type.HEADERS), st.sampled_from((4, 5, 4 | 8, 4 | 32, 0)), st.integers(0, 9), BLOCK),
    st.builds(frame, st.just(Type.CONTINUATION), st.sampled_from((0, 4)), st.integers(0, 9), BLOCK),
    st.builds(
        frame,
        st.just(Type.DATA),
        st.sampled_from((0, 1, 8)),
        st.integers(0, 9),
        st.one_of(st.binary(max_size=40), st.just(b"\0\0\0\0\x03abc"), st.just(b"\0\xff\xff\xff\xff")),
    ),
    st.builds(
        frame,
        st.just(Type.SETTINGS),
        st.just(0),
        st.just(0),
        st.builds(lambda key, value: struct.pack(">HI", key, value), st.integers(0, 7), st.integers(0, 2**32 - 1)),
    ),
    st.builds(frames.window_update, st.integers(0, 9), st.integers(0, 2**31 - 1)),
    st.builds(frames.rst_stream, st.integers(0, 9), st.sampled_from(Code)),
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PLAUSIBLE, st.just(None)), max_size=25))
def test_no_sequence_of_frames_breaks_a_connection(sent: list[bytes | None]) -> None:
    """None lets the tasks of calls and requests run."""

    async def talk() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, seen: failures.append(seen))
        connection, wire, refused, context = connect()
        connection.data_received(frames.PREFACE + frames.settings_frame({}))
        for piece in sent:
            if piece is None:
                for _ in range(4):
                    await asyncio.sleep(0)
            else:
                connection.data_received(piece)
        closes = [one for one in wire.sent() if one.type == Type.GOAWAY]
        assert len(closes) == wire.is_closed, "a GOAWAY if and only if the connection was closed"
        assert bool(refused) >= wire.is_closed
        connection.connection_lost(None)
        if context.tasks:
            await asyncio.wait(context.tasks, timeout=5)
        assert not context.tasks
        await asyncio.sleep(0)
        assert context.buffered == 0, "every byte that was booked was given back"
        assert failures == []

    asyncio.run(talk())


async def test_peer_that_sends_but_does_not_read_is_cut_off() -> None:
    connection, wire, refused, _ = connect()
    connection.data_received(frames.PREFACE + frames.settings_frame({}))
    connection.pause_writing()
    wire.waiting = 100_000
    connection.data_received(frame(Type.PING, 0, 0, bytes(8)))
    assert not wire.is_aborted
    wire.waiting = 300_000
    connection.data_received(frame(Type.PING, 0, 0, bytes(8)))
    assert wire.is_aborted
    assert refused == ["slow_reader"]


async def test_windows_are_returned_in_big_steps() -> None:
    connection, wire, _, _ = connect()
    wide = frames.settings_frame({frames.Setting.INITIAL_WINDOW_SIZE: 2**24}) + frames.window_update(0, 2**24)
    connection.data_received(frames.PREFACE + wide)
    connection.data_received(frame(Type.HEADERS, 4, 1, CALL))
    for _ in range(8):
        message = b"\0" + (16_000).to_bytes(4, "big") + bytes(16_000)
        for _ in range(8):
            connection.data_received(frame(Type.DATA, 0, 1, message))
        for _ in range(20):
            await asyncio.sleep(0)
    updates = [one for one in wire.sent() if one.type == Type.WINDOW_UPDATE and one.stream_id == 1]
    assert 4 <= len(updates) <= 8
    assert sum(frames.number(one.payload) for one in updates) <= 64 * 16_005
    connection.connection_lost(None)
