"""Carries TCP access logs from Envoy to where policies want them.

Envoy writes lines to a FIFO: `address;text`, or JSON `{"address": ..., "message": text or object}`. Each address has one
connection and a bounded backlog: what a receiver takes late arrives late, what it cannot take at all is dropped and
counted, because logs must never hold up traffic. Source: Kuma's access log format between Envoy and its agent.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable

from kuma.apps.dataplane import log

BACKLOG = 2 * 1024 * 1024
"""Bytes that wait for one receiver."""

FORGET_AFTER = 3600.0
"""Seconds after which a receiver that no line came for is let go, with what it did not take, for the sake of another."""

_DIAL_SECONDS = 5.0
_SEND_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_REPORT_EVERY = 30.0
_PART = 65_536
_LINE_LIMIT = 1024 * 1024
_SENT, _DROPPED = "kuma_dp_access_log_lines_sent_total", "kuma_dp_access_log_lines_dropped_total"

_log = log.logger("access-log")


def parse_line(line: bytes) -> tuple[str, bytes] | None:
    """Address and payload of one line; None where it is neither form."""
    if line.startswith(b"{"):
        try:
            entry = json.loads(line)
            address, message = entry["address"], entry["message"]
        except (ValueError, KeyError, TypeError):
            return None
        if isinstance(message, str):
            return str(address), message.encode()
        return str(address), json.dumps(message, separators=(",", ":")).encode() + b"\n"
    address, separator, payload = line.partition(b";")
    return (address.decode(errors="replace"), payload + b"\n") if separator else None


def open_fifo(path: str) -> int:
    """A fresh FIFO of our user's, opened for reading, and for writing too: so it does not end when Envoy closes it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


class Receiver:
    """One address, what waits for it, and how much of that got through. `now` is a clock of seconds."""

    def __init__(self, address: str, now: Callable[[], float]) -> None:
        self.address = address
        self.sent = 0
        self.dropped = 0
        self.is_connected = False
        self.last_line = now()
        self._now = now
        self._waiting: list[bytes] = []
        self._size = 0
        self._arrived = asyncio.Event()
        self._trouble = ""
        self._reported, self._report_at = 0, 0.0

    def put(self, payload: bytes) -> None:
        """Takes a line to send, or drops it where too much waits already."""
        self.last_line = self._now()
        if self._size + len(payload) > BACKLOG:
            self.dropped += 1
            self._report_drops()
            return
        self._waiting.append(payload)
        self._size += len(payload)
        self._arrived.set()

    def give_up(self) -> None:
        """Drops what still waits."""
        if self._waiting:
            _log.warning("%d access log lines for %s are given up", len(self._waiting), self.address)
        self._waiting.clear()

    async def run(self) -> None:
        """Connects, sends, and connects again, until it is cancelled. Pauses double while nothing gets through."""
        pause = _FIRST_PAUSE
        while True:
            await self._arrived.wait()
            sent_before = self.sent
            try:
                await self._deliver()
            except (OSError, ValueError, OverflowError) as error:
                self._say(f"does not take them: {error or type(error).__name__}")
            if self.sent > sent_before:
                pause = _FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _deliver(self) -> None:
        """One connection, for as long as it lasts. OSError, or ValueError for an address that is none."""
        host, _, port = self.address.rpartition(":")
        async with asyncio.timeout(_DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.transport.set_write_buffer_limits(high=0)  # `drain` waits until the kernel has it all
        gone = asyncio.ensure_future(_discard(reader))
        gone.add_done_callback(lambda _: self._arrived.set())
        self.is_connected = True
        try:
            await self._send(writer, gone)
        finally:
            self.is_connected = False
            gone.cancel()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, gone: asyncio.Future[None]) -> None:
        """Sends what arrives, and returns when the receiver is `gone`. What it did not take then keeps waiting.

        A receiver that only reads may close its own side at once, so something is always sent first. Of lines that
        were on their way when the connection broke, some may be sent twice, rather than not at all.
        """
        while True:
            batch = list(self._waiting)
            writer.write(b"".join(batch))
            async with asyncio.timeout(_SEND_SECONDS):
                await writer.drain()
            self._done_with(batch)
            self._say("")
            await self._arrived.wait()
            if gone.done():
                self._note_empty()
                return

    def _done_with(self, batch: list[bytes]) -> None:
        del self._waiting[: len(batch)]
        self._size -= sum(map(len, batch))
        self.sent += len(batch)
        self._note_empty()

    def _note_empty(self) -> None:
        if not self._waiting:
            self._arrived.clear()

    def _say(self, trouble: str) -> None:
        """Logs a change for the worse or for the better, once."""
        if trouble and trouble != self._trouble:
            _log.warning("the receiver of access logs %s %s", self.address, trouble)
        elif self._trouble and not trouble:
            _log.info("the receiver of access logs %s takes them again", self.address)
        self._trouble = trouble

    def _report_drops(self) -> None:
        if self._now() >= self._report_at:
            _log.warning("%d access log lines for %s were dropped", self.dropped - self._reported, self.address)
            self._reported, self._report_at = self.dropped, self._now() + _REPORT_EVERY


async def _discard(reader: asyncio.StreamReader) -> None:
    """Returns when the peer has closed; what it says is of no interest."""
    with contextlib.suppress(OSError):
        while await reader.read(_PART):
            pass


class AccessLogStreamer:
    """Reads the FIFO and hands each line to its receiver."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is a steady clock of seconds."""
        self._now = now
        self._receivers: dict[str, Receiver] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._rest = b""
        self._has_complained = False

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """Those that lines came for."""
        return tuple(self._receivers.values())

    async def run(self, path: str) -> None:
        """Works until it is cancelled, and leaves no FIFO behind."""
        descriptor = open_fifo(path)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as senders:
                loop.add_reader(descriptor, self._take, descriptor, senders)
                await asyncio.Event().wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def exposition(self) -> str:
        """What became of lines, as Prometheus text."""
        from kuma.apps.dataplane.metrics.exposition import escape

        sent, dropped = [f"# TYPE {_SENT} counter"], [f"# TYPE {_DROPPED} counter"]
        for each in self.receivers:
            label = f'{{address="{escape(each.address)}"}}'
            sent.append(f"{_SENT}{label} {each.sent}")
            dropped.append(f"{_DROPPED}{label} {each.dropped}")
        return "\n".join([*sent, *dropped, ""])

    def _take(self, descriptor: int, senders: asyncio.TaskGroup) -> None:
        try:
            part = os.read(descriptor, _PART)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            self._rest = b""
        for line in lines:
            entry = parse_line(line)
            if entry is not None:
                self._receiver_at(entry[0], senders).put(entry[1])
            elif not self._has_complained:
                self._has_complained = True
                _log.warning("lines of Envoy's access log that name no receiver are dropped")

    def _receiver_at(self, address: str, senders: asyncio.TaskGroup) -> Receiver:
        receiver = self._receivers.get(address)
        if receiver is None:
            self._forget_silent()
            receiver = self._receivers[address] = Receiver(address, self._now)
            self._senders[address] = senders.create_task(receiver.run())
        return receiver

    def _forget_silent(self) -> None:
        """Lets go of receivers that a policy no longer names: lines would come for them."""
        for each in self.receivers:
            if self._now() - each.last_line > FORGET_AFTER:
                del self._receivers[each.address]
                each.give_up()
                self._senders.pop(each.address).cancel()
