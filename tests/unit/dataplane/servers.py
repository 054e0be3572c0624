"""A server on a free port that answers each connection with given bytes and keeps what it was sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Recorded:
    """Where the server listens, and the requests that came, in order."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Recorded]:
    """Each connection gets the next answer, the last one for ever."""
    recorded = Recorded()
    left: Sequence[bytes] = answers

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        recorded.requests.append(head + await reader.readexactly(length))
        answer, left = left[0], left[1:] or left
        writer.write(answer)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    recorded.port = server.sockets[0].getsockname()[1]
    async with server:
        yield recorded


def http(status: int, body: bytes = b"", content_type: str = "") -> bytes:
    """A whole HTTP answer."""
    kind = f"content-type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status} X\r\n{kind}content-length: {len(body)}\r\n\r\n".encode() + body
