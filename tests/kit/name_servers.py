"""A name server for tests, and a client: UDP and TCP on one port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from kuma.apps.dataplane.dns import listening, server, upstream

Reply = Callable[[bytes], list[bytes]]
"""Datagrams that answer one; over TCP the first of them."""


class NameServer:
    """Answers as `reply` says and keeps what it was asked: the protocol and the message."""

    def __init__(self, address: upstream.Server, reply: Reply) -> None:
        self.address = address
        self.reply = reply
        self.asked: list[tuple[str, bytes]] = []


@contextlib.asynccontextmanager
async def name_server(reply: Reply) -> AsyncIterator[NameServer]:
    """One on a free port."""
    udp, tcp = bind_free()
    made = NameServer(udp.getsockname(), reply)
    loop = asyncio.get_running_loop()

    def read() -> None:
        query, client = udp.recvfrom(4096)
        made.asked.append(("udp", query))
        for each in made.reply(query):
            udp.sendto(each, client)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        made.asked.append(("tcp", query))
        for each in made.reply(query)[:1]:
            writer.write(len(each).to_bytes(2) + each)
        writer.close()

    loop.add_reader(udp, read)
    async with await asyncio.start_server(converse, sock=tcp):
        yield made
    loop.remove_reader(udp)
    udp.close()


def bind_free() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one free port."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with contextlib.suppress(OSError):
            return listening.bind("127.0.0.1", port)


@contextlib.asynccontextmanager
async def serving(
    *servers: upstream.Server, rounds: tuple[float, ...] = (5.0,)
) -> AsyncIterator[tuple[server.Server, upstream.Server]]:
    """Our server on a free port, which asks `servers`; with its address."""
    udp, tcp = bind_free()
    address = udp.getsockname()
    made = server.Server([udp], [tcp], upstream.Resolver(lambda: servers, rounds, sum(rounds) * 2))
    running = asyncio.ensure_future(made.run())
    try:
        yield made, address
    finally:
        running.cancel()
        await asyncio.wait([running])
        udp.close()


async def ask(address: upstream.Server, query: bytes) -> bytes:
    """The answer to a datagram."""
    (only,) = await ask_all(address, [query])
    return only


async def ask_all(address: upstream.Server, queries: list[bytes]) -> list[bytes]:
    """As many answers as datagrams, in the order in which they come."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.setblocking(False)
        way.connect(address)
        for each in queries:
            way.send(each)
        async with asyncio.timeout(30):
            return [await loop.sock_recv(way, 65_535) for _ in queries]
