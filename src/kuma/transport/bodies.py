"""Bounds the request bodies that reach the ASGI application, in size and in time, for HTTP/1.1 and HTTP/2 alike."""

import asyncio
import contextlib
import json
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuma.transport.limits import Limits, Refusal


def bounded(app: ASGIApp, limits: Limits, refuse: Callable[[Refusal], None]) -> ASGIApp:
    """The application behind the bounds: 413 for a body above `limits.body_bytes`, 408 for one that takes longer than
    `limits.message_seconds`, counted from the moment the application first asks for it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Bounded(app, limits, refuse, receive, send).run(scope)
        else:
            await app(scope, receive, send)

    return serve


class _Bounded:
    """One request. Once it is refused the application hears that the client has left, and what it sends is dropped."""

    def __init__(
        self, app: ASGIApp, limits: Limits, refuse: Callable[[Refusal], None], receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._limits = limits
        self._refuse = refuse
        self._inner_receive = receive
        self._inner_send = send
        self._size = 0
        self._deadline: float | None = None
        self._is_complete = False
        self._is_started = False
        self._is_refused = False
        self._drains = False

    async def run(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self._drains = scope["http_version"].startswith("1") and b"expect" not in headers
        if length.isdigit() and int(length[:20]) > self._limits.body_bytes:
            await self._too_large()
            return
        try:
            await self._app(scope, self._receive, self._send)
        except Exception:
            if not self._is_refused:
                raise
            # The application stumbled over the disconnect it was told; the client has its answer.

    async def _receive(self) -> Message:
        if self._is_refused:
            return {"type": "http.disconnect"}
        if self._is_complete:
            return await self._inner_receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._limits.message_seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._inner_receive()
        except TimeoutError:
            await self._answer(408, "Request Timeout", "the request body took too long to arrive", Refusal.SLOW_MESSAGE)
            return {"type": "http.disconnect"}
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._size > self._limits.body_bytes:
            await self._too_large()
            return {"type": "http.disconnect"}
        return message

    async def _send(self, message: Message) -> None:
        if not self._is_refused:
            self._is_started = True
            await self._inner_send(message)

    async def _too_large(self) -> None:
        if self._drains:
            await self._drain()
        detail = f"the request body is larger than {self._limits.body_bytes} bytes"
        await self._answer(413, "Content Too Large", detail, Refusal.BODY)

    async def _drain(self) -> None:
        """Reads on for a moment and forgets it: a connection that is closed while the client still sends is reset, and
        with it goes our answer. One that waits to be asked for its body (`Expect`), or HTTP/2, has no need of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_seconds):
                while (await self._inner_receive()).get("more_body", False):
                    continue

    async def _answer(self, status: int, title: str, detail: str, reason: Refusal) -> None:
        """Refuses the request. A response that has begun is left to the application."""
        self._refuse(reason)
        if self._is_started:
            return
        self._is_refused = True
        body = json.dumps({"status": status, "title": title, "detail": detail}).encode()
        fields = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self._inner_send({"type": "http.response.start", "status": status, "headers": fields})
        await self._inner_send({"type": "http.response.body", "body": body, "more_body": False})
