"""Asks the machine's name servers what is no name of the mesh.

Each question over UDP has a socket, and so a port, of its own and a fresh number: who does not see the question cannot
forge an answer to it (RFC 5452). Messages pass as they are, with EDNS and the case of names. Callbacks instead of tasks
over UDP: an application in a cluster asks for several names that do not exist before it asks for one that does.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from kuma.apps.dataplane.dns import messages

ROUNDS = (1.0, 2.0)
"""Seconds that each server is given to answer; all are asked once a round."""
TOTAL = 5.0
"""Seconds after which a client has given up (resolv.conf(5), `timeout`)."""
MOST_AT_ONCE = 512
"""Questions under way over UDP. Each holds a file descriptor; what comes on top fails at once."""

_LARGEST = 65_535
_NEXT_MAY_KNOW = frozenset({messages.SERVFAIL, messages.NOTIMP, messages.REFUSED})
"""Codes that speak of the server, not of the name."""

Server = tuple[str, int]
Done = Callable[[bytes | None], None]
"""Takes the answer, of a server that knows one or else of one that refused; None where none answered in time."""


class Resolver:
    """Passes messages on. `servers` says who is asked, in their order; times are seconds."""

    def __init__(
        self, servers: Callable[[], Sequence[Server]], rounds: Sequence[float] = ROUNDS, total: float = TOTAL
    ) -> None:
        self._servers = servers
        self._rounds = rounds
        self._total = total
        self._under_way: set[_Exchange] = set()

    def ask(self, query: bytes, done: Done) -> None:
        """Asks over UDP. Needs a running event loop; `done` may be called before this returns."""
        if len(self._under_way) >= MOST_AT_ONCE:
            done(None)
            return
        exchange = _Exchange(query, self._turns(), self._total, lambda answer: self._ended(exchange, done, answer))
        self._under_way.add(exchange)
        exchange.ask_next()

    def _ended(self, exchange: "_Exchange", done: Done, answer: bytes | None) -> None:
        self._under_way.discard(exchange)
        done(answer)

    def _turns(self) -> Iterator[tuple[Server, float, bool]]:
        """Server, patience, and whether everyone has had a turn already."""
        servers = self._servers()
        return ((server, patience, bool(turn)) for turn, patience in enumerate(self._rounds) for server in servers)

    async def ask_over_tcp(self, query: bytes) -> bytes | None:
        """Asks over TCP, each server once; the answer as `Done` gets it."""
        second_best = None
        for server in self._servers():
            try:
                async with asyncio.timeout(self._total):
                    answer = await _over_tcp(server, query)
            except (OSError, asyncio.IncompleteReadError):  # also TimeoutError
                continue
            if messages.response_code(answer) not in _NEXT_MAY_KNOW:
                return answer
            second_best = answer
        return second_best

    def close(self) -> None:
        """Lets go of everything that is under way; nobody is told."""
        for each in self._under_way:
            each.abandon()
        self._under_way.clear()


class _Exchange:
    """One question over UDP, from server to server."""

    __slots__ = ("_asked", "_deadline", "_done", "_loop", "_number", "_second_best", "_timer", "_turns", "_way")

    def __init__(self, query: bytes, turns: Iterator[tuple[Server, float, bool]], total: float, done: Done) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = query
        self._turns = turns
        self._deadline = self._loop.time() + total
        self._done = done
        self._second_best: bytes | None = None
        self._number = b""
        self._way: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def ask_next(self) -> None:
        """Asks the next server, or ends where there is none."""
        self.abandon()
        for server, patience, is_repeated in self._turns:
            left = self._deadline - self._loop.time()
            if left <= 0 or (is_repeated and self._second_best is not None):
                break
            if self._send(server):
                self._timer = self._loop.call_later(min(patience, left), self.ask_next)
                return
        self._done(self._second_best)

    def _send(self, server: Server) -> bool:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        try:
            self._way = way = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            way.connect(server)
            self._number = os.urandom(2)
            way.send(self._number + self._asked[2:])
        except OSError:
            self.abandon()
            return False
        # By number: for an object that it does not know yet, asyncio writes out the whole address of the socket.
        self._loop.add_reader(way.fileno(), self._read, way)
        return True

    def _read(self, way: socket.socket) -> None:
        try:
            answer = way.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # the kernel heard that nobody listens there
            self.ask_next()
            return
        if not messages.is_answer_to(answer, self._number, self._asked):
            return
        answer = self._asked[:2] + answer[2:]
        if messages.response_code(answer) in _NEXT_MAY_KNOW:
            self._second_best = answer
            self.ask_next()
            return
        self.abandon()
        self._done(answer)

    def abandon(self) -> None:
        """Lets go of the socket and the timer of the moment."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._way is not None:
            self._loop.remove_reader(self._way.fileno())
            self._way.close()
            self._way = None


async def _over_tcp(server: Server, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query).to_bytes(2) + query)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        if not messages.is_answer_to(answer, query[:2], query):
            raise ConnectionError("an answer to something else")
        return answer
    finally:
        writer.close()
