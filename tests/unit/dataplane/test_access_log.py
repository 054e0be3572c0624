"""Access logs from the FIFO to their receivers."""

import asyncio
import contextlib
import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
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


class Sink:
    """A receiver that keeps lines."""

    def __init__(self, closes_own_side: bool = False) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.connections = 0
        self._closes_own_side = closes_own_side
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._receive, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._writers:
            each.close()
        self._writers.clear()
        await self._server.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        if self._closes_own_side:
            writer.write_eof()
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self.lines.put_nowait(line)
        writer.close()

    async def next(self, count: int) -> list[bytes]:
        return [await self.lines.get() for _ in range(count)]


@contextlib.asynccontextmanager
async def streaming(
    path: Path, now: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[access_log.AccessLogStreamer, int]]:
    """A streamer at work, and the end of the FIFO where Envoy writes."""
    streamer = access_log.AccessLogStreamer(now)
    working = asyncio.ensure_future(streamer.run(str(path)))
    await asyncio.sleep(0)  # one step: the FIFO is there
    envoy = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        async with asyncio.timeout(20):
            yield streamer, envoy
            assert not working.done()
    finally:
        os.close(envoy)
        working.cancel()
        await asyncio.wait([working])


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    return tmp_path / "kuma-al.sock"


async def test_lines_reach_their_receivers(fifo: Path) -> None:
    one, other = Sink(), Sink()
    await one.listen()
    await other.listen()
    async with streaming(fifo) as (_, envoy):
        first, second = f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}"
        os.write(envoy, f"{first};one\nno receiver\n{second};three\n127.0.0.1:bad;four\n{first};tw".encode())
        assert await one.next(1) == [b"one\n"]
        os.write(envoy, b"o\n")
        assert await one.next(1) == [b"two\n"]
        assert await other.next(1) == [b"three\n"]
    assert one.connections == 1
    await one.vanish()
    await other.vanish()


async def test_the_fifo_is_ours_alone_and_goes_with_us(fifo: Path) -> None:
    os.mkfifo(fifo, 0o666)  # left by an agent that was killed
    async with streaming(fifo):
        mode = os.stat(fifo).st_mode
        assert stat.S_ISFIFO(mode)
        assert stat.S_IMODE(mode) == 0o600
    with pytest.raises(FileNotFoundError):
        os.stat(fifo)


async def test_lines_wait_for_a_receiver_that_is_late(fifo: Path) -> None:
    sink = Sink()
    await sink.listen()
    await sink.vanish()
    async with streaming(fifo) as (streamer, envoy):
        os.write(envoy, b"".join(b"127.0.0.1:%d;%d\n" % (sink.port, each) for each in range(100)))
        receiver = await receiver_of(streamer)
        await sink.listen()
        assert await sink.next(100) == [b"%d\n" % each for each in range(100)]
        assert receiver.dropped == 0
    await sink.vanish()


async def test_a_receiver_that_starts_again_misses_nothing(fifo: Path) -> None:
    sink = Sink()
    await sink.listen()
    async with streaming(fifo) as (streamer, envoy):
        os.write(envoy, b"127.0.0.1:%d;before\n" % sink.port)
        assert await sink.next(1) == [b"before\n"]
        receiver = await receiver_of(streamer)
        await sink.vanish()
        await turns_until(lambda: not receiver.is_connected)
        await sink.listen()
        os.write(envoy, b"127.0.0.1:%d;after\n" % sink.port)
        assert await sink.next(1) == [b"after\n"]
    assert sink.connections == 2
    await sink.vanish()


async def test_a_receiver_may_close_its_own_side_at_once(fifo: Path) -> None:
    sink = Sink(closes_own_side=True)
    await sink.listen()
    async with streaming(fifo) as (_, envoy):
        for each in (b"one", b"two", b"three"):
            os.write(envoy, b"127.0.0.1:%d;%s\n" % (sink.port, each))
            assert await sink.next(1) == [each + b"\n"]
    await sink.vanish()


async def test_five_thousand_lines_at_once_arrive_in_order(fifo: Path) -> None:
    sink = Sink()
    await sink.listen()
    async with streaming(fifo) as (streamer, envoy):
        for each in range(5000):
            line = b"127.0.0.1:%d;%d %s\n" % (sink.port, each, b"x" * 200)
            while True:
                try:
                    os.write(envoy, line)
                    break
                except BlockingIOError:  # the pipe is full: Envoy waits as well
                    await asyncio.sleep(0)
        numbers = [int(line.split()[0]) for line in await sink.next(5000)]
        text = streamer.exposition()
    assert numbers == list(range(5000))
    assert f'kuma_dp_access_log_lines_sent_total{{address="127.0.0.1:{sink.port}"}} 5000' in text
    assert f'kuma_dp_access_log_lines_dropped_total{{address="127.0.0.1:{sink.port}"}} 0' in text
    await sink.vanish()


def test_what_a_receiver_cannot_take_is_counted_and_said_once_a_period(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    now = 100.0
    receiver = access_log.Receiver("192.0.2.1:1", lambda: now)
    line = b"x" * (access_log.BACKLOG // 4)
    for _ in range(7):
        receiver.put(line)
    assert receiver.dropped == 3
    now = 131.0
    receiver.put(line)

    assert [each.message for each in caplog.records] == [
        "1 access log lines for 192.0.2.1:1 were dropped",
        "3 access log lines for 192.0.2.1:1 were dropped",
    ]


async def test_receivers_that_no_policy_names_any_more_are_let_go(fifo: Path) -> None:
    now = 0.0
    old, used, new = Sink(), Sink(), Sink()
    for each in (old, used, new):
        await each.listen()
    async with streaming(fifo, lambda: now) as (streamer, envoy):

        async def say(sink: Sink) -> None:
            os.write(envoy, b"127.0.0.1:%d;line\n" % sink.port)
            assert await sink.next(1) == [b"line\n"]

        await say(old)
        await say(used)
        (dropped,) = (each for each in streamer.receivers if each.address.endswith(f":{old.port}"))
        now = access_log.FORGET_AFTER
        await say(used)
        now += 1
        await say(new)
        assert {each.address for each in streamer.receivers} == {f"127.0.0.1:{each.port}" for each in (used, new)}
        await turns_until(lambda: not dropped.is_connected)
        await say(old)
    assert (old.connections, used.connections) == (2, 1)
    for each in (old, used, new):
        await each.vanish()


async def test_lines_for_a_receiver_that_never_came_are_given_up(
    fifo: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    now = 0.0
    async with streaming(fifo, lambda: now) as (streamer, envoy):
        os.write(envoy, b"nowhere;1\nnowhere;2\n")
        await receiver_of(streamer)
        now = access_log.FORGET_AFTER + 1
        os.write(envoy, b"elsewhere;1\n")
        await turns_until(lambda: [each.address for each in streamer.receivers] == ["elsewhere"])
    assert "2 access log lines for nowhere are given up" in caplog.messages


async def receiver_of(streamer: access_log.AccessLogStreamer) -> access_log.Receiver:
    await turns_until(lambda: bool(streamer.receivers))
    return streamer.receivers[0]


async def turns_until(holds: Callable[[], bool]) -> None:
    """Lets the loop work; the test's own time limit ends it where that never helps."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0)
