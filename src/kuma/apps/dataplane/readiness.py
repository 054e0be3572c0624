"""Answers `GET /ready` for orchestrators: whether this proxy takes traffic now.

The agent says no while it leaves; otherwise Envoy's own answer counts, fetched over its admin socket.
"""

import asyncio
import contextlib
import socket

from kuma.apps.dataplane.envoy import Admin

_READ_SECONDS = 5.0
_HEAD_LIMIT = 8192
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def bind_reporter(address: str, port: int) -> socket.socket:
    """The listening socket, taken before Envoy learns its number; port 0 takes a free one. OSError where it is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(16)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Reporter:
    """The readiness endpoint. Set `terminating` once and it stays unready; it is before `gate` is set, too."""

    def __init__(self, admin: Admin, gate: asyncio.Event | None = None) -> None:
        self._admin = admin
        self._gate = gate
        self.terminating = False

    async def serve(self, listener: socket.socket) -> None:
        """Answers for ever, one request a connection."""
        server = await asyncio.start_server(self._answer, sock=listener, limit=_HEAD_LIMIT)
        async with server:
            await server.serve_forever()

    async def state(self) -> tuple[int, str]:
        """Status and body of the moment."""
        if self.terminating:
            return 503, "TERMINATING"
        try:
            answer = await self._admin.ready()
        except OSError:
            return 503, "NOT_READY"
        if answer.status != 200:
            return 503, answer.text or "NOT_READY"
        return (200, "READY") if self._gate is None or self._gate.is_set() else (503, "NOT_READY")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            async with asyncio.timeout(_READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, *_ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
                status, text = await self._respond(method, target.partition("?")[0])
                writer.write(_render(status, "" if method == "HEAD" else text))
                await writer.drain()
        writer.close()

    async def _respond(self, method: str, path: str) -> tuple[int, str]:
        if path != "/ready":
            return 404, "404 page not found\n"
        if method not in ("GET", "HEAD"):
            return 405, ""
        return await self.state()


def _render(status: int, text: str) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: text/plain\r\ncache-control: no-cache, max-age=0\r\n"
        f"x-powered-by: kuma-dp\r\ncontent-length: {len(text.encode())}\r\nconnection: close\r\n\r\n{text}"
    ).encode()
