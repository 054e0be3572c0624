"""One HTTP/1.1 request at a time, over TCP, TLS or a Unix socket, cancellable at any moment.

Why not the standard library's client: it blocks, and a thread that waits in it cannot be called back on SIGTERM.
Each request has its own connection and one time limit for everything.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_BODY_LIMIT = 16 * 1024 * 1024


class BrokenAnswerError(ConnectionError):
    """What came is no HTTP answer, or none came before the connection was closed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (names in lower case) and whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, without the spaces around it."""
        return self.body.decode(errors="replace").strip()


async def send_request(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    unix_socket: str = "",
    source: str = "",
    timeout: float = 10.0,
) -> Answer:
    """The answer of a server. OSError (BrokenAnswerError, TimeoutError, ssl.SSLError, ...) where it cannot be had in `timeout` seconds.

    With `unix_socket` the connection goes there and `url` only names host and path. `source` is the address that a
    TCP connection comes from, empty for any.
    """
    target = urlsplit(url)
    port = target.port or (443 if target.scheme == "https" else 80)
    async with asyncio.timeout(timeout):
        if unix_socket:
            reader, writer = await asyncio.open_unix_connection(unix_socket)
        else:
            context = tls if target.scheme == "https" else None
            own = (source, 0) if source else None
            reader, writer = await asyncio.open_connection(target.hostname, port, ssl=context, local_addr=own)
        try:
            writer.write(_head(method, target.netloc, target.path or "/", target.query, headers or {}, body) + body)
            await writer.drain()
            return await _read_answer(reader, method)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise BrokenAnswerError(f"broken HTTP answer: {error}") from error
        finally:
            # Not awaited: a TLS stream closes when the peer agrees, and the answer is complete or worthless by now.
            writer.close()


def _head(method: str, host: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1", f"host: {host}", "connection: close"]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("line break in a header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(status_line.partition(" ")[2][:3])
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
    }
    if method == "HEAD" or status in (204, 304):
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, await _read_chunks(reader))
    if "content-length" in headers:
        size = int(headers["content-length"])
        if not 0 <= size <= _BODY_LIMIT:
            raise ValueError(f"body of {size} bytes")
        return Answer(status, headers, await reader.readexactly(size))
    return Answer(status, headers, await _read_to_end(reader))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if size < 0 or len(body) + size > _BODY_LIMIT:
            raise ValueError("body is too large")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while part := await reader.read(65536):
        body += part
        if len(body) > _BODY_LIMIT:
            raise ValueError("body is too large")
    return bytes(body)
