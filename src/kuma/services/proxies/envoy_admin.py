"""Asks a proxy's Envoy what it has: config dump, statistics, clusters, over the admin listener with mutual TLS.

The proxy proves that it is the one at that address, the control plane proves that it is `kuma-cp`; both certificates
come from `admin_certificates`. Answers are bounded in size and time, because the other end may be anything.
"""

import asyncio
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httptools

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegress, zoneingress
from kuma.security import keys, redaction
from kuma.services.trust import admin_certificates

DEFAULT_PORT = 9901
TIMEOUT = 10.0
"""Seconds for one whole answer."""

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes. A config dump of a proxy with a thousand clusters is about 10 MB."""

_CHUNK = 256 * 1024

Proxy = res.Resource[dataplane.Dataplane] | res.Resource[zoneingress.ZoneIngress] | res.Resource[zoneegress.ZoneEgress]


@dataclass(frozen=True, slots=True)
class _Contexts:
    """A TLS context and the pair it was made for."""

    client: keys.KeyPair
    context: ssl.SSLContext


class _AnotherProxy(Exception):
    """At the address of one proxy is the Envoy of another."""


class _Answer:
    """Collects one HTTP/1.1 response as `httptools` reports it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.body = bytearray()
        self.is_complete = False
        self._has_length = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > self._limit:
            raise errors.TooLarge(f"Envoy's answer is larger than {self._limit} bytes")

    def on_message_complete(self) -> None:
        self.is_complete = True

    @property
    def is_whole(self) -> bool:
        """Whether all came that was announced; without an announcement the end of the connection ends the answer."""
        return self.is_complete or (bool(self.body) and not self._has_length)


class EnvoyAdmin:
    """Reads from proxies. `default_port` is used by proxies that do not set `networking.admin.port`.

    Every method raises Unavailable, saying why, when the proxy does not answer within `timeout` seconds or not with
    200, and TooLarge when it answers with more than `max_answer` bytes.
    """

    def __init__(
        self,
        certificates: admin_certificates.AdminCertificates,
        default_port: int = DEFAULT_PORT,
        timeout: float = TIMEOUT,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self._certificates = certificates
        self._default_port = default_port
        self._timeout = timeout
        self._max_answer = max_answer
        self._contexts: _Contexts | None = None

    async def config_dump(self, proxy: Proxy, include_eds: bool = False, port: int = 0) -> bytes:
        """`/config_dump`, JSON, without tokens and private keys. `port` overrides where the proxy is known to differ."""
        path = "/config_dump?include_eds" if include_eds else "/config_dump"
        return redaction.redact_config_dump(await self._get(proxy, path, port))

    async def stats(
        self,
        proxy: Proxy,
        as_json: bool = False,
        port: int = 0,
        used_only: bool = False,
    ) -> bytes:
        """`/stats`, one `name: value` a line, or JSON; `used_only` leaves out those that were never written."""
        wanted = [*(["format=json"] if as_json else []), *(["usedonly"] if used_only else [])]
        return await self._get(proxy, "/stats" + ("?" + "&".join(wanted) if wanted else ""), port)

    async def clusters(self, proxy: Proxy, as_json: bool = False, port: int = 0) -> bytes:
        """`/clusters`, text or JSON."""
        return await self._get(proxy, "/clusters?format=json" if as_json else "/clusters", port)

    async def _get(self, proxy: Proxy, path: str, port: int) -> bytes:
        address = _address(proxy)
        if not address:
            raise errors.Unavailable(f'{proxy.kind.name} "{proxy.meta.name}" has no address')
        own = proxy.spec.networking.admin if proxy.spec.networking else None
        target_port = port or (own.port if own and own.port else self._default_port)
        who = f'Envoy of "{proxy.meta.name}" at {address}:{target_port}'
        context = await self._tls()
        expected = await self._certificate_of(proxy)
        try:
            async with asyncio.timeout(self._timeout):
                return await _fetch(address, target_port, path, context, expected, self._max_answer)
        except _AnotherProxy:
            raise errors.Unavailable(
                f"{who} is not reached: another proxy answers there. Proxies that share an address need a "
                "networking.admin.port each"
            ) from None
        except TimeoutError:
            raise errors.Unavailable(f"{who} did not answer within {self._timeout:g} s") from None
        except ssl.SSLCertVerificationError as failure:
            raise errors.Unavailable(f"{who} did not prove its identity: {failure.verify_message}") from None
        except (OSError, httptools.HttpParserError, EOFError) as failure:
            raise errors.Unavailable(f"could not read from {who}: {failure}") from None

    async def _certificate_of(self, proxy: Proxy) -> bytes:
        """What the admin listener of a proxy shows, DER; empty for a zone ingress, which we give none."""
        if isinstance(proxy.spec, zoneingress.ZoneIngress):
            return b""
        pair = await self._certificates.server(proxy)
        return ssl.PEM_cert_to_DER_cert(pair.cert_pem.decode())

    async def _tls(self) -> ssl.SSLContext:
        client = await self._certificates.client()
        if self._contexts is None or self._contexts.client is not client:
            context = client_context(client, await self._certificates.trust())
            self._contexts = _Contexts(client, context)
        return self._contexts.context


def client_context(client: keys.KeyPair, trusted_pem: bytes) -> ssl.SSLContext:
    """TLS 1.2 and up, with a client certificate, trusting nothing but `trusted_pem`, names verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=trusted_pem.decode())
    # The ssl module reads a private key from a file alone; this one is ours (0600) and gone with the block.
    with tempfile.TemporaryDirectory(prefix="kuma-cp-") as folder:
        path = Path(folder) / "pair.pem"
        path.touch(mode=0o600)
        path.write_bytes(client.cert_pem + client.key_pem)
        context.load_cert_chain(path)
    return context


def _address(proxy: Proxy) -> str:
    """Where the control plane reaches a proxy; what a ZoneIngress advertises is for other zones, not for this one."""
    networking = proxy.spec.networking
    if isinstance(networking, dataplane.Networking):
        return networking.advertised_address or networking.address
    return networking.address if networking is not None else ""


async def _fetch(address: str, port: int, path: str, context: ssl.SSLContext, expected: bytes, limit: int) -> bytes:
    """The body of a 200 answer. OSError and EOFError where the connection fails, Unavailable for another status.

    _AnotherProxy where a certificate is expected and another one is shown.
    """
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=address)
    try:
        if expected and writer.get_extra_info("ssl_object").getpeercert(binary_form=True) != expected:
            raise _AnotherProxy
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode("ascii"))
        await writer.drain()
        answer = _Answer(limit)
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_complete:
            part = await reader.read(_CHUNK)
            if not part:
                break
            _feed(parser, part)
        if not answer.is_whole:
            raise EOFError("the connection was closed before the whole answer came")
        if parser.get_status_code() != 200:
            raise errors.Unavailable(f"Envoy answered {path} with status {parser.get_status_code()}")
        return bytes(answer.body)
    finally:
        writer.close()


def _feed(parser: httptools.HttpResponseParser, part: bytes) -> None:
    """Feeds the parser and gives back what a callback raised, which the parser wraps."""
    try:
        parser.feed_data(part)
    except httptools.HttpParserCallbackError as failure:
        cause = failure.__context__
        raise cause if isinstance(cause, errors.KumaError) else failure from None
