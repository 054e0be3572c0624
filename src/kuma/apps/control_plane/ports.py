"""The ports of the control plane: opened together, named where one is taken, closed in reverse order."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from kuma.apps.control_plane.settings import tree as configuration
from kuma.base import errors
from kuma.transport import limits, plain, server, stream

_LOG = structlog.get_logger("ports")
_SECONDS = 1e-9
_API_GRACE_SECONDS = 3.0
_DP_GRACE_SECONDS = 0.2
_NO_TIMEOUT_SECONDS = 3600.0
_EVERYWHERE = ""
"""Every address of the machine, IPv4 and IPv6."""


@dataclass(frozen=True, slots=True)
class DpPort:
    """What answers proxies: HTTP for agents, gRPC for Envoy. `closing` is entered around the end of the port."""

    agents: Any
    grpc: Mapping[str, stream.Handler]
    tls: ssl.SSLContext
    closing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


@dataclass(frozen=True, slots=True)
class Ports:
    """What answers on which port. `refused` is told boundary and reason of every client that was turned away.

    `dp` and `api_tls` None: that port stays closed.
    """

    rest: Any
    dp: DpPort | None
    diagnostics: Any
    api_tls: ssl.SSLContext | None
    refused: Callable[[str, str], None]


@contextlib.asynccontextmanager
async def listening(ports: Ports, settings: configuration.Settings) -> AsyncIterator[None]:
    """Serves while the body runs; Unavailable, naming port and setting, where one cannot be opened."""
    api, dp = settings.api_server, settings.dp_server

    def refusals(boundary: str) -> Callable[[str], None]:
        return lambda reason: ports.refused(boundary, reason)

    bounds = limits.Limits(
        header_seconds=_bound(api.read_header_timeout),
        message_seconds=_bound(api.read_timeout),
        write_stall_seconds=_bound(api.write_timeout),
        idle_seconds=_bound(api.idle_timeout),
    )
    async with contextlib.AsyncExitStack() as stack:
        open_ = _Opener(stack)
        diagnostics = plain.PlainServer(asgi_app=ports.diagnostics, limits=bounds, on_refused=refusals("diagnostics"))
        at = settings.diagnostics.server_port
        await open_(diagnostics, _EVERYWHERE, at, "diagnostics.serverPort", "KUMA_DIAGNOSTICS_SERVER_PORT", 0.0)
        if api.http.enabled:
            rest = plain.PlainServer(asgi_app=ports.rest, limits=bounds, on_refused=refusals("rest"))
            names = ("apiServer.http.port", "KUMA_API_SERVER_HTTP_PORT")
            await open_(rest, api.http.interface, api.http.port, *names, _API_GRACE_SECONDS)
        if ports.api_tls is not None:
            secure = server.Server(
                asgi_app=ports.rest, grpc={}, ssl_context=ports.api_tls, limits=bounds, on_refused=refusals("rest")
            )
            names = ("apiServer.https.port", "KUMA_API_SERVER_HTTPS_PORT")
            await open_(secure, api.https.interface, api.https.port, *names, _API_GRACE_SECONDS)
        if ports.dp is not None:
            proxies = server.Server(
                asgi_app=ports.dp.agents,
                grpc=ports.dp.grpc,
                ssl_context=ports.dp.tls,
                limits=limits.Limits(header_seconds=_bound(dp.read_header_timeout)),
                on_refused=refusals("dp-server"),
            )
            names = ("dpServer.port", "KUMA_DP_SERVER_PORT")
            await open_(proxies, _EVERYWHERE, dp.port, *names, _DP_GRACE_SECONDS, ports.dp.closing)
        yield


def _bound(nanoseconds: int) -> float:
    """A timeout setting in seconds; 0 means none to users, as in Go, and so becomes an hour here."""
    return max(nanoseconds * _SECONDS, 1.0) if nanoseconds else _NO_TIMEOUT_SECONDS


class _Opener:
    """Starts servers and has them stopped at the end."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack

    async def __call__(
        self,
        one: plain.PlainServer | server.Server,
        host: str,
        port: int,
        key: str,
        env: str,
        grace: float,
        closing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        try:
            actual = await one.start(host, port)
        except OSError as failure:
            raise errors.Unavailable(
                f"cannot listen on {host or '*'}:{port} ({failure.strerror or failure}); choose another port with {env} "
                f"or {key}"
            ) from None

        async def close() -> None:
            with closing():
                await one.stop(grace)

        self._stack.push_async_callback(close)
        _LOG.info("listening", setting=key, address=f"{host or '*'}:{actual}")
