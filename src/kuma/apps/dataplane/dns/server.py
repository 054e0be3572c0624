"""The sockets of the DNS server, UDP and TCP, and the way of a question through it.

Known names are answered in the callback that read the question; all else becomes a task that waits for a name server.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

from kuma.apps.dataplane import log
from kuma.apps.dataplane.dns import measures, messages, records, upstream

_LARGEST_QUERY = 4096
_AT_ONCE = 64
"""Questions that are read before other work has its turn."""
_MOST_CONNECTIONS = 128
_IDLE_SECONDS = 10.0

_log = log.logger("dns")

Client = Any
"""An address as `socket` gives it; its form depends on the family."""


class Server:
    """Answers on sockets that were bound before. `configured` is set with the first records."""

    def __init__(self, udp: Sequence[socket.socket], tcp: Sequence[socket.socket], resolver: upstream.Resolver):
        self.configured = asyncio.Event()
        self._udp = udp
        self._tcp = tcp
        self._resolver = resolver
        self._table = records.EMPTY
        self._measures = measures.Measures()
        self._connections = 0

    def take(self, body: bytes | None) -> None:
        """Puts the records of a document in force, None for no names at all; ValueError where it cannot be read."""
        self._table = records.EMPTY if body is None else records.read_table(body)
        for each in self._table.refused:
            _log.warning("record left out: %s", each)
        _log.debug("%d names of the mesh are known", len(self._table))
        self.configured.set()

    def exposition(self) -> str:
        """Its metrics, as Prometheus text."""
        return self._measures.exposition(len(self._table), self._table.labels)

    async def run(self) -> None:
        """Answers until it is cancelled."""
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as ends:
            ends.callback(self._resolver.close)
            for each in self._tcp:
                await ends.enter_async_context(await asyncio.start_server(self._converse, sock=each))
            for each in self._udp:
                ends.callback(loop.remove_reader, each)
                loop.add_reader(each, self._read, each)
            await asyncio.Event().wait()

    def _read(self, way: socket.socket) -> None:
        """Answers what has arrived, up to a limit that leaves room for other work."""
        for _ in range(_AT_ONCE):
            try:
                query, client = way.recvfrom(_LARGEST_QUERY)
            except OSError:  # nothing more, or the kernel's word about an earlier answer
                return
            began = time.perf_counter()
            answer = self._table.answer(query)
            if answer is not None:
                _send(way, answer, client)
                self._count_local(query, began)
            elif messages.is_question(query):
                self._pass_on(way, query, client, began)

    def _pass_on(self, way: socket.socket, query: bytes, client: Client, began: float) -> None:
        if messages.is_malformed(query):
            _send(way, self._refuse(query, began), client)
        else:
            self._resolver.ask(query, lambda answer: _send(way, self._conclude(query, answer, began), client))

    def _refuse(self, query: bytes, began: float) -> bytes:
        return self._counted(query, messages.bare_answer(query, messages.FORMERR), measures.LOCAL, began)

    def _conclude(self, query: bytes, answer: bytes | None, began: float) -> bytes:
        """What the client hears after a name server has answered, or none has."""
        self._measures.upstream.observe(time.perf_counter() - began)
        if answer is None:
            self._measures.upstream_failures += 1
            answer = messages.bare_answer(query, messages.SERVFAIL)
        elif messages.response_code(answer) == messages.NXDOMAIN and self._table.knows(query):
            # We know better: the name is there, it has nothing of this type. NXDOMAIN would deny its addresses, too.
            answer = messages.bare_answer(query, messages.NOERROR)
        return self._counted(query, answer, measures.UPSTREAM, began)

    def _counted(self, query: bytes, answer: bytes, source: str, began: float) -> bytes:
        kind, code = messages.type_of(query), messages.response_code(answer)
        self._measures.count(kind, source, code, time.perf_counter() - began)
        return answer

    def _count_local(self, query: bytes, began: float) -> None:
        self._measures.count(messages.type_of(query), measures.LOCAL, messages.NOERROR, time.perf_counter() - began)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the questions of one connection in their order, until it is closed or falls silent."""
        if self._connections >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    async with asyncio.timeout(_IDLE_SECONDS):
                        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    if not messages.is_question(query):
                        break
                    answer = await self._answer_over_tcp(query)
                    writer.write(len(answer).to_bytes(2) + answer)
                    async with asyncio.timeout(_IDLE_SECONDS):
                        await writer.drain()
        finally:
            self._connections -= 1
            writer.close()

    async def _answer_over_tcp(self, query: bytes) -> bytes:
        began = time.perf_counter()
        answer = self._table.answer(query, records.TCP_LIMIT)
        if answer is None and messages.is_malformed(query):
            return self._refuse(query, began)
        if answer is None:
            return self._conclude(query, await self._resolver.ask_over_tcp(query), began)
        self._count_local(query, began)
        return answer


def _send(way: socket.socket, answer: bytes, client: Client) -> None:
    """Sends what the socket takes now; a client asks again for what is lost."""
    with contextlib.suppress(OSError):
        way.sendto(answer, client)
