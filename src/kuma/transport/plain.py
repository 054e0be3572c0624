"""The same HTTP/1.1 without TLS, for ports that are meant for the machine or stand behind a proxy of the user's."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from kuma.transport import bodies, http1, limits, listening, wheel
from kuma.transport import context as contexts
from kuma.transport.limits import Refusal

_BACKLOG = 1024


class PlainServer:
    """One HTTP/1.1 port with the deadlines and bounds of `server.Server`. Started and stopped once."""

    def __init__(self, *, asgi_app: ASGIApp, limits: limits.Limits, on_refused: Callable[[str], None]) -> None:
        self._app = asgi_app
        self._limits = limits
        self._on_refused = on_refused
        self._state = ServerState()
        self._listener: asyncio.Server | None = None
        self._context: contexts.Context

    async def start(self, host: str, port: int) -> int:
        """Listens on `host:port` (empty host: everywhere; port 0: any free one) and returns the port.

        Raises OSError when it is taken.
        """
        loop = asyncio.get_running_loop()
        self._context = contexts.Context(
            loop=loop,
            wheel=wheel.Wheel(loop, self._limits.tick_seconds),
            limits=self._limits,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            app=bodies.bounded(self._app, self._limits, self._refuse),
            grpc={},
            on_refused=self._on_refused,
        )
        self._config = http1.config_of(self._context)
        self._config.load()
        self._listener = await loop.create_server(self._accept, sock=listening.open_socket(host, port, _BACKLOG))
        actual: int = self._listener.sockets[0].getsockname()[1]
        return actual

    async def stop(self, grace_seconds: float) -> None:
        """Stops listening, lets requests end for `grace_seconds`, then ends them."""
        if self._listener is None:
            return
        self._listener.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        for task in tasks:
            task.cancel()
        self._context.wheel.close()

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self._state.connections) >= self._limits.connections:
            self._refuse(Refusal.CONNECTIONS)
            return TurnedAway()
        return _PlainConnection(self._context, self._config, self._state)

    def _refuse(self, reason: Refusal) -> None:
        self._on_refused(reason.value)


class _PlainConnection(http1.Http1Connection):
    """Cuts off a client that does not read; on the TLS port the TLS layer does that."""

    _stall: wheel.Deadline | None = None

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self._context.wheel.after(self._context.limits.write_stall_seconds, self._stalled)

    def resume_writing(self) -> None:
        """The client has read most of what waited."""
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the request that runs."""
        self._forget_stall()
        super().connection_lost(exc)

    def _forget_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        self._context.refuse(Refusal.SLOW_READER)
        self.transport.abort()


class TurnedAway(asyncio.Protocol):
    """Closes a connection above the limit before it costs anything, a handshake above all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Aborts it."""
        cast(asyncio.Transport, transport).abort()
