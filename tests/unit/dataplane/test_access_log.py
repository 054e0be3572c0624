"""Access logs from the FIFO to their receivers."""

import asyncio
import os
from pathlib import Path

import pytest

from kuma.apps.dataplane import access_log


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (b"127.0.0.1:1;hello;you", ("127.0.0.1:1", b"hello;you\n")),
        (b'{"address": "a:1", "message": "text\\n"}', ("a:1", b"text\n")),
        (b'{"address": "a:1", "message": {"code": 200}}', ("a:1", b'{"code":200}\n')),
        (b"nothing", None),
        (b"{broken", None),
        (b'{"address": "a:1"}', None),
    ],
)
def test_lines(line: bytes, entry: tuple[str, bytes] | None) -> None:
    assert access_log.parse_line(line) == entry


async def test_lines_reach_their_receivers(tmp_path: Path) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await received.put(line)
        writer.close()

    fifo = str(tmp_path / "kuma-al.sock")
    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server, asyncio.timeout(10):
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        streaming = asyncio.ensure_future(access_log.AccessLogStreamer().run(fifo))
        await asyncio.sleep(0)  # one step: the FIFO is there
        envoy = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        os.write(envoy, f"{address};one\n127.0.0.1:bad;dropped\n{address};tw".encode())
        assert await received.get() == b"one\n"
        os.write(envoy, b"o\n")
        assert await received.get() == b"two\n"
        os.close(envoy)
        streaming.cancel()
        await asyncio.wait([streaming])


async def test_an_absent_receiver_costs_only_its_lines(tmp_path: Path) -> None:
    fifo = str(tmp_path / "kuma-al.sock")
    streamer = access_log.AccessLogStreamer()
    streaming = asyncio.ensure_future(streamer.run(fifo))
    await asyncio.sleep(0)
    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    for _ in range(3000):
        os.write(writer, b"192.0.2.1:1;lost\n")
        await asyncio.sleep(0)
    os.close(writer)

    assert not streaming.done()
    streaming.cancel()
    await asyncio.wait([streaming])
