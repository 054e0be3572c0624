"""The routes of the diagnostics server. Source: the endpoints of Kuma's diagnostics port and their answers."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from kuma.base import errors
from kuma.servers.diagnostics import exposition

MAX_BODY = 4096
"""Bytes of a `PUT /logging`."""

MAX_COMPONENTS = 256
"""Components that can have a level of their own at once; more is refused with 429."""

MAX_NAME = 256
"""Characters of a component's name."""


class LogLevels(Protocol):
    """The log levels of components."""

    def overrides(self) -> Mapping[str, str]:
        """The components with a level of their own."""
        ...

    def set(self, component: str, level: str) -> None:
        """Gives a component a level; BadRequest for an unknown one."""
        ...

    def reset(self, component: str) -> None:
        """The component follows the general level again."""
        ...

    def reset_all(self) -> Mapping[str, str]:
        """Forgets all levels that were set and returns them."""
        ...


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the server asks.

    `before_scrape` brings values up to date that are only counted on demand; `scraping` is entered around every scrape.
    """

    is_ready: Callable[[], bool]
    registry: CollectorRegistry
    levels: LogLevels
    before_scrape: Callable[[], Awaitable[None]] = _nothing
    debug_endpoints: bool = False
    scraping: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


def build(deps: Dependencies) -> Starlette:
    """The ASGI application."""
    server = _Diagnostics(deps)
    routes: list[BaseRoute] = [
        _any_method("/healthy", server.healthy),
        _any_method("/ready", server.ready),
        _any_method("/metrics", server.metrics),
        _any_method("/logging", server.logging),
        _any_method("/logging/{component:path}", server.logging_of_one),
    ]
    if deps.debug_endpoints:
        routes.append(_any_method("/debug/tasks", server.tasks))
    return Starlette(routes=routes, exception_handlers={404: _not_found})


def _any_method(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    route = Route(path, endpoint)
    route.methods = None
    return route


async def _not_found(_: Request, __: Exception) -> Response:
    return PlainTextResponse("404 page not found\n", 404)


def _method_not_allowed(*allowed: str) -> Response:
    return PlainTextResponse("method not allowed\n", 405, {"Allow": ", ".join(allowed)})


class _Diagnostics:
    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def healthy(self, _: Request) -> Response:
        """The process answers: that is all."""
        return Response(status_code=200)

    async def ready(self, _: Request) -> Response:
        """200 when the control plane can serve, 503 before and while it shuts down."""
        return Response(status_code=200 if self._deps.is_ready() else 503)

    async def metrics(self, _: Request) -> Response:
        """Everything on the registry."""
        with self._deps.scraping():
            await self._deps.before_scrape()
            shown = exposition.render(self._deps.registry.collect())
        return Response(shown, headers={"Content-Type": exposition.CONTENT_TYPE})

    async def logging(self, request: Request) -> Response:
        """Shows, sets or resets the levels of components."""
        if request.method in ("GET", "HEAD"):
            return _levels(self._deps.levels.overrides())
        if request.method == "DELETE":
            return _levels(self._deps.levels.reset_all())
        if request.method == "PUT":
            return await self._set_level(request)
        return _method_not_allowed("GET", "PUT", "DELETE")

    async def logging_of_one(self, request: Request) -> Response:
        """Resets one component, known or not."""
        if request.method != "DELETE":
            return _method_not_allowed("DELETE")
        self._deps.levels.reset(request.path_params["component"])
        return Response(status_code=200)

    async def tasks(self, _: Request) -> Response:
        """What every task of the event loop is doing; only with `diagnostics.debugEndpoints`."""
        lines = []
        for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
            lines.append(f"{task.get_name()} {getattr(task.get_coro(), '__qualname__', '')}")
            lines += [f"  {frame.f_code.co_filename}:{frame.f_lineno}" for frame in task.get_stack(limit=5)]
        return PlainTextResponse("\n".join(lines) + "\n")

    async def _set_level(self, request: Request) -> Response:
        wanted = _parse(await _limited_body(request))
        if wanted is None:
            return PlainTextResponse("invalid request body\n", 400)
        component, level = wanted
        if not component:
            return PlainTextResponse("component name must not be empty\n", 400)
        known = self._deps.levels.overrides()
        if component not in known and len(known) >= MAX_COMPONENTS:
            return PlainTextResponse("too many component log level overrides\n", 429)
        try:
            self._deps.levels.set(component, level)
        except errors.BadRequest as problem:
            return PlainTextResponse(f"invalid log level: {problem}\n", 400)
        return Response(status_code=200)


def _levels(components: Mapping[str, str]) -> Response:
    return JSONResponse({"components": dict(sorted(components.items()))})


async def _limited_body(request: Request) -> bytes | None:
    """The body, or None as soon as it is longer than MAX_BODY."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return body


def _parse(body: bytes | None) -> tuple[str, str] | None:
    """Component and level of a request; None where it is too long, no JSON object, or of other types."""
    try:
        document = json.loads(body) if body is not None else None
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    component, level = document.get("component", ""), document.get("level", "")
    if not isinstance(component, str) or not isinstance(level, str) or len(component) > MAX_NAME:
        return None
    return component, level
