"""One HTTP/1.1 connection: uvicorn's protocol on httptools, with the deadlines and bounds it does not have."""

import asyncio

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from kuma.transport import client_certificates, limits, wheel
from kuma.transport import context as contexts
from kuma.transport.limits import Refusal


def config_of(context: contexts.Context) -> uvicorn.Config:
    """Settings for uvicorn's protocol: nothing that reads the environment, touches logging or trusts proxies."""
    return uvicorn.Config(
        context.app,
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=max(1, round(context.limits.idle_seconds)),
    )


class Http1Connection(HttpToolsProtocol):
    """uvicorn bounds only how long a connection may be idle between requests; headers and bodies are bounded here."""

    def __init__(self, context: contexts.Context, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._context = context
        self._header_bytes = 0
        self._in_headers = True
        self._deadline: wheel.Deadline | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Waits for the first request."""
        super().connection_made(transport)
        self._arm(self._context.limits.header_seconds, Refusal.SLOW_HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the request that runs."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses; refuses headers that grow beyond the bound without ending."""
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > self._context.limits.header_bytes:
                self._context.refuse(Refusal.HEADERS)
                self.transport.write(
                    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed."""
        self._context.refuse(Refusal.MALFORMED)
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._header_bytes = 0
        self._in_headers = True
        self._arm(self._context.limits.header_seconds, Refusal.SLOW_HEADERS)
        super().on_message_begin()
        self.scope["extensions"] = client_certificates.extensions_of(self.transport)

    def on_headers_complete(self) -> None:
        """The headers are complete, the body follows. The application's own bound answers 408 first."""
        self._in_headers = False
        bounds = self._context.limits
        self._arm(bounds.message_seconds + bounds.linger_seconds, Refusal.SLOW_MESSAGE)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._disarm()
        super().on_message_complete()

    def _arm(self, seconds: float, reason: limits.Refusal) -> None:
        self._disarm()
        self._deadline = self._context.wheel.after(seconds, lambda: self._expired(seconds, reason))

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self, seconds: float, reason: limits.Refusal) -> None:
        if not self.transport.is_reading():
            self._arm(seconds, reason)  # It is us who do not read: the application is busy.
            return
        self._context.refuse(reason)
        self.transport.close()
