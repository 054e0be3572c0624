"""A transport server on a free port of the loopback, and an independent HTTP/2 client (the h2 library) to talk to it."""

import asyncio
import contextlib
import datetime
import functools
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kuma import transport

BRISK = transport.Limits(tick_seconds=0.02, linger_seconds=0.3)
"""Limits for tests: deadlines fire close to their time."""


@functools.cache
def certificate() -> tuple[bytes, bytes]:
    """PEM of a self-signed certificate for localhost and 127.0.0.1, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(1))
    signed = builder.serial_number(1).add_extension(names, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    return (
        signed.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )


@functools.cache
def server_context() -> ssl.SSLContext:
    """TLS of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        for name, pem in zip(("cert", "key"), certificate(), strict=True):
            Path(folder, name).write_bytes(pem)
        context.load_cert_chain(Path(folder, "cert"), Path(folder, "key"))
    return context


def client_context(*alpn: str) -> ssl.SSLContext:
    """TLS of a client that trusts the server and offers these protocols."""
    context = ssl.create_default_context(cadata=certificate()[0].decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Refusals(list[str]):
    """What the server refused, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def add(self, reason: str) -> None:
        self.append(reason)
        self._more.set()

    async def until(self, reason: transport.Refusal) -> None:
        """Waits until something was refused for this reason."""
        while reason.value not in self:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 10)


class Port:
    """A running server."""

    def __init__(self, server: transport.Server, number: int, refused: Refusals) -> None:
        self.server = server
        self.number = number
        self.refused = refused

    async def open(self, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TLS connection."""
        return await asyncio.open_connection(
            "127.0.0.1", self.number, ssl=client_context(*alpn), limit=2**24, server_hostname="localhost"
        )

    async def open_tcp(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection without TLS."""
        return await asyncio.open_connection("127.0.0.1", self.number)

    async def open_h2(self, window: int = 65_535) -> "H2Client":
        """An HTTP/2 client whose streams start with `window`; the greetings are exchanged."""
        client = H2Client(*await self.open("h2"), window)
        for _ in range(2):  # the greeting, and the window
            await client.until(h2.events.SettingsAcknowledged)
        return client


async def answer(scope, receive, send) -> None:
    """The application of tests: answers with the method, path and size of the body, as HTTP version, then text."""
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    text = f"{scope['http_version']} {scope['method']} {scope['path']} {size}".encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": text})


@contextlib.asynccontextmanager
async def serve(
    *,
    app=answer,
    grpc: Mapping[str, transport.Handler] | None = None,
    limits: transport.Limits = BRISK,
) -> AsyncIterator[Port]:
    """A server for the time of a test."""
    refused = Refusals()
    server = transport.Server(
        asgi_app=app, grpc=grpc or {}, ssl_context=server_context(), limits=limits, on_refused=refused.add
    )
    number = await server.start("127.0.0.1", 0)
    try:
        yield Port(server, number, refused)
    finally:
        await server.stop(0)


class H2Client:
    """Bytes and events of one connection. The h2 library also checks that the server keeps the protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.events: list[h2.events.Event] = []
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.flush()

    def flush(self) -> None:
        """Sends what h2 wants to send."""
        self.writer.write(self.h2.data_to_send())

    def request(self, path: str, *, ends: bool = True, method: str = "GET", **fields: str) -> int:
        """Opens a stream."""
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        named = [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.h2.send_headers(stream_id, pseudo + named, end_stream=ends)
        self.flush()
        return stream_id

    def call(self, path: str, **fields: str) -> int:
        """Opens a gRPC call."""
        return self.request(path, ends=False, method="POST", content_type="application/grpc", te="trailers", **fields)

    def send(self, stream_id: int, data: bytes, *, ends: bool = False) -> None:
        """Sends DATA that fits the windows."""
        for start in range(0, len(data), 16_384):
            self.h2.send_data(stream_id, data[start : start + 16_384])
        if ends:
            self.h2.end_stream(stream_id)
        self.flush()

    async def until(
        self, kind: type[h2.events.Event] | tuple[type[h2.events.Event], ...], stream_id: int | None = None
    ) -> h2.events.Event:
        """The next event of a kind, or of one of several (of a stream); earlier events of other kinds are kept."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream_id in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            chunk = await asyncio.wait_for(self.reader.read(65_536), 10)
            if not chunk:
                raise ConnectionResetError(f"closed before {kind}; seen: {self.events}")
            self.events += self.h2.receive_data(chunk)
            self.flush()

    async def status(self, stream_id: int) -> tuple[str, str]:
        """The gRPC status and message that end a call."""
        while True:
            for event in self.events:
                if isinstance(event, h2.events.TrailersReceived | h2.events.ResponseReceived) and (
                    event.stream_id == stream_id
                ):
                    fields = dict(event.headers)
                    if "grpc-status" in fields:
                        return fields["grpc-status"], fields.get("grpc-message", "")
            chunk = await asyncio.wait_for(self.reader.read(65_536), 10)
            if not chunk:
                raise ConnectionResetError("closed before the status")
            self.events += self.h2.receive_data(chunk)
            self.flush()


def framed(message: bytes, flag: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes; a reset counts as closed."""
    received = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while chunk := await asyncio.wait_for(reader.read(65_536), 10):
            received += chunk
    return received
