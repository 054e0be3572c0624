"""The publisher: who is compiled when, and that one proxy or one resource that cannot be compiled stops nobody."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import prometheus_client
import pytest

from kuma.base import errors
from kuma.compiler import compile, matched, shapes, zone_egress
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.mesh import view
from kuma.policies.meshhttproute import translate as routes
from kuma.policies.meshtimeout import translate as timeouts
from kuma.policies.meshtrafficpermission import translate as permissions
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, meshidentity, meshtrust, serviceinsight
from kuma.services import metrics
from kuma.services.proxies import feeds, publisher
from kuma.services.trust import admin_certificates, cas, identities, mesh_identities
from kuma.store import memory, protocol

_KINDS = (mesh.KIND, dataplane.KIND, meshidentity.KIND, meshtrust.KIND, serviceinsight.KIND)
POLICIES = (routes.POLICY, timeouts.POLICY, permissions.POLICY)
CATALOG = catalogs.Catalog([*_KINDS, *(each.kind for each in POLICIES)])

MESH = res.Key("Mesh", "", "default")


class Identities(identities.Identities):
    """Real identities whose CA can be away, and that take as long as a test likes."""

    def __init__(self, store: memory.MemoryStore) -> None:
        super().__init__(store, clock)
        self.is_away = False
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def current(self, mesh: Any, dataplane: Any) -> identities.Identity | None:
        self.asked.set()
        await self.may_answer.wait()
        if self.is_away:
            raise errors.Unavailable("the CA is away")
        return await super().current(mesh, dataplane)


class Compiler(compile.Compiler):
    """A real compiler that cannot build the outbounds of one service, nor match one proxy."""

    broken = ""
    unmatched = ""
    shaped = 0
    halves = 0

    def match(self, picture: Any, subject: Any) -> matched.Matched:
        if self.unmatched == subject.resource.meta.name:
            raise ValueError("cannot be matched")
        return super().match(picture, subject)

    def match_again(self, picture: Any, subject: Any, before: Any, changed: Any) -> matched.Matched:
        if self.unmatched == subject.resource.meta.name:
            raise ValueError("cannot be matched")
        return super().match_again(picture, subject, before, changed)

    def own(self, picture: Any, subject: Any, said: Any, issued: Any, admin_certificate: Any) -> compile.Own:
        self.halves += 1
        return super().own(picture, subject, said, issued, admin_certificate)

    def shape(self, picture: Any, subject: Any, said: Any, before: shapes.Shape | None = None) -> shapes.Shape:
        self.shaped += 1
        outbounds = subject.spec.networking.outbound
        if self.broken and any(each.tags["kuma.io/service"] == self.broken for each in outbounds):
            raise ValueError("cannot be built")
        return super().shape(picture, subject, said, before)


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A publisher on a store in memory, and what tests change in it."""

    def __init__(self) -> None:
        self.store = memory.MemoryStore(clock, window=8)
        self.identities = Identities(self.store)
        self.compiler = Compiler(POLICIES)
        self.egress_compiler = zone_egress.ZoneEgressCompiler(POLICIES)
        self.publisher = self.new_publisher()

    def new_publisher(self) -> publisher.Publisher:
        certificates = admin_certificates.AdminCertificates(self.store, clock)
        measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "")
        return publisher.Publisher(
            self.store, CATALOG, self.compiler, self.egress_compiler, self.identities, certificates, measured
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.publisher.run())
        await self.publisher.ready.wait()
        yield
        assert not task.done(), "the publisher must outlive whatever happens"
        task.cancel()

    async def put(self, document: dict[str, Any]) -> None:
        made = codec.decode(CATALOG.find(document["type"]), document)
        try:
            held = await self.store.get(made.key)
        except errors.NotFound:
            await self.store.create(made, MESH if made.meta.mesh else None)
            return
        await self.store.update(res.Resource(made.kind, held.meta, made.spec))

    async def put_mesh(self, *, mtls: bool = False, mode: str = "STRICT") -> None:
        security = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin", "mode": mode}]}
        await self.put({"type": "Mesh", "name": "default", **({"mtls": security} if mtls else {})})
        await cas.ensure_builtin_ca(self.store, await self.store.get(MESH), clock)

    async def put_proxy(self, name: str, *outbounds: str, address: str = "10.0.0.1") -> None:
        listed = [{"port": 20000 + at, "tags": {"kuma.io/service": each}} for at, each in enumerate(outbounds)]
        inbound = {"port": 80, "tags": {"kuma.io/service": name}}
        networking = {"address": address, "inbound": [inbound], "outbound": listed}
        await self.put({"type": "Dataplane", "mesh": "default", "name": name, "networking": networking})

    async def put_insight(self, service: str, *, online: int, certified: int) -> None:
        """What is known of the two proxies of a service."""
        counts = serviceinsight.DataplaneStat(total=2, online=online, offline=2 - online)
        known = serviceinsight.Service(dataplanes=counts, issued_backends={"ca": certified})
        spec = serviceinsight.ServiceInsight(services={service: known})
        await self.put({"type": "ServiceInsight", "mesh": "default", "name": "all", **msgspec.to_builtins(spec)})

    def attach(self, name: str) -> feeds.Feed:
        return self.publisher.attach(res.Key("Dataplane", "default", name), {})


@pytest.fixture
async def world() -> World:
    made = World()
    await made.put_mesh()
    return made


async def next_snapshot(feed: feeds.Feed) -> xds.Snapshot:
    async with asyncio.timeout(5):
        await feed.changed.wait()
    feed.changed.clear()
    assert feed.snapshot is not None
    return feed.snapshot


def endpoints(snapshot: xds.Snapshot, service: str) -> bytes:
    found = snapshot.of(xds.ENDPOINT).get(service)
    assert found is not None
    return found.value


async def test_a_new_endpoint_reaches_those_who_call_it(world):
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        assert b"10.9.9.9" not in endpoints(await next_snapshot(feed), "api")
        await world.put_proxy("api", address="10.9.9.9")
        assert b"10.9.9.9" in endpoints(await next_snapshot(feed), "api")


@pytest.mark.parametrize("before", ["absent", "tcp"])
async def test_a_route_leads_to_its_backend_as_soon_as_that_takes_requests(world, before):
    def a_proxy(name: str, protocol: str, *outbounds: str) -> dict[str, Any]:
        listed = [{"port": 20000, "tags": {"kuma.io/service": each}} for each in outbounds]
        inbound = {"port": 80, "tags": {"kuma.io/service": name, "kuma.io/protocol": protocol}}
        networking = {"address": "10.0.0.1", "inbound": [inbound], "outbound": listed}
        return {"type": "Dataplane", "mesh": "default", "name": name, "networking": networking}

    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/new"}}],
        "default": {"backendRefs": [{"kind": "MeshService", "name": "canary"}]},
    }
    spec = {
        "targetRef": {"kind": "Mesh"},
        "to": [{"targetRef": {"kind": "MeshService", "name": "api"}, "rules": [rule]}],
    }
    await world.put({"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec})
    await world.put(a_proxy("api", "http"))
    await world.put(a_proxy("web", "http", "api"))
    if before != "absent":
        await world.put(a_proxy("canary", before))
    async with world.running():
        feed = world.attach("web")
        assert (await next_snapshot(feed)).of(xds.CLUSTER).get("canary") is None
        await world.put(a_proxy("canary", "http"))
        assert (await next_snapshot(feed)).of(xds.CLUSTER).get("canary") is not None


async def test_a_permission_leaves_outbounds_alone(world):
    await world.put_mesh(mtls=True)
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        before = await next_snapshot(feed)
        made = world.compiler.shaped
        everybody = {"kind": "Mesh"}
        entry = {"targetRef": everybody, "default": {"action": "Allow"}}
        spec = {"targetRef": everybody, "from": [entry]}
        await world.put({"type": "MeshTrafficPermission", "mesh": "default", "name": "p", "spec": spec})
        after = await next_snapshot(feed)
        assert after.of(xds.LISTENER).own != before.of(xds.LISTENER).own
        assert after.of(xds.LISTENER).shared is before.of(xds.LISTENER).shared
        assert world.compiler.shaped == made


async def test_a_proxy_whose_certificate_cannot_be_renewed_still_learns_of_endpoints(world):
    await world.put_mesh(mtls=True)
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        before = await next_snapshot(feed)
        world.identities.is_away = True
        world.publisher.refresh(feed)
        await world.put_proxy("api", address="10.9.9.9")
        after = await next_snapshot(feed)
        assert b"10.9.9.9" in endpoints(after, "api")
        assert after.of(xds.SECRET) == before.of(xds.SECRET)


async def test_identities_and_trust_reach_proxies_in_both_halves_and_stay_when_their_authority_is_gone(world):
    exclusive = {"type": "Mesh", "name": "default", "meshServices": {"mode": "Exclusive"}}
    bundled = {"autogenerate": {"enabled": True}, "insecureAllowSelfSigned": True}
    selector = {"dataplane": {"matchLabels": {}}}
    provider = {"type": "Bundled", "bundled": bundled}
    spec = {"selector": selector, "spiffeID": {"path": "/all"}, "provider": provider}
    await world.put(exclusive)
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        assert not (await next_snapshot(feed)).of(xds.SECRET)
        await world.put({"type": "MeshIdentity", "mesh": "default", "name": "i", "spec": spec})
        await mesh_identities.IdentityLoop(world.store, "default", clock).write_all()
        secured = await next_snapshot(feed)
        assert {each.name for each in secured.of(xds.SECRET)} == {"kri_mid_default___i_", "system_trust_bundle"}
        assert feed.identity is not None
        assert feed.identity.supported_backends == ("kri_mtrust_default___i_",)
        await world.store.delete(res.Key("Secret", "default", "i-private-key"))
        world.publisher.refresh(feed)
        await world.put_proxy("api", address="10.9.9.9")
        after = await next_snapshot(feed)
        assert b"10.9.9.9" in endpoints(after, "api")
        assert after.of(xds.SECRET) == secured.of(xds.SECRET)


async def test_half_of_mutual_tls_is_held_back_and_the_whole_follows(world, monkeypatch):
    """Clusters that ask for a certificate would wait for it for ever where the proxy has none."""
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.01)
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        plain = await next_snapshot(feed)
        world.identities.is_away = True
        await world.put_mesh(mtls=True)
        async with asyncio.timeout(5):
            await world.identities.asked.wait()
        await world.put_proxy("api", address="10.9.9.9")
        world.identities.asked.clear()
        async with asyncio.timeout(5):
            await world.identities.asked.wait()  # the second try, after the endpoint came
        assert feed.snapshot is plain
        world.identities.is_away = False
        whole = await next_snapshot(feed)
        assert whole.of(xds.CLUSTER).get("api") != plain.of(xds.CLUSTER).get("api")
        assert len(whole.of(xds.SECRET)) == 2
        assert b"10.9.9.9" in endpoints(whole, "api")


async def test_a_stream_that_ends_while_its_certificate_is_made_leaves_nothing_behind(world):
    await world.put_mesh(mtls=True)
    await world.put_proxy("web", "api")
    await world.put_proxy("next")
    async with world.running():
        world.identities.may_answer.clear()
        feed = world.attach("web")
        async with asyncio.timeout(5):
            await world.identities.asked.wait()
        feed.detach()
        world.identities.may_answer.set()
        other = world.attach("next")
        await next_snapshot(other)
        assert feed.snapshot is None
        assert feed.group is None
        assert world.identities.next_renewal() == other.identity.renew_at


async def test_a_resource_that_nobody_can_read_hides_no_other(world):
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        odd = dataplane.Dataplane(networking=dataplane.Networking(inbound=None))
        await world.store.create(res.Resource(dataplane.KIND, res.Meta("default", "odd"), odd), MESH)
        await world.put_proxy("api", address="10.9.9.9")
        assert b"10.9.9.9" in endpoints(await next_snapshot(feed), "api")


async def test_a_shape_that_cannot_be_built_stops_no_other_proxy(world, monkeypatch):
    await world.put_proxy("web", "api")
    await world.put_proxy("odd", "bad")
    async with world.running():
        feed, odd = world.attach("web"), world.attach("odd")
        await next_snapshot(feed)
        await next_snapshot(odd)
        world.compiler.broken = "bad"
        await world.put_proxy("bad", address="10.8.8.8")
        await world.put_proxy("api", address="10.9.9.9")
        assert b"10.9.9.9" in endpoints(await next_snapshot(feed), "api")
        assert not odd.changed.is_set()
        monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.01)
        world.compiler.broken = ""
        await world.put_proxy("bad", address="10.7.7.7")
        assert b"10.7.7.7" in endpoints(await next_snapshot(odd), "bad")


async def test_a_policy_that_cannot_be_matched_for_one_proxy_stops_no_other(world):
    await world.put_mesh(mtls=True)
    await world.put_proxy("odd")
    await world.put_proxy("web")
    async with world.running():
        odd, feed = world.attach("odd"), world.attach("web")
        await next_snapshot(odd)
        before = await next_snapshot(feed)
        world.compiler.unmatched = "odd"
        entry = {"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}
        spec = {"targetRef": {"kind": "Mesh"}, "from": [entry]}
        await world.put({"type": "MeshTrafficPermission", "mesh": "default", "name": "p", "spec": spec})
        after = await next_snapshot(feed)
        assert after.of(xds.LISTENER).own != before.of(xds.LISTENER).own
        assert not odd.changed.is_set()


async def test_who_asks_hears_why_a_proxy_keeps_what_it_has_and_when_it_no_longer_does(world, monkeypatch):
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.01)
    await world.put_mesh(mtls=True)
    await world.put_proxy("web")
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        feed.tell_failures(heard.put_nowait)
        assert heard.get_nowait() == ""
        world.compiler.unmatched = "web"
        await world.put_proxy("web", address="10.2.2.2")
        assert await asyncio.wait_for(heard.get(), 5) == "cannot be matched"
        world.compiler.unmatched = ""
        assert await asyncio.wait_for(heard.get(), 5) == ""


async def test_what_goes_wrong_beside_single_proxies_ends_nothing(world, monkeypatch):
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.01)
    await world.put_proxy("api")
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        broken = [True]
        reached = world.publisher._is_reached

        def is_reached(*asked: Any) -> bool:
            if broken.pop() if broken else False:
                raise RuntimeError("a bug")
            return reached(*asked)

        monkeypatch.setattr(world.publisher, "_is_reached", is_reached)
        await world.put_proxy("api", address="10.9.9.9")
        assert b"10.9.9.9" in endpoints(await next_snapshot(feed), "api")


def timeout(member: str, seconds: int) -> dict[str, Any]:
    entry = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": f"{seconds}s"}}
    return {"type": "MeshTimeout", "mesh": "default", "name": "t", "spec": {member: [entry]}}


@pytest.mark.parametrize(("member", "halves"), [("to", 0), ("from", 2)])
async def test_a_policy_that_speaks_of_calls_alone_leaves_what_is_the_proxys_own(world, member, halves):
    await world.put_proxy("api")
    await world.put_proxy("web", "api")
    await world.put(timeout("to", 7))
    async with world.running():
        both = [world.attach("web"), world.attach("api")]
        before = [await next_snapshot(feed) for feed in both]
        built = world.compiler.halves
        await world.put(timeout(member, 8))
        after = await next_snapshot(both[0])
        if halves:
            await next_snapshot(both[1])  # which calls nobody
        assert world.compiler.halves - built == halves
        assert after.of(xds.CLUSTER).shared is not before[0].of(xds.CLUSTER).shared
        assert (after.of(xds.CLUSTER).own is before[0].of(xds.CLUSTER).own) == (not halves)


async def test_a_proxy_that_failed_is_compiled_whole_when_a_policy_about_calls_changes(world):
    await world.put_proxy("api")
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        world.compiler.broken = "api"
        await world.put_proxy("web", "api", address="10.3.3.3")
        await asyncio.sleep(0)
        world.compiler.broken = ""
        await world.put(timeout("to", 8))
        after = await next_snapshot(feed)
        assert any(b"10.3.3.3" in each.value for each in after.of(xds.LISTENER).own.values())


async def test_without_mutual_tls_certificates_of_the_mesh_are_let_go(world):
    await world.put_mesh(mtls=True)
    await world.put_proxy("web")
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        assert world.identities.next_renewal() == feed.identity.renew_at
        await world.put_mesh()
        await next_snapshot(feed)
        assert world.identities.next_renewal() is None


async def test_what_goes_while_changes_are_missed_is_gone(world):
    """Also what was heard of and not looked at before so much happened at once that the rest was missed."""
    await world.put_mesh(mtls=True)
    await world.put_proxy("web", "api")
    async with world.running():
        world.identities.may_answer.clear()
        feed = world.attach("web")
        async with asyncio.timeout(5):
            await world.identities.asked.wait()
        await world.put_proxy("api", address="10.8.8.8")
        ghost = await world.store.get(res.Key("Dataplane", "default", "api"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert world.publisher._edits
        many = [protocol.Change(protocol.Op.DELETED, ghost)]
        for number in range(20):
            other = res.Resource(dataplane.KIND, res.Meta("default", f"p-{number}"), dataplane.Dataplane())
            many += [
                protocol.Change(protocol.Op.CREATED, other, owner=MESH),
                protocol.Change(protocol.Op.DELETED, other),
            ]
        await world.store.apply(many[:4])
        for change in many[4:]:
            world.store._feed.publish(world.store._image.apply([change]))
        await world.put_proxy("api-2", address="10.9.9.9")
        world.identities.may_answer.set()
        await next_snapshot(feed)
        await world.put_proxy("last")
        await next_snapshot(world.attach("last"))
        assert sorted(world.publisher.world.meshes["default"].dataplanes) == ["api-2", "last", "web"]


async def is_encrypted_to(world: World, feed: feeds.Feed, service: str, address: str) -> bool:
    """Whether calls to a service are, in the first snapshot that knows of an address: it has all that came before."""
    await world.put_proxy(service, address=address)
    snapshot = await next_snapshot(feed)
    while address.encode() not in endpoints(snapshot, service):
        snapshot = await next_snapshot(feed)
    found = snapshot.of(xds.CLUSTER).get(service)
    assert found is not None
    return api.Cluster.FromString(found.value).HasField("transport_socket")


async def test_permissive_clients_never_go_back_to_plaintext_when_proxies_or_the_control_plane_restart(world):
    """A proxy that is back shows its certificate seconds later; the other one of its service left long ago."""
    await world.put_mesh(mtls=True, mode="PERMISSIVE")
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        await world.put_insight("api", online=1, certified=0)
        assert not await is_encrypted_to(world, feed, "api", "10.9.9.1")
        await world.put_insight("api", online=1, certified=1)
        assert await is_encrypted_to(world, feed, "api", "10.9.9.2")
        await world.put_insight("api", online=1, certified=0)
        assert await is_encrypted_to(world, feed, "api", "10.9.9.3")
    await world.put_insight("api", online=0, certified=1)
    world.publisher = world.new_publisher()
    async with world.running():
        feed = world.attach("web")
        await world.put_insight("api", online=1, certified=0)
        assert await is_encrypted_to(world, feed, "api", "10.9.9.4")


async def test_a_mesh_that_goes_is_forgotten_by_the_compiler(world):
    await world.put_proxy("web", "api")
    async with world.running():
        feed = world.attach("web")
        await next_snapshot(feed)
        made = codec.decode(mesh.KIND, {"type": "Mesh", "name": "other"})
        await world.store.create(made)
        proxy = {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"kuma.io/service": "web"}}]}
        document = {"type": "Dataplane", "mesh": "other", "name": "web", "networking": proxy}
        await world.store.create(codec.decode(dataplane.KIND, document), made.key)
        passing = world.publisher.attach(res.Key("Dataplane", "other", "web"), {})
        await next_snapshot(passing)
        assert remembered("other")
        passing.detach()
        await world.store.delete(made.key)
        await world.put_proxy("api", address="10.9.9.9")
        await next_snapshot(feed)
        del passing
        assert not remembered("other")


def remembered(name: str) -> bool:
    """Whether anybody still holds a picture of a mesh."""
    gc.collect()
    return any(isinstance(each, view.MeshView) and each.name == name for each in gc.get_objects())
