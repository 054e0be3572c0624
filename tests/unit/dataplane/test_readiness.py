"""The readiness endpoint: Envoy's answer, until the agent says that it leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kuma.apps.dataplane import readiness
from kuma.apps.dataplane.supervised.envoy import Admin
from kuma.apps.dataplane.wire import http_client
from tests.unit.dataplane.servers import http


@contextlib.asynccontextmanager
async def reporting(reporter: readiness.Reporter) -> AsyncIterator[str]:
    listener = readiness.bind_reporter("127.0.0.1", 0)
    serving = asyncio.ensure_future(reporter.serve(listener))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        serving.cancel()
        await asyncio.wait([serving])


@contextlib.asynccontextmanager
async def envoy_that_says(answer: bytes, path: Path) -> AsyncIterator[Admin]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield Admin(socket=str(path))


@pytest.mark.parametrize(
    ("envoy", "terminating", "status", "text"),
    [
        (http(200, b"LIVE\n"), False, 200, "READY"),
        (http(503, b"PRE_INITIALIZING\n"), False, 503, "PRE_INITIALIZING"),
        (http(200, b"LIVE\n"), True, 503, "TERMINATING"),
    ],
)
async def test_states(tmp_path: Path, envoy: bytes, terminating: bool, status: int, text: str) -> None:
    async with envoy_that_says(envoy, tmp_path / "a.sock") as admin:
        reporter = readiness.Reporter(admin)
        reporter.terminating = terminating
        async with reporting(reporter) as url:
            answer = await http_client.send_request("GET", f"{url}/ready")

    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["x-powered-by"] == "kuma-dp"
    assert answer.headers["cache-control"] == "no-cache, max-age=0"


async def test_a_gate_holds_it_back_until_it_opens(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with envoy_that_says(http(200, b"LIVE\n"), tmp_path / "a.sock") as admin:
        reporter = readiness.Reporter(admin, gate)
        assert await reporter.state() == (503, "NOT_READY")
        gate.set()
        assert await reporter.state() == (200, "READY")


async def test_no_envoy_means_not_ready(tmp_path: Path) -> None:
    assert await readiness.Reporter(Admin(socket=str(tmp_path / "absent"))).state() == (503, "NOT_READY")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/ready", 405)])
async def test_other_questions(method: str, path: str, status: int) -> None:
    async with reporting(readiness.Reporter(Admin())) as url:
        assert (await http_client.send_request(method, url + path)).status == status


async def test_nonsense_does_not_end_it() -> None:
    async with reporting(readiness.Reporter(Admin())) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"x" * 20_000 + b"\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        assert (await http_client.send_request("GET", f"{url}/ready")).status == 503


def test_a_taken_port_is_an_error() -> None:
    listener = readiness.bind_reporter("127.0.0.1", 0)
    with pytest.raises(OSError):
        readiness.bind_reporter(*listener.getsockname())
    listener.close()
