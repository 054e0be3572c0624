"""Answers HTTP/1.1 requests of Envoy and orchestrators, one a connection. No bodies are read: all questions are GETs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

HEAD_LIMIT = 16_384
"""Bytes that the head of a request may have; also the `limit` of the streams to serve with."""

_READ_SECONDS = 5.0
_WRITE_SECONDS = 30.0
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Request:
    """Method, path, query without its question mark, and headers with their names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; length and end of the connection are added."""

    status: int
    body: bytes
    headers: Mapping[str, str]


Respond = Callable[[Request], Awaitable[Response]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond) -> None:
    """Reads one request and writes what `respond` makes of it; nonsense gets no answer."""
    try:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            async with asyncio.timeout(_READ_SECONDS):
                request = _read_head(await reader.readuntil(b"\r\n\r\n"))
            response = await respond(request)
            async with asyncio.timeout(_WRITE_SECONDS):
                writer.write(_render(response, request.method != "HEAD"))
                await writer.drain()
    finally:
        writer.close()


def _read_head(head: bytes) -> Request:
    """The request; ValueError where it is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    pairs = (line.partition(":") for line in lines if line)
    return Request(method, path, query, {name.strip().lower(): value.strip() for name, _, value in pairs})


def _render(response: Response, with_body: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS[response.status]}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"content-length: {len(response.body)}", "connection: close", "", ""]
    return "\r\n".join(lines).encode() + (response.body if with_body else b"")
