"""One HTTP/2 request for the ASGI application (asgi.readthedocs.io, HTTP connection scope)."""

import asyncio
import logging
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from kuma.transport import client_certificates, frames, headers, http2_stream

_log = logging.getLogger(__name__)
_NO_BODY = frozenset((204, 304))


class AsgiExchange:
    """A request and its response. The client's going away does not cancel the application; it is told instead, and
    what it still sends is dropped, as HTTP servers in Python do."""

    def __init__(
        self, stream: http2_stream.Http2Stream, request: headers.Request, transport: asyncio.Transport
    ) -> None:
        self._stream = stream
        self._scope = scope_of(request, transport)
        self._is_head = request.method == b"HEAD"
        self._chunks: list[bytes] = []
        self._unread = 0
        self._is_complete = False
        self._is_delivered = False
        self._changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        """The application's task; set by the connection that started it."""
        self._block: bytes | None = None
        self._has_headers = False
        self._sends_body = True

    async def run(self, app: ASGIApp) -> None:
        """Runs the application, and answers 500 where it fails before its first byte."""
        try:
            await app(self._scope, self._receive, self._send)
        except Exception as error:
            if self._stream.is_open:
                _log.exception("ASGI application failed", extra={"path": self._scope["path"]}, exc_info=error)
        finally:
            self._answer_failure(500)

    def stop(self) -> None:
        """Ends the request because the server stops."""
        self._answer_failure(503)

    def release(self) -> None:
        """Gives back what the request holds. The connection calls it once, when the request's task is done."""
        self._stream.credit(self._unread)

    def on_data(self, data: bytes) -> None:
        """Keeps the chunk until the application asks; the stream's window bounds how much that is."""
        self._chunks.append(data)
        self._unread += len(data)
        self._changed.set()

    def on_end(self) -> None:
        """The body is complete."""
        self._is_complete = True
        self._changed.set()

    def on_gone(self) -> None:
        """The client is gone."""
        self._changed.set()

    async def _receive(self) -> Message:
        while True:
            self._changed.clear()
            if not self._stream.is_open:
                return {"type": "http.disconnect"}
            if self._chunks or (self._is_complete and not self._is_delivered):
                body = b"".join(self._chunks)
                self._chunks.clear()
                self._unread = 0
                self._stream.credit(len(body))
                self._is_delivered = self._is_complete
                return {"type": "http.request", "body": body, "more_body": not self._is_complete}
            await self._changed.wait()

    async def _send(self, message: Message) -> None:
        if not self._stream.is_open:
            return
        if message["type"] == "http.response.start":
            status = int(message["status"])
            self._sends_body = not self._is_head and status not in _NO_BODY
            self._block = headers.response(status, message.get("headers", ()))
        elif message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._block is None:
            raise RuntimeError("http.response.body before http.response.start")
        if not self._sends_body:
            body = b""
        if not self._has_headers:
            self._has_headers = True
            self._stream.send_headers(self._block, end_stream=not more and not body)
        try:
            if self._stream.is_open and (body or not more):
                await self._stream.write([body] if body else [], end_stream=not more)
        except ConnectionError:
            pass  # The client left while we wrote; the application learns it from `receive`.
        if not more:
            self._changed.set()

    def _answer_failure(self, status: int) -> None:
        """Ends a response that the application left unfinished; nothing to do after a complete one."""
        if self._has_headers:
            self._stream.reset(frames.Code.INTERNAL_ERROR)
        else:
            self._has_headers = True
            self._stream.send_headers(headers.response(status, [(b"content-length", b"0")]), end_stream=True)


def scope_of(request: headers.Request, transport: asyncio.Transport) -> Scope:
    """The ASGI scope of a request. `:authority` becomes the `host` header where there is none."""
    fields = list(request.fields)
    if request.authority and request.first(b"host") is None:
        fields.insert(0, (b"host", request.authority))
    raw_path, _, query = request.path.partition(b"?")
    client = transport.get_extra_info("peername")
    server = transport.get_extra_info("sockname")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": request.method.decode("ascii", "replace"),
        "scheme": request.scheme.decode("ascii", "replace"),
        "path": unquote(raw_path.decode("ascii", "replace")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": fields,
        "client": tuple(client[:2]) if client else None,
        "server": tuple(server[:2]) if server else None,
        "state": {},
        "extensions": client_certificates.extensions_of(transport),
    }
