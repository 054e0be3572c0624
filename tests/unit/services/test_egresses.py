"""Configurations of zone egresses: when they are made again, and that one mesh in trouble does not take others along."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import prometheus_client
import pytest

from kuma.base import errors
from kuma.compiler import compile, zone_egress
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.policies.meshcircuitbreaker import translate as breakers
from kuma.policies.meshtimeout import translate as timeouts
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, externalservice, mesh, meshexternalservice, zoneegress
from kuma.services import metrics
from kuma.services.proxies import egresses, publisher
from kuma.services.trust import admin_certificates, cas, identities
from kuma.store import memory

POLICIES = (timeouts.POLICY, breakers.POLICY)
_KINDS = (mesh.KIND, dataplane.KIND, externalservice.KIND, meshexternalservice.KIND, zoneegress.KIND)
CATALOG = catalogs.Catalog([*_KINDS, *(each.kind for each in POLICIES)])
KEY = res.Key("ZoneEgress", "", "way-out")
EVERYBODY = {"kind": "Mesh"}
MTLS = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


class Identities(identities.Identities):
    """Real identities; the CA of a mesh can be away."""

    away = ""

    async def of_egress(self, mesh: Any, egress: str) -> identities.Identity | None:
        if mesh.meta.name == self.away:
            raise errors.Unavailable("the CA is away")
        return await super().of_egress(mesh, egress)


class Compiler(zone_egress.ZoneEgressCompiler):
    """The real compiler, which counts and can be broken."""

    runs = 0
    is_broken = False

    def __init__(self) -> None:
        super().__init__(POLICIES)
        self.failed = asyncio.Event()

    def compile(self, *given: Any) -> compile.Own:
        self.runs += 1
        if self.is_broken:
            self.failed.set()
            raise ValueError("cannot be built")
        return super().compile(*given)


def made(kind: str, name: str, mesh: str = "", **fields: Any) -> res.Resource[Any]:
    found = CATALOG.find(kind)
    assert found is not None
    return codec.decode(found, {"type": kind, "name": name, **({"mesh": mesh} if mesh else {}), **fields})


class World:
    """A publisher on a store in memory, with mutual TLS and something outside in the mesh `shop`."""

    def __init__(self) -> None:
        self.store = memory.MemoryStore(clock)
        self.identities = Identities(self.store, clock)
        self.compiler = Compiler()
        certificates = admin_certificates.AdminCertificates(self.store, clock)
        measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "")
        self.publisher = publisher.Publisher(
            self.store, CATALOG, compile.Compiler(POLICIES), self.compiler, self.identities, certificates, measured
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.publisher.run())
        await self.publisher.ready.wait()
        yield
        assert not task.done(), "the publisher must outlive whatever happens"
        task.cancel()

    async def put(self, kind: str, name: str, mesh: str = "", **fields: Any) -> None:
        written = made(kind, name, mesh, **fields)
        try:
            held = await self.store.get(written.key)
        except errors.NotFound:
            await self.store.create(written)
            return
        await self.store.update(res.Resource(written.kind, held.meta, written.spec))

    async def put_mesh(self, name: str) -> None:
        await self.put("Mesh", name, mtls=MTLS)
        await cas.ensure_builtin_ca(self.store, await self.store.get(res.Key("Mesh", "", name)), clock)

    async def put_outside(self, name: str, mesh: str = "shop", port: int = 80) -> None:
        match = {"type": "HostnameGenerator", "port": 80, "protocol": "http"}
        spec = {"match": match, "endpoints": [{"address": "192.0.2.1", "port": port}]}
        await self.put("MeshExternalService", name, mesh, spec=spec)

    async def put_egress(self, port: int = 10002) -> None:
        await self.put("ZoneEgress", "way-out", networking={"address": "10.0.0.8", "port": port})

    def attach(self) -> egresses.Feed:
        feed = self.publisher.attach(KEY, {})
        assert isinstance(feed, egresses.Feed)
        return feed


@pytest.fixture
async def world() -> World:
    own = World()
    await own.put_mesh("shop")
    await own.put_outside("payments")
    await own.put_egress()
    return own


async def next_snapshot(feed: egresses.Feed) -> xds.Snapshot:
    async with asyncio.timeout(5):
        await feed.changed.wait()
    feed.changed.clear()
    assert feed.snapshot is not None
    return feed.snapshot


def secrets(snapshot: xds.Snapshot) -> set[str]:
    return {each.name for each in snapshot.of(xds.SECRET)}


def listener(snapshot: xds.Snapshot) -> bytes:
    (found,) = snapshot.of(xds.LISTENER)
    return found.value


async def settled(world: World) -> int:
    """Compiles so far, after all that is in the store was looked at: an egress of its own is asked for last."""
    marker = world.publisher.attach(res.Key("ZoneEgress", "", "marker"), {})
    await world.put("ZoneEgress", "marker", networking={"address": "10.0.0.9", "port": 10002})
    async with asyncio.timeout(5):
        await marker.changed.wait()
    marker.detach()
    return world.compiler.runs


async def test_what_it_proves_itself_with_names_mesh_and_service(world: World) -> None:
    async with world.running():
        found = await next_snapshot(world.attach())
        assert secrets(found) == {"identity_cert:secret:shop", "mesh_ca:secret:shop"}
        held = await world.identities.of_egress(await world.store.get(res.Key("Mesh", "", "shop")), "way-out")
        assert held is not None
        assert held.uris == ("spiffe://shop/zone-egress", "kuma://kuma.io/service/zone-egress")
        assert held.regenerations == 1


async def test_it_is_made_as_soon_as_the_egress_is_known(world: World) -> None:
    await world.store.delete(KEY)
    async with world.running():
        feed = world.attach()
        await settled(world)
        assert feed.snapshot is None
        await world.put_egress()
        assert b"10.0.0.8" in listener(await next_snapshot(feed))


def outside(mesh: str, port: int = 80) -> res.Resource[Any]:
    match = {"type": "HostnameGenerator", "port": 80, "protocol": "http"}
    spec = {"match": match, "endpoints": [{"address": "192.0.2.1", "port": port}]}
    return made("MeshExternalService", "payments", mesh, spec=spec)


def legacy(mesh: str, port: int = 80) -> res.Resource[Any]:
    networking = {"address": f"192.0.2.2:{port}"}
    return made("ExternalService", "old", mesh, tags={"kuma.io/service": "old"}, networking=networking)


def said(kind: str, mesh: str) -> res.Resource[Any]:
    return made(kind, "p", mesh, spec={"targetRef": EVERYBODY})


def proxy(mesh: str, **more: Any) -> res.Resource[Any]:
    inbound = {"port": 80, "tags": {"kuma.io/service": "api"}, **more}
    return made("Dataplane", "api", mesh, networking={"address": "10.0.0.1", "inbound": [inbound]})


def egress(port: int = 10002) -> res.Resource[Any]:
    return made("ZoneEgress", "way-out", networking={"address": "10.0.0.8", "port": port})


@pytest.mark.parametrize(
    ("changed", "is_concerned"),
    [
        (outside("shop", port=81), True),
        (legacy("shop", port=81), True),
        (said("MeshCircuitBreaker", "shop"), True),
        (egress(port=10003), True),
        (made("Mesh", "shop"), True),
        (made("Mesh", "plain", mtls=MTLS), True),
        (proxy("shop"), False),
        (proxy("shop", state="NotReady"), False),
        (outside("plain"), False),
        (legacy("plain"), False),
        (said("MeshCircuitBreaker", "plain"), False),
        (said("MeshTimeout", "shop"), False),
    ],
)
def test_it_is_made_again_for_what_it_serves_alone(changed: res.Resource[Any], is_concerned: bool) -> None:
    present = [made("Mesh", "shop", mtls=MTLS), made("Mesh", "plain"), outside("shop"), legacy("shop"), egress()]
    kinds = frozenset(each.kind.name for each in POLICIES)
    before, _ = view.WorldView(kinds).advance([view.Edit(each) for each in present])
    after, touched = before.advance([view.Edit(changed)])
    heard = zone_egress.ZoneEgressCompiler(POLICIES).policy_kinds
    assert egresses.concerns_egresses(before, after, touched, heard) is is_concerned


async def test_nothing_is_handed_out_twice(world: World) -> None:
    async with world.running():
        feed = world.attach()
        before = await next_snapshot(feed)
        world.publisher.refresh_key(identities.egress_key("shop", "way-out"))
        assert await settled(world) > 2
        assert feed.snapshot is before
        assert not feed.changed.is_set()


async def test_a_mesh_whose_ca_is_away_is_served_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egresses, "RETRY_SECONDS", 0.0)
    await world.put_mesh("blog")
    await world.put_outside("images", "blog")
    world.identities.away = "blog"
    async with world.running():
        feed = world.attach()
        assert secrets(await next_snapshot(feed)) == {"identity_cert:secret:shop", "mesh_ca:secret:shop"}
        world.identities.away = ""
        assert "identity_cert:secret:blog" in secrets(await next_snapshot(feed))


async def test_it_keeps_the_certificate_that_cannot_be_renewed(world: World) -> None:
    async with world.running():
        feed = world.attach()
        before = await next_snapshot(feed)
        world.identities.away = "shop"
        await world.put_outside("more")
        after = await next_snapshot(feed)
        assert secrets(after) == secrets(before)
        assert listener(after) != listener(before)


async def test_one_that_cannot_be_made_keeps_what_it_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egresses, "RETRY_SECONDS", 0.0)
    async with world.running():
        feed = world.attach()
        before = await next_snapshot(feed)
        world.compiler.is_broken = True
        await world.put_outside("more")
        async with asyncio.timeout(5):
            await world.compiler.failed.wait()
        assert feed.snapshot is before
        world.compiler.is_broken = False
        assert listener(await next_snapshot(feed)) != listener(before)


async def test_certificates_are_let_go(world: World) -> None:
    async with world.running():
        feed, twin = world.attach(), world.attach()
        await next_snapshot(feed)
        await next_snapshot(twin)
        feed.detach()
        assert world.identities.next_renewal() is not None
        twin.detach()
        assert world.identities.next_renewal() is None


async def test_a_mesh_that_is_no_longer_served_leaves_nothing(world: World) -> None:
    async with world.running():
        feed = world.attach()
        await next_snapshot(feed)
        await world.store.delete(res.Key("MeshExternalService", "shop", "payments"))
        assert not secrets(await next_snapshot(feed))
        assert world.identities.next_renewal() is None
