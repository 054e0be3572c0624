"""The port without TLS keeps the same bounds."""

import asyncio
import dataclasses

from kuma import transport
from kuma.transport import plain
from kuma.transport.limits import Refusal
from tests.kit import port as kit


async def exchange(number: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(sent)
    received = await kit.closed(reader)
    writer.close()
    return received


async def test_request_body_limit_and_slow_headers() -> None:
    refused = kit.Refusals()
    limits = dataclasses.replace(kit.BRISK, body_bytes=10, header_seconds=0.1)
    server = plain.PlainServer(asgi_app=kit.answer, limits=limits, on_refused=refused.add)
    number = await server.start("127.0.0.1", 0)
    head = b"PUT /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: "
    assert (await exchange(number, head + b"2\r\n\r\nab")).endswith(b"1.1 PUT /x 2")
    assert (await exchange(number, head + b"11\r\n\r\nab")).startswith(b"HTTP/1.1 413 ")
    assert await exchange(number, head[:9]) == b""
    assert refused == ["body_too_large", "slow_headers"]
    await server.stop(0)


async def test_client_that_never_reads() -> None:
    ended = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1024 * 1024), "more_body": True})
        ended.set()

    refused = kit.Refusals()
    limits: transport.Limits = dataclasses.replace(kit.BRISK, write_stall_seconds=0.2)
    server = plain.PlainServer(asgi_app=app, limits=limits, on_refused=refused.add)
    number = await server.start("127.0.0.1", 0)
    _reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.transport.pause_reading()
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await refused.until(Refusal.SLOW_READER)
    await asyncio.wait_for(ended.wait(), 10)
    writer.close()
    await server.stop(0)
