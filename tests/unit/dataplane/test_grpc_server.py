"""The server of unary calls: to real clients, and to some that misbehave frame by frame."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import hpack
import pytest

from kuma.apps.dataplane.wire import frames, grpc_call, grpc_server
from kuma.apps.dataplane.wire.frames import Kind

METHOD = "/kuma.Test/Call"
MORE = frames.LARGEST


class Taker:
    """Keeps what it got; refuses everything while `code` is not OK."""

    def __init__(self) -> None:
        self.code, self.reason = grpc_server.OK, ""
        self.got: list[tuple[str, bytes]] = []

    def take(self, method: str, message: bytes) -> tuple[int, str]:
        self.got.append((method, message))
        return self.code, self.reason


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def socket(tmp_path: Path, taker: Taker) -> AsyncIterator[str]:
    path = tmp_path / "s"
    path.touch()  # left by an agent that was killed
    serving = asyncio.ensure_future(grpc_server.serve(str(path), taker.take))
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(path.is_socket):  # noqa: ASYNC110
            await asyncio.sleep(0)
    yield str(path)
    serving.cancel()
    await asyncio.wait([serving])
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 1, MORE - 5, MORE, 200_000, grpc_server.LARGEST_MESSAGE])
async def test_messages_of_any_size(socket: str, taker: Taker, size: int) -> None:
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        assert await channel.unary_unary(METHOD)(bytes(size)) == b""
    await grpc_call.call(grpc_call.Place(socket), METHOD, bytes(size), 10)
    assert taker.got == [(METHOD, bytes(size))] * 2


def test_only_our_user_may_open_it(socket: str) -> None:
    assert Path(socket).stat().st_mode & 0o777 == 0o600


async def test_many_calls_at_once_on_one_connection(socket: str, taker: Taker) -> None:
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        call = channel.unary_unary(METHOD)
        await asyncio.gather(*(call(bytes([number]) * 3000) for number in range(200)))
    assert sorted(message[0] for _, message in taker.got) == list(range(200))


async def test_a_refusal_says_why(socket: str, taker: Taker) -> None:
    taker.code, taker.reason = grpc_server.UNAVAILABLE, "zu voll: 100 %"
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        call = channel.unary_unary(METHOD)
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call(b"message")
            assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.UNAVAILABLE, taker.reason)


async def test_what_is_too_large_or_compressed_is_not_taken(socket: str, taker: Taker) -> None:
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channel.unary_unary(METHOD)(bytes(grpc_server.LARGEST_MESSAGE + 1))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await channel.unary_unary(METHOD)(b"the next one")
    with pytest.raises(grpc_call.Refused, match="compressed"):
        await grpc_call.call(grpc_call.Place(socket), METHOD, b"", 10, encoding="gzip")
    assert taker.got == [(METHOD, b"the next one")]


REQUEST = hpack.Encoder().encode([(":method", "POST"), (":path", METHOD)])
MESSAGE = struct.pack(">BI", 0, 2) + b"ok"
HELLO = frames.PREFACE + frames.frame(Kind.SETTINGS, 0, 0)


@contextlib.asynccontextmanager
async def talking(socket: str, *parts: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"".join(parts))
    try:
        async with asyncio.timeout(10):
            yield reader
    finally:
        writer.close()


async def next_frame(reader: asyncio.StreamReader, kind: Kind) -> tuple[int, bytes]:
    """Flags and payload of the next frame of a kind."""
    while True:
        size, found, flags, _ = frames.read_head(await reader.readexactly(frames.HEAD))
        payload = await reader.readexactly(size)
        if found == kind and not (kind is Kind.SETTINGS and not flags):
            return flags, payload


@pytest.mark.parametrize(
    "parts",
    [
        (frames.frame(1, 0x4, 1, REQUEST), frames.frame(0, 0x1, 1, MESSAGE)),
        (frames.frame(1, 0, 1, REQUEST[:3]), frames.frame(9, 0x4, 1, REQUEST[3:]), frames.frame(0, 0x1, 1, MESSAGE)),
        (frames.frame(1, 0x24, 1, bytes(5) + REQUEST), frames.frame(0, 0x1, 1, MESSAGE)),
        (frames.frame(1, 0xC, 1, b"\x02" + REQUEST + b"\0\0"), frames.frame(0, 0x9, 1, b"\x01" + MESSAGE + b"\0")),
        (frames.frame(1, 0x4, 1, REQUEST), *(frames.frame(0, 0, 1, bytes([each])) for each in MESSAGE), frames.frame(0, 0x1, 1)),
        (frames.frame(8, 0, 0, bytes(4)), frames.frame(0xBE, 0, 0, b"?"), frames.frame(0, 0x1, 7, b"nobody's"), frames.frame(1, 0x4, 1, REQUEST), frames.frame(0, 0x21, 1, MESSAGE)),
    ],
)  # fmt: skip
async def test_forms_of_a_call(socket: str, taker: Taker, parts: tuple[bytes, ...]) -> None:
    async with talking(socket, HELLO, *parts) as reader:
        await next_frame(reader, Kind.DATA)
    assert taker.got == [(METHOD, b"ok")]


async def test_pings_and_settings_are_acknowledged(socket: str) -> None:
    async with talking(socket, HELLO, frames.frame(Kind.PING, 0, 0, b"12345678")) as reader:
        assert await next_frame(reader, Kind.SETTINGS) == (frames.ACK, b"")
        assert await next_frame(reader, Kind.PING) == (frames.ACK, b"12345678")


async def test_a_call_that_is_taken_back_holds_nothing(socket: str, taker: Taker) -> None:
    half = bytes(MORE)
    began = b"".join(
        frames.frame(1, 0x4, stream, REQUEST) + frames.frame(0, 0, stream, half) + frames.frame(3, 0, stream, bytes(4))
        for stream in range(1, 2001, 2)  # 16 MB in all
    )
    whole = frames.frame(1, 0x4, 2001, REQUEST) + frames.frame(0, 0x1, 2001, MESSAGE)
    async with talking(socket, HELLO, began, whole) as reader:
        await next_frame(reader, Kind.DATA)
    assert taker.got == [(METHOD, b"ok")]


async def test_more_calls_than_agreed_are_refused(socket: str) -> None:
    began = (frames.frame(1, 0x4, stream, REQUEST) for stream in range(1, 203, 2))
    async with talking(socket, HELLO, *began) as reader:
        assert await next_frame(reader, Kind.RST_STREAM) == (0, struct.pack(">I", 7))


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",),
        (HELLO, b"\x01\x00\x00" + bytes(6)),
        (HELLO, frames.frame(1, 0x4, 1, b"\xff\xff\xff")),
        (HELLO, frames.frame(1, 0xC, 1, b"\x09")),
        (HELLO, frames.frame(1, 0, 1, bytes(MORE)), frames.frame(9, 0, 1, b"x")),
        (
            HELLO,
            *(frames.frame(1, 0x4, stream, REQUEST) for stream in (1, 3, 5)),
            *(frames.frame(0, 0, stream, bytes(MORE)) for stream in (1, 3, 5) for _ in range(200)),
        ),
    ],
)
async def test_nonsense_ends_the_connection(socket: str, taker: Taker, parts: tuple[bytes, ...]) -> None:
    async with talking(socket, *parts) as reader:
        await next_frame(reader, Kind.GOAWAY)
        with contextlib.suppress(ConnectionError):  # of what we still send, nothing is read
            assert await reader.read() == b""
    assert taker.got == []


async def test_a_message_that_is_none(socket: str) -> None:
    for body in (b"", b"\0\0\0\0\x09abc"):
        async with talking(socket, HELLO, frames.frame(1, 0x4, 1, REQUEST), frames.frame(0, 0x1, 1, body)) as reader:
            _, block = await next_frame(reader, Kind.HEADERS)
            assert ("grpc-status", "3") in hpack.Decoder().decode(block)


async def test_an_end_without_a_word_leaves_the_others_alone(socket: str, taker: Taker) -> None:
    async with talking(socket, HELLO, frames.frame(1, 0x4, 1, REQUEST)):
        await grpc_call.call(grpc_call.Place(socket), METHOD, b"ok", 10)
    await grpc_call.call(grpc_call.Place(socket), METHOD, b"ok", 10)
    assert len(taker.got) == 2
