"""The ASGI application on the data plane port: requests in, statuses and texts out.

Statuses follow Kuma's contract, because Kuma's own agents read them: an empty 404 means "no such Dataplane yet, try
again", other 4xx end the agent. Where Kuma answers 500 to something the agent got wrong, this says 400 and why.
"""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kuma.base import errors
from kuma.envoy import bootstrap_request as requests
from kuma.resources import resource as res
from kuma.servers.agents import bootstrap, facts
from kuma.servers.agents import deps as needs

_Endpoint = Callable[[Request], Awaitable[Response]]
_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_STATUSES: dict[type[errors.KumaError], int] = {
    bootstrap.Unprocessable: 422,
    errors.BadRequest: 400,
    errors.InvalidResource: 400,
    errors.Unauthenticated: 401,
    errors.AccessDenied: 403,
    errors.NotFound: 404,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}


class _Goodbye(msgspec.Struct, frozen=True, rename="camel"):
    """`proxy_type` and `dataplane_resource`, the definition that the proxy brought, as in its bootstrap request."""

    mesh: str
    name: str
    proxy_type: str = requests.DATAPLANE
    dataplane_resource: str = ""


def build(deps: needs.Deps) -> Starlette:
    """The application. Nothing of it blocks; it may be called from many connections at once."""

    async def answer_bootstrap(request: Request) -> Response:
        try:
            asked = requests.decode_request(await _body(request, deps.body_limit))
        except ValueError:
            return Response(status_code=400)
        try:
            answer = await bootstrap.answer_bootstrap(asked, _host(request), deps)
        except errors.NotFound:
            return Response(status_code=404)  # empty: Kuma's agents tell it from a wrong port by that
        if request.headers.get("accept") != "application/json":
            return Response(answer.config, media_type="text/x-yaml", headers={"content-type": "text/x-yaml"})
        return JSONResponse(_envelope(answer, deps.corefile_template))

    async def take_goodbye(request: Request) -> Response:
        try:
            leaving = msgspec.json.decode(await _body(request, deps.body_limit), type=_Goodbye)
        except msgspec.MsgspecError as error:
            raise errors.BadRequest(str(error)) from error
        if leaving.proxy_type not in facts.KINDS:
            raise errors.BadRequest(f'unknown proxy type "{leaving.proxy_type}"')
        key = res.Key(facts.KINDS[leaving.proxy_type], leaving.mesh, leaving.name)
        await deps.goodbye(key, request.headers.get("authorization", ""), leaving.dataplane_resource)
        return Response(status_code=204)

    async def refuse(_: Request) -> Response:
        return PlainTextResponse("404 page not found\n", status_code=404)

    return Starlette(
        routes=[
            Route("/bootstrap", _answered(answer_bootstrap, deps), methods=_ALL_METHODS),
            Route("/goodbye", _answered(take_goodbye, deps), methods=["POST"]),
            Route("/{path:path}", _answered(refuse, deps), methods=_ALL_METHODS),
        ]
    )


def route_of(path: str) -> str:
    """The route that serves a path; empty where nothing does."""
    return path if path in ("/bootstrap", "/goodbye") else ""


def _answered(endpoint: _Endpoint, deps: needs.Deps) -> _Endpoint:
    """Turns errors that are meant for the agent into statuses and texts, and tells the observer."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except errors.KumaError as error:
            response = PlainTextResponse(str(error), status_code=_status(error))
        deps.observe(request.url.path, response.status_code)
        return response

    return answer


def _status(error: errors.KumaError) -> int:
    return next((_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES), 500)


async def _body(request: Request, limit: int) -> bytes:
    """The whole body; TooLarge as soon as it is known to exceed the limit."""
    announced = request.headers.get("content-length", "")
    parts: list[bytes] = []
    size = int(announced) if announced.isdigit() else 0
    if size <= limit:
        size = 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                break
    if size > limit:
        raise errors.TooLarge(f"request body exceeds {limit} bytes")
    return b"".join(parts)


def _host(request: Request) -> str:
    """The name the agent dialled: the Host header without its port."""
    host = request.headers.get("host", "")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _envelope(answer: bootstrap.Answer, corefile_template: bytes | None) -> dict[str, object]:
    template = base64.b64encode(corefile_template).decode() if corefile_template else None
    said = {"warnings": list(answer.warnings)} if answer.warnings else {}
    return said | {
        "bootstrap": base64.b64encode(answer.config).decode(),
        "kumaSidecarConfiguration": {
            "networking": {"corefileTemplate": template, "address": answer.address},
            "metrics": {"aggregate": [asdict(each) for each in answer.scrapes]},
        },
    }
