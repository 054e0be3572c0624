"""Carries TCP access logs from Envoy to where policies want them.

Envoy writes lines to a FIFO: `address;text`, or JSON `{"address": ..., "message": text or object}`. Each address gets
one connection and a short queue; what a slow or absent receiver cannot take is dropped, because logs must never hold
up traffic. Source: Kuma's access log format between Envoy and its agent.
"""

import asyncio
import contextlib
import json
import os

from kuma.apps.dataplane import log

_DIAL_SECONDS = 5.0
_QUEUE = 1024
_LINE_LIMIT = 1024 * 1024

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
    """A fresh FIFO, opened for reading. Opened for writing too, so that it does not end when Envoy closes it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path)
    os.chmod(path, 0o666)  # Envoy may run as another user
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


class AccessLogStreamer:
    """Reads the FIFO and sends each line on its way."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[bytes]] = {}
        self._rest = b""

    async def run(self, path: str) -> None:
        """Works until it is cancelled."""
        descriptor = open_fifo(path)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as senders:
                loop.add_reader(descriptor, self._take, descriptor, senders)
                await asyncio.Event().wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _take(self, descriptor: int, senders: asyncio.TaskGroup) -> None:
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            self._rest = b""
        for line in lines:
            entry = parse_line(line)
            if entry is not None:
                self._queue_of(entry[0], senders, entry[1])

    def _queue_of(self, address: str, senders: asyncio.TaskGroup, payload: bytes) -> None:
        queue = self._queues.get(address)
        if queue is None:
            queue = self._queues[address] = asyncio.Queue(_QUEUE)
            senders.create_task(self._send(address, queue))
        with contextlib.suppress(asyncio.QueueFull):  # dropped: see the module's docstring
            queue.put_nowait(payload)

    async def _send(self, address: str, queue: asyncio.Queue[bytes]) -> None:
        host, _, port = address.rpartition(":")
        writer: asyncio.StreamWriter | None = None
        while True:
            payload = await queue.get()
            try:
                if writer is None:
                    async with asyncio.timeout(_DIAL_SECONDS):
                        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                writer.write(payload)
                await writer.drain()
            except (OSError, ValueError) as error:
                _log.info("access log line for %s dropped: %s", address, error or type(error).__name__)
                if writer is not None:
                    writer.close()
                    writer = None
