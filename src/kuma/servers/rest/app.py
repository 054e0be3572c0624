"""The API as one ASGI application: who asks, which endpoint, what goes back.

Order of checks as in Kuma: identity (401), path (404), method (405), media types (415, 406), then the endpoint. The
server below it speaks HTTP; this application bounds what a client can make it hold: the size of a body, the time a
body takes to come, and the time an answer takes to go.
"""

import asyncio
import contextlib
import functools
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from kuma.base import errors
from kuma.security import access, users
from kuma.servers.rest import control_plane, insights, items, resources, token_endpoints
from kuma.servers.rest.inspecting import (
    attachments,
    envoy_admin,
    inspection,
    policy_warnings,
    proxy_policies,
    relations,
    rule_places,
    rules,
)
from kuma.servers.rest.messages import calls, cors, identity, intake, replies, routing, turns
from kuma.servers.rest.messages import parameters as params
from kuma.servers.rest.openapi import document as openapi
from kuma.services import resources as use_cases
from kuma.services.insights import overviews
from kuma.services.policies import advice as policy_advice
from kuma.services.policies import matches as policy_matches

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CHUNK = 64 * 1024
_CHUNKS_AT_ONCE = 4
_WITH_BODY = ("PUT", "POST")

_log = structlog.get_logger("rest")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Settings:
    """`apiServer.*` and what else shapes answers. Times are seconds."""

    localhost_is_admin: bool = True
    user_tokens: bool = True
    client_certificates: bool = False
    base_path: str = "/"
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    dns_domain: str = "mesh"
    vip_port: int = 80
    system_namespace: str = "kuma-system"
    cors_allowed_domains: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of the control plane that the API shows."""

    manager: use_cases.ResourceManager
    permits: access.StaticAccess
    tokens: identity.TokenValidator
    issuer: token_endpoints.TokenIssuer
    inspector: inspection.Inspector | None
    matches: policy_matches.PolicyMatches
    advice: policy_advice.PolicyAdvice
    envoy_admin: envoy_admin.EnvoyAdmin
    about: control_plane.About
    effective_config: Callable[[], Mapping[str, Any]]
    settings: Settings = Settings()
    clock: Callable[[], datetime] = _now
    on_answer: Callable[[str, str, int], None] = lambda method, template, status: None
    """Told of every answer: method, template of the route (empty for unknown paths) and status, for metrics."""


def build(deps: Deps) -> "RestApp":
    """The application with a route for everything that the catalog and the control plane have."""
    routes: calls.Routes = routing.Routes()
    settings = deps.settings
    known, long_answers = overviews.Insights(deps.manager.store), turns.Turns()
    shown = resources.ResourceEndpoints(
        deps.manager, known, deps.advice, items.Items(), long_answers, settings.system_namespace
    )
    shown.add_to(routes)
    relations.RelationEndpoints(deps.manager).add_to(routes)
    attachments.AttachmentEndpoints(deps.manager).add_to(routes)
    insights.InsightEndpoints(deps.manager, deps.clock, settings.dns_domain, settings.vip_port).add_to(routes)
    control_plane.ControlPlaneEndpoints(deps.about, deps.effective_config, deps.permits, deps.manager, shown).add_to(
        routes
    )
    inspection.InspectionEndpoints(deps.inspector).add_to(routes)
    rules.RulesEndpoints(deps.manager, deps.matches).add_to(routes)
    policy_warnings.PolicyWarningEndpoints(deps.manager, deps.advice).add_to(routes)
    proxy_policies.ProxyPolicyEndpoints(deps.manager, deps.matches).add_to(routes)
    rule_places.RulePlaceEndpoints(deps.manager, deps.matches).add_to(routes)
    envoy_admin.EnvoyAdminEndpoints(deps.manager, deps.permits, known, deps.envoy_admin).add_to(routes)
    token_endpoints.TokenEndpoints(deps.issuer, deps.permits, settings.user_tokens).add_to(routes)
    routes.add("GET", "/openapi.json", calls.Endpoint(_description(deps, routes), ""))
    return RestApp(deps, routes, long_answers)


def _description(deps: Deps, routes: calls.Routes) -> calls.Answer:
    """Answers with the OpenAPI document, which is made when somebody first asks for it."""

    @functools.cache
    def rendered() -> bytes:
        version = deps.about.version
        return replies.json_bytes(
            openapi.build_document(deps.manager.catalog, routes, version, deps.settings.base_path)
        )

    async def answer(call: calls.Call) -> replies.Reply:
        return replies.Reply(200, replies.JSON, (rendered(), b"\n"))

    return answer


class RestApp:
    """Callable by any ASGI server."""

    def __init__(self, deps: Deps, routes: calls.Routes, long_answers: turns.Turns) -> None:
        self.routes = routes
        """Everything that is served."""
        self._turns = long_answers
        self._settings = deps.settings
        self._base_path = "/" + deps.settings.base_path.strip("/")
        self._on_answer = deps.on_answer
        tokens = deps.tokens if deps.settings.user_tokens else None
        self._identity = identity.Identity(tokens, deps.settings.localhost_is_admin, deps.settings.client_certificates)
        self._cors = cors.Cors(deps.settings.cors_allowed_domains)

    async def __call__(self, scope: Scope, receive: intake.Receive, send: Send) -> None:
        """Answers one request (or the server's start and stop, which need nothing done)."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"this application does not speak {scope['type']}")
        headers = dict(scope["headers"])
        path = self._own_path(scope["path"])
        found = self.routes.find(path) if path is not None else None
        try:
            reply = await self._answer(scope, headers, found, receive)
        except intake.ClientGone:
            return
        except intake.TooSlow:
            detail = f"the request body did not arrive within {self._settings.read_timeout:g} seconds"
            reply = replies.error_document(408, "Request took too long", detail)
            reply = replies.Reply(reply.status, reply.content_type, reply.parts, closes=True)
        self._on_answer(scope["method"], found.template if found else "", reply.status)
        # A client that does not read is given up: the server closes what is left unfinished.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.write_timeout):
                await _send_reply(reply, self._cors.headers(_text(headers, b"origin")), send, self._turns)

    def route_of(self, path: str) -> str:
        """The template of the route that serves a path; empty where nothing does."""
        own = self._own_path(path)
        found = self.routes.find(own) if own is not None else None
        return found.template if found else ""

    def _own_path(self, path: str) -> str | None:
        """The path below `basePath`; None for one that is elsewhere. User tokens are issued at one place always."""
        if self._base_path == "/" or path == "/tokens/user":
            return path
        if path == self._base_path or path.startswith(self._base_path + "/"):
            return path[len(self._base_path) :] or "/"
        return None

    async def _answer(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        found: routing.Found[calls.Endpoint] | None,
        receive: intake.Receive,
    ) -> replies.Reply:
        texts = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers.items()}
        preflight = self._cors.preflight(scope["method"], texts, found.handlers if found else ())
        if preflight is not None:
            return preflight
        is_open = found is not None and found.template == "/"
        try:
            user = users.ANONYMOUS if is_open else await self._identity.user_of(scope, texts)
        except errors.KumaError as refusal:
            return replies.error_reply(refusal, "Invalid authentication data")
        if found is None:
            return replies.PAGE_NOT_FOUND
        endpoint = found.handlers.get(scope["method"])
        if endpoint is None:
            return replies.METHOD_NOT_ALLOWED
        if scope["method"] in _WITH_BODY and not intake.speaks_json(headers):
            return replies.UNSUPPORTED_MEDIA_TYPE
        if not intake.accepts_json(headers):
            return replies.NOT_ACCEPTABLE
        call = calls.Call(
            template=found.template,
            path=found.parameters,
            query=params.parse_query(scope["query_string"]),
            url=f"{scope['scheme']}://{texts.get('host', '')}{scope['path']}",
            user=user,
            body=functools.partial(intake.read_body, headers, receive, self._settings.read_timeout),
        )
        return await _answer_safely(endpoint, call)


async def _answer_safely(endpoint: calls.Endpoint, call: calls.Call) -> replies.Reply:
    """The endpoint's answer, or the error document of what it raised."""
    try:
        return await endpoint.answer(call)
    except errors.KumaError as error:
        reply = replies.error_reply(error, endpoint.title)
        if isinstance(error, errors.TooLarge):
            return replies.Reply(reply.status, reply.content_type, reply.parts, closes=True)
        return reply
    except (intake.ClientGone, intake.TooSlow):
        raise
    except Exception as failure:
        # One request that meets a defect must not take the connection, or others, with it. The places are logged,
        # never the values of variables: a request may hold a secret.
        places = "".join(traceback.format_tb(failure.__traceback__))
        _log.error("request failed", route=call.template, error=type(failure).__name__, places=places)
        return replies.error_reply(failure, endpoint.title)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


async def _send_reply(
    reply: replies.Reply, further: Sequence[tuple[bytes, bytes]], send: Send, long_answers: turns.Turns
) -> None:
    """Sends the reply in pieces, each in its turn: a client that stops reading leaves at most one of them waiting."""
    length = sum(len(part) for part in reply.parts)
    headers = [(b"content-length", str(length).encode()), *reply.headers, *further]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    pending, chunks = bytearray(), 0
    for part in reply.parts:
        pending += part
        while len(pending) >= _CHUNK:
            if chunks % _CHUNKS_AT_ONCE == 0:
                await long_answers.take()
            chunks += 1
            await send({"type": "http.response.body", "body": bytes(pending[:_CHUNK]), "more_body": True})
            del pending[:_CHUNK]
    await send({"type": "http.response.body", "body": bytes(pending), "more_body": False})


async def _live(receive: intake.Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
