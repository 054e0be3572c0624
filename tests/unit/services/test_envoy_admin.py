"""Reading from an Envoy's admin listener: real TLS over loopback, a server that answers as told."""

import asyncio
import contextlib
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import secret, zoneingress
from kuma.security import authorities, certificates, keys
from kuma.services.proxies import envoy_admin
from kuma.services.trust import admin_certificates
from kuma.store import memory
from tests.unit.security import handshakes


def _now() -> datetime:
    return datetime.now(UTC)


def _proxy(port: int = 0, address: str = "127.0.0.1", advertised: str = "") -> res.Resource[dataplanes.Dataplane]:
    networking = dataplanes.Networking(
        address=address, advertised_address=advertised, admin=dataplanes.EnvoyAdmin(port=port) if port else None
    )
    return res.Resource(dataplanes.KIND, res.Meta("default", "web-1"), dataplanes.Dataplane(networking=networking))


class Envoy:
    """An admin listener that requires a client certificate and sends `answer` to whatever is asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.peers: list[object] = []
        self.release = asyncio.Event()
        self.release.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peercert")["subjectAltName"])
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.release.wait()
            writer.write(self.answer)
            await writer.drain()
        writer.close()


def _answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def issued() -> admin_certificates.AdminCertificates:
    return admin_certificates.AdminCertificates(await _with_authority(memory.MemoryStore()), _now)


async def _with_authority(store: memory.MemoryStore) -> memory.MemoryStore:
    key = admin_certificates.ADMIN_CA
    await store.create(res.Resource(secret.GLOBAL_KIND, res.Meta("", key.name), _an_authority()))
    return store


def _an_authority() -> secret.Secret:
    pair = authorities.new_admin_root(_now())
    return secret.Secret(data=pair.cert_pem + pair.key_pem)


@contextlib.asynccontextmanager
async def _listening(envoy: Envoy, pair: keys.KeyPair, trusted: bytes) -> AsyncIterator[int]:
    context: ssl.SSLContext = handshakes.server_context(pair, trusted)
    server = await asyncio.start_server(envoy.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def _envoy(issued: admin_certificates.AdminCertificates, answer: bytes) -> AsyncIterator[tuple[Envoy, int]]:
    envoy = Envoy(answer)
    async with _listening(envoy, await issued.server(_proxy()), await issued.trust()) as port:
        yield envoy, port


async def test_stats_and_clusters(issued: admin_certificates.AdminCertificates):
    async with _envoy(issued, _answer(b"server.live: 1\n")) as (envoy, port):
        client = envoy_admin.EnvoyAdmin(issued)
        assert await client.stats(_proxy(port)) == b"server.live: 1\n"
        await client.stats(_proxy(port), as_json=True)
        await client.clusters(_proxy(), port=port)
        await client.clusters(_proxy(port), as_json=True)
    asked = [each.split(" HTTP")[0] for each in envoy.requests]
    assert asked == ["GET /stats", "GET /stats?format=json", "GET /clusters", "GET /clusters?format=json"]
    assert envoy.peers == [(("DNS", "kuma-cp"),)] * 4


async def test_a_config_dump_comes_without_tokens(issued: admin_certificates.AdminCertificates):
    dump = {"initial_metadata": [{"key": "authorization", "value": "token"}]}
    async with _envoy(issued, _answer(json.dumps(dump).encode())) as (envoy, port):
        client = envoy_admin.EnvoyAdmin(issued, default_port=port)
        assert b"token" not in await client.config_dump(_proxy())
        await client.config_dump(_proxy(), include_eds=True)
    asked = [each.split(" HTTP")[0] for each in envoy.requests]
    assert asked == ["GET /config_dump", "GET /config_dump?include_eds"]


async def test_another_proxy_at_the_same_address_is_not_mistaken(issued: admin_certificates.AdminCertificates):
    async with _envoy(issued, _answer(b"ok")) as (envoy, port):
        other = dataclasses.replace(_proxy(port), meta=res.Meta("default", "web-2"))
        with pytest.raises(errors.Unavailable, match=r'Envoy of "web-2" .* another proxy answers there.*admin\.port'):
            await envoy_admin.EnvoyAdmin(issued).stats(other)
    assert envoy.requests == []


async def test_a_zone_ingress_is_asked_at_its_own_address(issued: admin_certificates.AdminCertificates):
    """What it advertises is the way in from other zones, which need not lead to the admin listener."""
    async with _envoy(issued, _answer(b"ok")) as (envoy, port):
        networking = zoneingress.Networking(
            address="127.0.0.1", advertised_address="192.0.2.1", admin=zoneingress.EnvoyAdmin(port=port)
        )
        spec = zoneingress.ZoneIngress(networking=networking)
        proxy = res.Resource(zoneingress.KIND, res.Meta("", "in"), spec)
        assert await envoy_admin.EnvoyAdmin(issued).clusters(proxy) == b"ok"
    assert envoy.requests[0].startswith("GET /clusters ")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [_answer(b"hello world"), CHUNKED, b"HTTP/1.1 200 OK\r\n\r\nhello world"])
async def test_ways_to_end_an_answer(issued: admin_certificates.AdminCertificates, answer: bytes):
    async with _envoy(issued, answer) as (_, port):
        assert await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port)) == b"hello world"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (_answer(b"no", "503 Service Unavailable"), "Envoy answered /stats with status 503"),
        (_answer(b"", "404 Not Found"), "Envoy answered /stats with status 404"),
        (b"", "closed before the whole answer came"),
        (_answer(b"hello")[:-2], "closed before the whole answer came"),
        (CHUNKED[:-8], "closed before the whole answer came"),
        (b"SSH-2.0-OpenSSH\r\n", "could not read from Envoy"),
    ],
)
async def test_bad_answers(issued: admin_certificates.AdminCertificates, answer: bytes, text: str):
    async with _envoy(issued, answer) as (_, port):
        with pytest.raises(errors.Unavailable, match=text):
            await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port))


async def test_too_much_is_refused(issued: admin_certificates.AdminCertificates):
    async with _envoy(issued, _answer(b"x" * 2000)) as (_, port):
        with pytest.raises(errors.TooLarge, match="larger than 1000 bytes"):
            await envoy_admin.EnvoyAdmin(issued, max_answer=1000).stats(_proxy(port))
        assert len(await envoy_admin.EnvoyAdmin(issued, max_answer=2000).stats(_proxy(port))) == 2000


async def test_silence_ends(issued: admin_certificates.AdminCertificates):
    async with _envoy(issued, b"") as (envoy, port):
        envoy.release.clear()
        with pytest.raises(errors.Unavailable, match=r"did not answer within 0\.2 s"):
            await envoy_admin.EnvoyAdmin(issued, timeout=0.2).stats(_proxy(port))
        envoy.release.set()


async def test_nobody_there(issued: admin_certificates.AdminCertificates):
    async with _envoy(issued, b"") as (_, port):
        pass
    with pytest.raises(errors.Unavailable, match=f'could not read from Envoy of "web-1" at 127.0.0.1:{port}'):
        await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port))
    with pytest.raises(errors.Unavailable, match="has no address"):
        await envoy_admin.EnvoyAdmin(issued).stats(_proxy(address=""))


async def test_somebody_else_at_that_address(issued: admin_certificates.AdminCertificates):
    """A certificate of another CA, and one of our CA for another proxy's address."""
    pair = authorities.new_admin_root(_now())
    foreign = authorities.load(pair.cert_pem, pair.key_pem)
    impostors = [
        certificates.admin_server(foreign, "default/web-1", ["127.0.0.1"]),
        await issued.server(_proxy(address="127.0.0.2")),
    ]
    for impostor in impostors:
        envoy = Envoy(_answer(b"x"))
        async with _listening(envoy, impostor, await issued.trust()) as port:
            with pytest.raises(errors.Unavailable, match="did not prove its identity"):
                await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port))
        assert envoy.requests == []


async def test_an_envoy_of_another_control_plane_refuses_us(issued: admin_certificates.AdminCertificates):
    pair = authorities.new_admin_root(_now())
    envoy = Envoy(_answer(b"x"))
    async with _listening(envoy, await issued.server(_proxy()), pair.cert_pem) as port:
        with pytest.raises(errors.Unavailable, match="could not read from Envoy"):
            await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port))
    assert envoy.requests == []


async def test_server_certificates_are_kept_until_the_address_or_the_ca_changes():
    store = memory.MemoryStore()
    issued = admin_certificates.AdminCertificates(store, _now)
    with pytest.raises(errors.Unavailable, match="envoy-admin-ca"):
        await issued.server(_proxy())
    await _with_authority(store)
    first = await issued.server(_proxy())
    assert await issued.server(_proxy()) is first
    assert await admin_certificates.AdminCertificates(store, _now).server(_proxy()) == first
    moved = await issued.server(_proxy(advertised="10.0.0.1"))
    assert certificates.hosts_of(moved.cert_pem) == ["127.0.0.1", "10.0.0.1"]
    issued.forget(_proxy().key)
    assert await issued.server(_proxy()) == first

    held = await store.get(admin_certificates.ADMIN_CA)
    await store.update(dataclasses.replace(held, spec=_an_authority()))
    assert await issued.server(_proxy()) != first
    held = await store.get(admin_certificates.ADMIN_CA)
    await store.update(dataclasses.replace(held, spec=secret.Secret(data=b"nonsense")))
    with pytest.raises(errors.Unavailable, match="cannot be used"):
        await issued.server(_proxy())


async def test_an_rsa_ca_of_an_older_control_plane_is_used():
    store = memory.MemoryStore()
    pair = authorities.new_mesh_root("Envoy Admin CA", _now(), rsa_bits=2048)
    value = res.Resource(
        secret.GLOBAL_KIND, res.Meta("", "envoy-admin-ca"), secret.Secret(data=pair.cert_pem + pair.key_pem)
    )
    await store.create(value)
    issued = admin_certificates.AdminCertificates(store, _now)
    again = admin_certificates.AdminCertificates(store, _now)
    assert await issued.server(_proxy()) == await again.server(_proxy())
    async with _envoy(issued, _answer(b"ok")) as (_, port):
        assert await envoy_admin.EnvoyAdmin(issued).stats(_proxy(port)) == b"ok"
