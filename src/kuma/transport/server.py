"""The port itself: accepts, shakes hands, dispatches by ALPN, and stops gracefully."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from kuma.transport import bodies, http1, http2, limits, listening, plain, tls, wheel
from kuma.transport import context as contexts
from kuma.transport.limits import Refusal
from kuma.transport.stream import Handler

_BACKLOG = 4096
_LAST_WORDS_SECONDS = 1.0


class Server:
    """One TLS port for HTTP/1.1, HTTP/2 and gRPC.

    `grpc` maps `/package.Service/Method` to its handler; everything that is not gRPC goes to `asgi_app`, whose lifespan
    is not run. `ssl_context` is a server context with a certificate; the server sets its ALPN protocols and forbids
    renegotiation. `on_refused` is called with a `limits.Refusal` value for every client that is refused or cut off; it
    must neither block nor raise. A server is started and stopped once, on one event loop.
    """

    def __init__(
        self,
        *,
        asgi_app: ASGIApp,
        grpc: Mapping[str, Handler],
        ssl_context: ssl.SSLContext,
        limits: limits.Limits,
        on_refused: Callable[[str], None],
    ) -> None:
        self._app = asgi_app
        self._grpc = dict(grpc)
        self._ssl = ssl_context
        self._limits = limits
        self._on_refused = on_refused
        self._connections: set[tls.TlsConnection] = set()
        self._empty = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._context: contexts.Context
        self._state = ServerState()

    async def start(self, host: str, port: int) -> int:
        """Listens on `host:port` (empty host: everywhere; port 0: any free one) and returns the port.

        Raises OSError when it is taken.
        """
        self._ssl.set_alpn_protocols(["h2", "http/1.1"])
        self._ssl.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # At its debug level hpack writes every header it decodes, tokens included.
        logging.getLogger("hpack").setLevel(logging.INFO)
        loop = asyncio.get_running_loop()
        self._context = contexts.Context(
            loop=loop,
            wheel=wheel.Wheel(loop, self._limits.tick_seconds),
            limits=self._limits,
            ssl_context=self._ssl,
            app=bodies.bounded(self._app, self._limits, self._refuse),
            grpc=self._grpc,
            on_refused=self._on_refused,
        )
        self._http1_config = http1.config_of(self._context)
        self._http1_config.load()
        self._listener = await loop.create_server(self._accept, sock=listening.open_socket(host, port, _BACKLOG))
        actual: int = self._listener.sockets[0].getsockname()[1]
        return actual

    async def stop(self, grace_seconds: float) -> None:
        """Stops listening, lets what runs end by itself for `grace_seconds`, then ends it.

        HTTP/2 clients get a GOAWAY at once and can go elsewhere; calls that outlive the grace end with UNAVAILABLE.
        """
        if self._listener is None:
            return
        self._listener.close()
        for connection in list(self._connections):
            _shut_down(connection)
        await self._wait_for_end(grace_seconds)
        for connection in list(self._connections):
            _finish(connection)
        tasks = [*self._context.tasks, *self._state.tasks]
        for task in tasks:
            task.cancel()
        await self._wait_for_end(_LAST_WORDS_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS_SECONDS)
        self._context.wheel.close()

    @property
    def connections(self) -> int:
        """How many connections are open, those in their handshake included."""
        return len(self._connections)

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= self._limits.connections:
            self._refuse(Refusal.CONNECTIONS)
            return plain.TurnedAway()
        connection = tls.TlsConnection(self._context, self._choose, self._lost)
        self._connections.add(connection)
        return connection

    def _choose(self, agreed: str | None) -> asyncio.Protocol:
        if agreed == "h2":
            return http2.Http2Connection(self._context)
        return http1.Http1Connection(self._context, self._http1_config, self._state)

    def _lost(self, connection: tls.TlsConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _refuse(self, reason: Refusal) -> None:
        self._on_refused(reason.value)

    async def _wait_for_end(self, seconds: float) -> None:
        self._empty.clear()
        if self._connections:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return


def _shut_down(connection: tls.TlsConnection) -> None:
    protocol = connection.protocol
    if isinstance(protocol, http2.Http2Connection | http1.Http1Connection):
        protocol.shutdown()
    else:
        connection.abort()


def _finish(connection: tls.TlsConnection) -> None:
    protocol = connection.protocol
    if isinstance(protocol, http2.Http2Connection):
        protocol.finish()
    else:
        connection.close()
