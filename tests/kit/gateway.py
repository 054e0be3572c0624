"""A TCP gateway in front of a server that can be blocked: what is sent then is kept back, and nobody is told."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any


class Gateway:
    """Forwards a free port of the loopback to another one, in a thread of its own."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open = self._call(self._start())

    async def _start(self) -> asyncio.Event:
        is_open = asyncio.Event()
        is_open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return is_open

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def block(self) -> None:
        """From now on nothing comes through; connections stay open."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def unblock(self) -> None:
        """What was kept back goes on."""
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Ends it and every connection."""

        async def end() -> None:
            self._server.close()
            others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
