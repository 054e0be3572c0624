"""The small HTTP client: framing, limits of time and size, and what a broken server does to it."""

import asyncio
from pathlib import Path

import pytest

from kuma.apps.dataplane.wire import http_client
from tests.unit.dataplane.servers import answering, http


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (http(200, b"hello"), 200, b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            200,
            b"hello world",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
)
async def test_framing(raw: bytes, status: int, body: bytes) -> None:
    async with answering(raw) as server:
        answer = await http_client.send_request("GET", f"http://127.0.0.1:{server.port}/p?q=1")

    assert (answer.status, answer.body) == (status, body)
    assert server.requests[0].startswith(b"GET /p?q=1 HTTP/1.1\r\nhost: 127.0.0.1:")


async def test_post_sends_its_body() -> None:
    async with answering(http(200)) as server:
        await http_client.send_request("POST", f"http://127.0.0.1:{server.port}/", body=b"{}", headers={"a": "b"})

    assert server.requests[0].endswith(b"content-length: 2\r\na: b\r\n\r\n{}")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    ],
)
async def test_broken_answers_are_connection_errors(raw: bytes) -> None:
    async with answering(raw) as server:
        with pytest.raises(ConnectionError, match="broken HTTP answer"):
            await http_client.send_request("GET", f"http://127.0.0.1:{server.port}/")


async def test_a_silent_server_is_given_up() -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            await http_client.send_request("GET", f"http://127.0.0.1:{port}/", timeout=0.05)


async def test_unix_sockets(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(503, b"no"))
        writer.close()

    path = str(tmp_path / "s.sock")
    async with await asyncio.start_unix_server(serve, path):
        answer = await http_client.send_request("GET", "http://localhost/ready", unix_socket=path)
    assert (answer.status, answer.text) == (503, "no")


async def test_headers_cannot_smuggle_lines() -> None:
    async with answering(http(200)) as server:
        with pytest.raises(ConnectionError, match="line break"):
            await http_client.send_request("GET", f"http://127.0.0.1:{server.port}/", headers={"a": "b\r\nc: d"})
