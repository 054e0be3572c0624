"""Unary gRPC calls, to a real server and to one that misbehaves frame by frame."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import hpack
import pytest

from kuma.apps.dataplane.wire import grpc_call

METHOD = "/kuma.Test/Call"
Serve = Callable[[bytes, grpc.aio.ServicerContext[bytes, bytes]], Coroutine[Any, Any, bytes]]


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "grpc.sock")


@contextlib.asynccontextmanager
async def serving(socket: str, take: Serve) -> AsyncIterator[None]:
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(take)}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("kuma.Test", handlers),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 200_000, 8_000_000])
async def test_messages_of_any_size_arrive(socket: str, size: int) -> None:
    received: list[bytes] = []

    async def take(message: bytes, _: object) -> bytes:
        received.append(message)
        return b"y" * 30_000

    message = bytes(size)
    async with serving(socket, take):
        await grpc_call.call(grpc_call.Place(socket), METHOD, message, 20)
    assert received == [message]


async def test_a_refusal_says_why(socket: str) -> None:
    async def refuse(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much: 100 %")
        raise AssertionError

    async with serving(socket, refuse):
        with pytest.raises(grpc_call.Refused, match="gRPC status 8: too much: 100 %"):
            await grpc_call.call(grpc_call.Place(socket), METHOD, b"", 10)
        with pytest.raises(grpc_call.Refused, match="gRPC status 12"):
            await grpc_call.call(grpc_call.Place(socket), "/kuma.Test/Unheard", b"", 10)


async def test_nobody_there(socket: str) -> None:
    with pytest.raises(FileNotFoundError):
        await grpc_call.call(grpc_call.Place(socket), METHOD, b"", 10)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(*fields: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(fields)


OK = (":status", "200")
TRAILERS = headers(OK, ("grpc-status", "0"))


@contextlib.asynccontextmanager
async def saying(socket: str, *frames: bytes) -> AsyncIterator[None]:
    """A server that sends these once it was asked, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"".join(frames))
        writer.write_eof()
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(serve, socket):
        yield


@pytest.mark.parametrize(
    "frames",
    [
        (frame(1, 0x5, 1, TRAILERS),),
        (frame(1, 0x1, 1, TRAILERS[:2]), frame(9, 0x4, 1, TRAILERS[2:])),
        (frame(1, 0xD, 1, b"\x03" + TRAILERS + b"\0\0\0"),),
        (frame(1, 0x25, 1, bytes(5) + TRAILERS),),
        (frame(4, 0, 0, b""), frame(6, 0, 0, b"12345678"), frame(7, 0, 0, struct.pack(">II", 1, 0)), frame(1, 0x5, 1, TRAILERS)),
        (frame(0xBE, 0, 0, b"?"), frame(1, 0x4, 1, headers(OK)), frame(0, 0, 1, b"x"), frame(1, 0x5, 1, headers(("grpc-status", "0")))),
    ],
)  # fmt: skip
async def test_forms_of_success(socket: str, frames: tuple[bytes, ...]) -> None:
    async with saying(socket, *frames):
        await grpc_call.call(grpc_call.Place(socket), METHOD, b"message", 10)


@pytest.mark.parametrize(
    ("frames", "error", "words"),
    [
        ((), ConnectionError, "ended before the call"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), ConnectionError, "a frame of"),
        ((frame(3, 0, 1, struct.pack(">I", 7)),), grpc_call.Refused, "code 7"),
        ((frame(7, 0, 0, struct.pack(">II", 0, 2)),), ConnectionError, "going away"),
        ((frame(1, 0x5, 1, b"\xff\xff\xff"),), ConnectionError, "cannot be read"),
        ((frame(4, 0, 0, bytes(7)),), ConnectionError, "settings that cannot be read"),
        ((frame(4, 0, 0, struct.pack(">HI", 5, 0)),), ConnectionError, "frames of 0 bytes at most"),
        ((frame(1, 0xD, 1, b"\x09" + TRAILERS[:2]),), ConnectionError, "padding alone"),
        ((frame(1, 0xD, 1, b""),), ConnectionError, "padding alone"),
        ((frame(1, 0x1, 1, b""), *[frame(9, 0, 1, bytes(16_384))] * 5), ConnectionError, "headers of more than"),
        ((frame(3, 0, 1, b""),), grpc_call.Refused, "code 0"),
        ((frame(7, 0, 0, b""),), ConnectionError, "going away"),
        ((frame(1, 0x5, 1, headers((":status", "503"))),), grpc_call.Refused, "HTTP status 503"),
        ((frame(1, 0x4, 1, headers(OK)), frame(0, 0x1, 1, b"")), grpc_call.Refused, "no gRPC status"),
        ((frame(1, 0x5, 1, headers(OK, ("grpc-status", "13"))),), grpc_call.Refused, "gRPC status 13: no reason"),
    ],
)
async def test_forms_of_failure(socket: str, frames: tuple[bytes, ...], error: type[Exception], words: str) -> None:
    async with saying(socket, *frames):
        with pytest.raises(error, match=words):
            await grpc_call.call(grpc_call.Place(socket), METHOD, b"message", 10)


async def test_a_server_that_says_nothing_costs_the_time_limit(socket: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(serve, socket):
        with pytest.raises(TimeoutError):
            await grpc_call.call(grpc_call.Place(socket), METHOD, b"message", 0.05)
