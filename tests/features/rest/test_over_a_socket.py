"""The API behind the plain HTTP port that it is served on."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kuma.servers.rest.messages import intake
from kuma.transport import limits, plain
from tests.kit import api as kit


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    server = plain.PlainServer(asgi_app=kit.build().app, limits=limits.Limits(), on_refused=lambda reason: None)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop(1.0)


def exchange(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    chunked = isinstance(body, Iterator)
    client.request(method, path, body, {"content-type": "application/json"}, encode_chunked=chunked)
    answer = client.getresponse()
    return answer.status, answer.read()


async def test_write_and_read() -> None:
    async with served() as port:
        document = json.dumps({"type": "Mesh", "name": "shop"}).encode()
        assert await asyncio.to_thread(exchange, port, "PUT", "/meshes/shop", document) == (201, b"{}\n")
        status, body = await asyncio.to_thread(exchange, port, "GET", "/meshes/shop")
        assert (status, json.loads(body)["kri"]) == (200, "kri_m____shop_")


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_sends_too_much_hears_so(chunked: bool) -> None:
    async with served() as port:
        large = bytes(intake.MAX_BODY + 1_000_000)
        body: Any = iter([large[:2_000_000], large[2_000_000:]]) if chunked else large
        status, _ = await asyncio.to_thread(exchange, port, "PUT", "/meshes/shop", body)
        assert status == 413
