"""Meters between an Envoy that serves metrics and readers of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.dataplane.metrics.meters import Meters
from kuma.apps.dataplane.metrics.scraping import Target
from kuma.apps.dataplane.supervised.envoy import Admin
from kuma.apps.dataplane.wire import http_client

STATS = """# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="web-0123456789abcdef"} 5
envoy_cluster_upstream_rq_total{envoy_cluster_name="web-fedcba9876543210"} 6
envoy_cluster_upstream_rq_total{envoy_cluster_name="ads_cluster"} 1
# TYPE envoy_cluster_assignment_stale counter
envoy_cluster_assignment_stale{envoy_cluster_name="web-0123456789abcdef"} 3
"""


@dataclass(slots=True)
class Envoy:
    """Envoy's admin API, as far as `/stats` goes. With `holds` it never answers."""

    path: Path
    status: int = 200
    holds: bool = False
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n")).decode().split(" ")[1])
        await reader.readuntil(b"\r\n\r\n")
        if self.holds:
            await reader.read()
        writer.write(f"HTTP/1.1 {self.status} X\r\n\r\n{STATS}".encode())
        writer.close()


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[Envoy]:
    made = Envoy(tmp_path / "admin.sock")
    async with await asyncio.start_unix_server(made.serve, str(made.path)):
        yield made


@dataclass(slots=True)
class Reader:
    """Somebody who scrapes the agent, as Envoy passes it on."""

    socket: Path
    meters: Meters

    async def ask(self, path: str, method: str = "GET", **headers: str) -> http_client.Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://localhost{path}"
        return await http_client.send_request(method, url, headers=fields, unix_socket=str(self.socket))


@contextlib.asynccontextmanager
async def metering(envoy: Envoy, folder: Path, aggregate: Sequence[Target] = ()) -> AsyncIterator[Reader]:
    """Meters at work; their socket is there."""
    meters = Meters(Admin(str(envoy.path)), "127.0.0.1", False, aggregate, [lambda: "# TYPE own gauge\nown 1\n"])
    reader = Reader(folder / "metrics.sock", meters)
    working = asyncio.ensure_future(meters.run(str(reader.socket)))
    try:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(reader.socket.exists):  # noqa: ASYNC110
                await asyncio.sleep(0)
            yield reader
            assert not working.done()
    finally:
        working.cancel()
        await asyncio.wait([working])


def config(**metrics: Any) -> bytes:
    """The document of `/meshmetric`."""
    return json.dumps({"observability": {"metrics": metrics}}).encode()
