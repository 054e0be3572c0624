"""Configuration of the agent, fetched from Envoy by its tag."""

import asyncio
import logging
from pathlib import Path

import pytest

from kuma.apps.dataplane.dynconf import Poller


class Source:
    """What Envoy serves: tags and bodies by path; any other path answers 404."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.status = 200
        self.asked: list[tuple[str, str]] = []

    async def __aenter__(self) -> "Source":
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = first.split(" ")[1]
        tag = next((line.partition(": ")[2] for line in rest if line.startswith("if-none-match")), "")
        self.asked.append((path, tag))
        served = self.bodies.get(path)
        if served is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        elif served[0] == tag:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            head = f"HTTP/1.1 {self.status} X\r\nEtag: {served[0]}\r\ncontent-length: {len(served[1])}\r\n\r\n"
            writer.write(head.encode() + served[1])
        writer.close()


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "config.sock"


async def test_a_body_is_taken_once_per_change(socket: Path) -> None:
    taken: list[bytes | None] = []
    poller = Poller(str(socket), 1)
    poller.add("/dns", taken.append)
    async with Source(socket) as source:
        source.bodies["/dns"] = ("one", b"{}")
        await poller.ask_all()
        await poller.ask_all()
        await poller.ask_all()
        source.bodies["/dns"] = ("two", b"[]")
        await poller.ask_all()

    assert taken == [b"{}", b"[]"]
    assert source.asked == [("/dns", ""), ("/dns", "one"), ("/dns", "one"), ("/dns", "one")]


async def test_what_is_no_longer_served_is_taken_back_once(socket: Path) -> None:
    taken: list[bytes | None] = []
    poller = Poller(str(socket), 1)
    poller.add("/dns", taken.append)
    async with Source(socket) as source:
        await poller.ask_all()
        assert taken == []
        source.bodies["/dns"] = ("one", b"{}")
        await poller.ask_all()
        source.bodies.clear()
        await poller.ask_all()
        await poller.ask_all()
        source.bodies["/dns"] = ("one", b"{}")
        await poller.ask_all()

    assert taken == [b"{}", None, b"{}"]


async def test_a_refused_body_is_offered_again_and_hinders_nobody(
    socket: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    offered: list[bytes | None] = []
    taken: list[bytes | None] = []

    def refuse(body: bytes | None) -> None:
        offered.append(body)
        raise ValueError("no records")

    poller = Poller(str(socket), 1)
    poller.add("/dns", refuse)
    poller.add("/meshmetric", taken.append)
    async with Source(socket) as source:
        source.bodies = {"/dns": ("one", b"{}"), "/meshmetric": ("one", b"[]")}
        await poller.ask_all()
        await poller.ask_all()

    assert offered == [b"{}", b"{}"]
    assert taken == [b"[]"]
    assert [each.message for each in caplog.records if "/dns" in each.message] == [
        "configuration from Envoy at /dns is not in force: no records"
    ]


async def test_an_error_of_envoy_puts_nothing_in_force(socket: Path) -> None:
    taken: list[bytes | None] = []
    poller = Poller(str(socket), 1)
    poller.add("/dns", taken.append)
    async with Source(socket) as source:
        source.bodies["/dns"] = ("one", b"{}")
        source.status = 503
        await poller.ask_all()
        assert taken == []
        source.status = 200
        await poller.ask_all()
    assert taken == [b"{}"]


async def test_no_envoy_is_no_trouble(socket: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[bytes | None] = []
    poller = Poller(str(socket), 1)
    poller.add("/dns", taken.append)
    await poller.ask_all()
    async with Source(socket) as source:
        source.bodies["/dns"] = ("one", b"{}")
        await poller.ask_all()
    await poller.ask_all()  # the file may still be there

    assert taken == [b"{}"]
    assert not caplog.records
