"""Measures an HTTP application from outside: duration, size and status of each answer, by route."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kuma.services import metrics

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_GONE = 499
"""The status of a request that was never answered, because its client went away."""


class MeasuredApp:
    """An ASGI application around another. `route_of` names the route of a path; there must be few of them."""

    def __init__(self, app: Any, measured: metrics.HttpMetrics, route_of: Callable[[str], str]) -> None:
        self._app = app
        self._metrics = measured
        self._route_of = route_of

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Passes one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = self._route_of(scope["path"])
        status, size = _GONE, 0

        async def counted(message: MutableMapping[str, Any]) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        self._metrics.started(route)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, counted)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.finished(route, method, status, time.perf_counter() - began, size)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are what strangers make up, and every distinct value would be a series of its own."""
