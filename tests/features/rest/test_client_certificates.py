"""Client certificates on the API's port, over HTTP/1.1 and HTTP/2; versions and suites of TLS as configured."""

import asyncio
import dataclasses
import http.client
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.events
import pytest

from kuma.apps.control_plane import tls_contexts
from kuma.apps.control_plane.settings import servers as settings_servers
from kuma.base import errors
from kuma.servers.rest import app
from kuma.transport import limits, server
from tests.kit import api as kit
from tests.kit import pki, port

AUTHORITY = pki.issue([], ca=True, name="clients")
CLIENT = pki.issue(["spiffe://x/admin"], AUTHORITY, name="admin")
STRANGER = pki.issue(["spiffe://x/admin"], pki.issue([], ca=True, name="others"), name="admin")


def https(folder: Path, **changes: object) -> settings_servers.HttpsSettings:
    cert, key = port.certificate()
    (folder / "cert.pem").write_bytes(cert)
    (folder / "key.pem").write_bytes(key)
    own = settings_servers.HttpsSettings(tls_cert_file=str(folder / "cert.pem"), tls_key_file=str(folder / "key.pem"))
    return dataclasses.replace(own, **changes)


@asynccontextmanager
async def served(folder: Path, *, by_folder: bool = False, required: bool = False) -> AsyncIterator[int]:
    authorities = folder / "clients"
    authorities.mkdir()
    (authorities / "ca.crt").write_bytes(AUTHORITY.cert)
    settings = settings_servers.ApiServerSettings(
        https=https(folder, tls_ca_file="" if by_folder else str(authorities / "ca.crt"), require_client_cert=required),
        auth=settings_servers.ApiAuthSettings(client_certs_dir=str(authorities) if by_folder else ""),
    )
    api = kit.build(settings=app.Settings(localhost_is_admin=False, user_tokens=False, client_certificates=True))
    one = server.Server(
        asgi_app=api.app,
        grpc={},
        ssl_context=tls_contexts.api_context(settings),
        limits=limits.Limits(),
        on_refused=lambda reason: None,
    )
    number = await one.start("127.0.0.1", 0)
    try:
        yield number
    finally:
        await one.stop(0)


async def who_am_i(folder: Path, number: int, shown: pki.Pair | None, *, http2: bool = False) -> str:
    context = port.client_context(*(("h2",) if http2 else ()))
    if shown is not None:
        (folder / "client.pem").write_bytes(shown.cert + shown.key)
        context.load_cert_chain(folder / "client.pem")
    body = await (over_http2 if http2 else over_http1)(number, context)
    return str(json.loads(body)["name"])


async def over_http1(number: int, context: ssl.SSLContext) -> bytes:
    def exchange() -> bytes:
        client = http.client.HTTPSConnection("localhost", number, context=context, timeout=10)
        client.request("GET", "/who-am-i")
        return client.getresponse().read()

    return await asyncio.to_thread(exchange)


async def over_http2(number: int, context: ssl.SSLContext) -> bytes:
    client = port.H2Client(
        *await asyncio.open_connection("127.0.0.1", number, ssl=context, server_hostname="localhost"), 65_535
    )
    stream = client.request("/who-am-i")
    event = await client.until(h2.events.DataReceived, stream)
    client.writer.close()
    assert isinstance(event, h2.events.DataReceived)
    return event.data


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("by_folder", [False, True])
async def test_who_shows_a_certificate_of_the_authority_is_the_admin(
    tmp_path: Path, by_folder: bool, http2: bool
) -> None:
    async with served(tmp_path, by_folder=by_folder) as number:
        assert await who_am_i(tmp_path, number, CLIENT, http2=http2) == "mesh-system:admin"
        assert await who_am_i(tmp_path, number, None, http2=http2) == "mesh-system:anonymous"


async def test_a_certificate_of_somebody_else_opens_no_connection(tmp_path: Path) -> None:
    async with served(tmp_path) as number:
        with pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
            await who_am_i(tmp_path, number, STRANGER)


async def test_where_certificates_are_required_nobody_comes_without(tmp_path: Path) -> None:
    async with served(tmp_path, required=True) as number:
        with pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
            await who_am_i(tmp_path, number, None)
        assert await who_am_i(tmp_path, number, CLIENT) == "mesh-system:admin"


def handshake(server_side: ssl.SSLContext) -> tuple[str, str]:
    """Version and suite that a modern client agrees on with this context."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = port.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    theirs = server_side.wrap_bio(outgoing, incoming, server_side=True)
    for _ in range(4):
        for each in (client, theirs):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
    version, cipher = client.version(), client.cipher()
    assert version is not None
    assert cipher is not None
    return version, cipher[0]


@pytest.mark.parametrize(
    ("changes", "version", "suite"),
    [
        ({}, "TLSv1.3", ""),
        ({"tls_max_version": "TLSv1_2"}, "TLSv1.2", ""),
        ({"tls_min_version": "TLSv1_3"}, "TLSv1.3", ""),
        (
            {"tls_max_version": "TLSv1_2", "tls_cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]},
            "TLSv1.2",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            {
                "tls_max_version": "TLSv1_2",
                "tls_cipher_suites": ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
            },
            "TLSv1.2",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
    ],
)
def test_versions_and_suites(tmp_path: Path, changes: dict[str, object], version: str, suite: str) -> None:
    agreed = handshake(tls_contexts.server_context(https(tmp_path, **changes)))
    assert agreed[0] == version
    assert suite in ("", agreed[1])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tls_min_version": "TLSv1_3", "tls_max_version": "TLSv1_2"}, "leaves no TLS version"),
        ({"tls_max_version": "TLSv1_1"}, "leaves no TLS version"),
        ({"tls_cipher_suites": ["TLS_ECDHE_RSA_WITH_RC4_128_SHA"]}, "can be used here"),
        ({"require_client_cert": True}, "no CA to check them with"),
        ({"tls_ca_file": "/does/not/exist"}, "cannot be used"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(errors.BadRequest, match=reason):
        tls_contexts.api_context(settings_servers.ApiServerSettings(https=https(tmp_path, **changes)))
