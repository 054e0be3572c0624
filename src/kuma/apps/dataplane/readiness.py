"""Answers `GET /ready` for orchestrators: whether this proxy takes traffic now.

The agent says no while it leaves; otherwise Envoy's own answer counts, fetched over its admin socket.
"""

import asyncio
import socket

from kuma.apps.dataplane.supervised.envoy import Admin
from kuma.apps.dataplane.wire import http_server

_HEADERS = {"content-type": "text/plain", "cache-control": "no-cache, max-age=0", "x-powered-by": "kuma-dp"}


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
        server = await asyncio.start_server(self._answer, sock=listener, limit=http_server.HEAD_LIMIT)
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
        await http_server.answer(reader, writer, self._respond)

    async def _respond(self, request: http_server.Request) -> http_server.Response:
        status, text = 404, "404 page not found\n"
        if request.path == "/ready":
            status, text = await self.state() if request.method in ("GET", "HEAD") else (405, "")
        return http_server.Response(status, text.encode(), _HEADERS)
