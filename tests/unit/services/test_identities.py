"""Identities of proxies: the same until something changes, renewed at four fifths of their life."""

import asyncio
import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kuma.base import errors
from kuma.mesh import spiffe_ids
from kuma.resources import codec, conditions
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import meshidentity, meshtrust, secret
from kuma.security import authorities, keys
from kuma.services.trust import cas, identities, identity_cas
from kuma.store import memory
from tests.unit.security import handshakes

START = datetime.now(UTC).replace(microsecond=0)
RENEWAL = timedelta(hours=24) * 4 / 5


class World:
    """A store with a mesh whose CA is builtin, and a clock that can be moved."""

    def __init__(self) -> None:
        self.now = START
        self.store = memory.MemoryStore()
        self.identities = identities.Identities(self.store, lambda: self.now)
        self.mesh = _mesh()

    async def current(self, proxy: res.Resource[dataplanes.Dataplane]) -> identities.Identity:
        found = await self.identities.current(self.mesh, proxy)
        assert found is not None
        return found

    async def replace_ca(self) -> None:
        pair = authorities.new_mesh_root("shop", self.now)
        for key, pem in zip(cas.secret_keys("shop", "ca-1"), (pair.cert_pem, pair.key_pem), strict=True):
            held = await self.store.get(key)
            await self.store.update(dataclasses.replace(held, spec=secret.Secret(data=pem)))


def _mesh(expiration: str = "", backend: str = "ca-1", on: bool = True) -> res.Resource[meshes.Mesh]:
    rotation = meshes.DpCert(rotation=meshes.Rotation(expiration=expiration)) if expiration else None
    authority = meshes.CertificateAuthorityBackend(name=backend, type="builtin", dp_cert=rotation)
    mtls = meshes.Mtls(enabled_backend=backend if on else "", backends=(authority,))
    return res.Resource(meshes.KIND, res.Meta("", "shop"), meshes.Mesh(mtls=mtls))


def _proxy(
    name: str = "web-1", tags: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
) -> res.Resource[dataplanes.Dataplane]:
    inbound = dataplanes.Inbound(port=80, tags=dict({"kuma.io/service": "web"} if tags is None else tags))
    spec = dataplanes.Dataplane(networking=dataplanes.Networking(address="127.0.0.1", inbound=(inbound,)))
    return res.Resource(dataplanes.KIND, res.Meta("shop", name, dict(labels or {})), spec)


@pytest.fixture
async def world() -> World:
    made = World()
    await made.store.create(made.mesh)
    await cas.ensure_builtin_ca(made.store, made.mesh, lambda: made.now)
    return made


async def test_an_identity_is_issued_once(world: World):
    found = await world.current(_proxy())
    assert found.uris == ("spiffe://shop/web", "kuma://kuma.io/service/web")
    assert (found.generated, found.expires) == (START, START + timedelta(hours=24))
    assert found.renew_at == START + RENEWAL
    assert found.regenerations == 1
    assert (found.issued_backend, found.supported_backends) == ("ca-1", ("ca-1",))
    assert found.ca_pem == await world.identities.trust(world.mesh)
    assert "PRIVATE" not in repr(found)
    world.now += RENEWAL - timedelta(seconds=1)
    assert await world.current(_proxy()) is found


async def test_two_proxies_trust_each_other(world: World):
    web = await world.current(_proxy("web-1"))
    api = await world.current(_proxy("api-1", {"kuma.io/service": "api"}))
    assert web.key_pem != api.key_pem
    server = handshakes.server_context(keys.KeyPair(api.cert_pem, api.key_pem), api.ca_pem)
    handshakes.shake(handshakes.client_context(web.ca_pem, keys.KeyPair(web.cert_pem, web.key_pem)), server)


async def _move_clock(world: World) -> res.Resource[dataplanes.Dataplane]:
    world.now += RENEWAL
    return _proxy()


async def _change_tags(_: World) -> res.Resource[dataplanes.Dataplane]:
    return _proxy(tags={"kuma.io/service": "web", "version": "2"})


async def _change_ca(world: World) -> res.Resource[dataplanes.Dataplane]:
    await world.replace_ca()
    return _proxy()


async def _change_backend(world: World) -> res.Resource[dataplanes.Dataplane]:
    world.mesh = _mesh(backend="ca-2")
    await cas.ensure_builtin_ca(world.store, world.mesh, lambda: world.now)
    return _proxy()


async def _change_lifetime(world: World) -> res.Resource[dataplanes.Dataplane]:
    world.mesh = _mesh(expiration="1h")
    return _proxy()


@pytest.mark.parametrize("change", [_move_clock, _change_tags, _change_ca, _change_backend, _change_lifetime])
async def test_what_makes_a_new_certificate(world: World, change: Any):
    before = await world.current(_proxy())
    after = await world.current(await change(world))
    assert after.cert_pem != before.cert_pem
    assert after.key_pem != before.key_pem
    assert after.regenerations == 2
    assert await world.current(await _same(change, world)) is after


async def _same(change: Any, world: World) -> res.Resource[dataplanes.Dataplane]:
    return await change(world) if change is _change_tags else _proxy()


async def test_what_makes_none(world: World):
    before = await world.current(_proxy())
    assert await world.current(_proxy(labels={"team": "a"})) is before


async def test_the_lifetime_of_the_backend(world: World):
    world.mesh = _mesh(expiration="10m")
    found = await world.current(_proxy())
    assert (found.expires, found.renew_at) == (START + timedelta(minutes=10), START + timedelta(minutes=8))


async def test_no_mtls_no_identity(world: World):
    await world.current(_proxy())
    world.mesh = _mesh(on=False)
    assert await world.identities.current(world.mesh, _proxy()) is None
    assert await world.identities.trust(world.mesh) is None
    assert world.identities.next_renewal() is None


async def test_the_workload_stands_for_the_service(world: World):
    found = await world.current(_proxy(tags={"version": "1"}, labels={"kuma.io/workload": "batch"}))
    assert found.uris[0] == "spiffe://shop/batch"


async def test_a_proxy_without_a_name_gets_nothing(world: World):
    with pytest.raises(errors.Unavailable, match='"web-1" of mesh "shop" has neither the tag'):
        await world.current(_proxy(tags={"version": "1"}))


async def test_a_broken_ca_stops_new_certificates_alone(world: World):
    before = await world.current(_proxy())
    key = cas.secret_keys("shop", "ca-1")[1]
    await world.store.delete(key)
    with pytest.raises(errors.Unavailable):
        await world.current(_proxy())
    assert world.identities.next_renewal() == before.renew_at


async def test_next_renewal_is_the_earliest_of_those_that_are_left(world: World):
    proxies = [_proxy(f"web-{number}") for number in range(5)]
    for proxy in proxies:
        await world.current(proxy)
        world.now += timedelta(minutes=1)
    for minute, proxy in enumerate(proxies):
        assert world.identities.next_renewal() == START + RENEWAL + timedelta(minutes=minute)
        world.identities.forget(proxy.key)
    assert world.identities.next_renewal() is None


async def test_a_forgotten_proxy_is_met_anew(world: World):
    before = await world.current(_proxy())
    world.identities.forget(_proxy().key)
    after = await world.current(_proxy())
    assert after.cert_pem != before.cert_pem
    assert after.regenerations == 1
    world.identities.forget_mesh("shop")
    assert world.identities.next_renewal() is None


async def test_proxies_that_come_and_go_leave_no_dates_behind(world: World):
    await world.current(_proxy("first"))
    for number in range(300):
        proxy = _proxy(f"web-{number}")
        world.now += timedelta(seconds=1)
        await world.current(proxy)
        world.identities.forget(proxy.key)
    assert world.identities.next_renewal() == START + RENEWAL
    assert len(world.identities._due) < 100


class Told:
    """Collects what `run` tells and lets tests wait for it."""

    def __init__(self) -> None:
        self.keys: asyncio.Queue[res.Key] = asyncio.Queue()

    async def names(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            return sorted([(await self.keys.get()).name for _ in range(count)])


@pytest.fixture
async def told(world: World):
    made = Told()
    loop = asyncio.create_task(world.identities.run(made.keys.put_nowait))
    await asyncio.sleep(0)  # a turn for the loop to begin to watch
    yield made
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_run_tells_who_is_due(world: World, told: Told):
    world.mesh = _mesh(expiration="1h")
    for name in ("web-1", "web-2"):
        await world.current(_proxy(name))
    world.now += timedelta(minutes=30)
    await world.current(_proxy("web-3"))
    world.now += timedelta(minutes=18)  # 48 of 60 minutes: the first two are due
    await world.current(_proxy("short", {"kuma.io/service": "short"}))
    world.mesh = _mesh(expiration="1m")
    await world.current(_proxy("short", {"kuma.io/service": "short"}))  # an earlier date wakes the loop
    assert await told.names(2) == ["web-1", "web-2"]


async def test_run_waits_for_the_date(world: World):
    """With real time: a certificate of 50 ms is due after 40."""
    real = identities.Identities(world.store, lambda: datetime.now(UTC))
    told = Told()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        loop = group.create_task(real.run(told.keys.put_nowait))
        first = await real.current(_mesh(expiration="50ms"), _proxy())
        assert await told.names(1) == ["web-1"]
        assert first is not None
        assert datetime.now(UTC) >= first.renew_at
        second = await real.current(_mesh(expiration="50ms"), _proxy())
        assert second is not None
        assert second.regenerations == 2
        assert await told.names(1) == ["web-1"]
        loop.cancel()


async def test_run_asks_again_when_nobody_came(world: World):
    real = identities.Identities(world.store, lambda: datetime.now(UTC), retry=timedelta(milliseconds=20))
    told = Told()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        loop = group.create_task(real.run(told.keys.put_nowait))
        await real.current(_mesh(expiration="50ms"), _proxy())
        assert await told.names(3) == ["web-1"] * 3
        loop.cancel()


async def test_run_tells_the_users_of_a_ca_that_was_replaced(world: World, told: Told):
    for name in ("web-1", "web-2"):
        await world.current(_proxy(name))
    await world.store.create(res.Resource(secret.KIND, res.Meta("shop", "unrelated"), secret.Secret(data=b"x")))
    await world.replace_ca()  # two writes, certificate and key, each told
    assert await told.names(4) == ["web-1", "web-1", "web-2", "web-2"]
    assert told.keys.empty()


async def test_a_burst_of_a_thousand(world: World):
    """Correct at size; how fast is measured by the benchmarks."""
    proxies = [_proxy(f"web-{number:04}") for number in range(1000)]
    found = [await world.current(each) for each in proxies]
    assert len({each.key_pem for each in found}) == 1000
    assert all([await world.current(each) is one for each, one in zip(proxies, found, strict=True)])
    for each in proxies:
        world.identities.forget(each.key)
    assert world.identities.next_renewal() is None


async def test_what_belongs_to_a_mesh_goes_with_it(world: World):
    await world.current(_proxy())
    running = asyncio.create_task(world.identities.run(lambda key: None))
    await asyncio.sleep(0)
    await world.store.delete(world.mesh.key)
    await world.store.close()  # ends what follows the store, once it has seen what there is
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    assert world.identities.next_renewal() is None


async def _identity(world: World, expiry: str = "24h") -> spiffe_ids.Identity:
    """A MeshIdentity that is ready, its authority made."""
    bundled = {"autogenerate": {"enabled": True}, "certificateParameters": {"expiry": expiry}}
    document = {
        "type": "MeshIdentity",
        "mesh": "shop",
        "name": "i",
        "spec": {
            "selector": {"dataplane": {"matchLabels": {}}},
            "provider": {"type": "Bundled", "bundled": bundled},
        },
    }
    made = codec.decode(meshidentity.KIND, document)
    await world.store.create(made)
    await identity_cas.ensure(world.store, made, "shop.io", lambda: world.now)
    ready = conditions.Status((conditions.Condition("Ready", "True", "Ready", ""),))
    found = spiffe_ids.identity_of(dataclasses.replace(made, status=ready), "east", "universal")
    assert found is not None
    return found


async def test_an_identity_of_a_workload_is_its_only_name(world: World) -> None:
    chosen = await _identity(world, expiry="2h")
    proxy = _proxy(labels={"kuma.io/workload": "web"})
    by_mesh = await world.current(proxy)
    found = await world.identities.by_identity(chosen, proxy, ("kri_mtrust_shop___i_",))
    assert found.uris == ("spiffe://shop.east.mesh.local/workload/web",)
    assert (found.issued_backend, found.supported_backends) == ("kri_mid_shop___i_", ("kri_mtrust_shop___i_",))
    assert found.expires == START + timedelta(hours=2)
    assert await world.identities.by_identity(chosen, proxy, ("kri_mtrust_shop___i_",)) is found
    assert await world.current(proxy) is by_mesh, "both are kept"
    more = await world.identities.by_identity(chosen, proxy, ("a", "b"))
    assert (more.cert_pem, more.supported_backends) == (found.cert_pem, ("a", "b"))
    world.now += timedelta(hours=2) * 4 / 5
    renewed = await world.identities.by_identity(chosen, proxy, ("a", "b"))
    assert (renewed.regenerations, renewed.cert_pem == found.cert_pem) == (2, False)
    world.identities.forget_identity(proxy.key)
    assert world.identities.next_renewal() == by_mesh.renew_at


async def _replace_authority(world: World) -> authorities.Authority:
    pair = authorities.new_mesh_root("shop.east.mesh.local", world.now)
    for name, pem in (("i-root-ca", pair.cert_pem), ("i-private-key", pair.key_pem)):
        held = await world.store.get(res.Key("Secret", "shop", name))
        await world.store.update(dataclasses.replace(held, spec=secret.Secret(data=pem)))
    return authorities.load(pair.cert_pem, pair.key_pem)


async def _trust(world: World, authority: authorities.Authority, domain: str = "shop.east.mesh.local") -> datetime:
    """When a MeshTrust that vouches for an authority was written."""
    bundle = meshtrust.CaBundle("Pem", meshtrust.Pem(authority.bundle_pem.decode()))
    spec = meshtrust.MeshTrust(trust_domain=domain, ca_bundles=(bundle,))
    written = await world.store.create(res.Resource(meshtrust.KIND, res.Meta("shop", domain), spec))
    return written.meta.modification_time


async def test_a_new_authority_is_trusted_before_it_is_used(world: World) -> None:
    chosen = await _identity(world)
    web, late = (_proxy(name, labels={"kuma.io/workload": "web"}) for name in ("web-1", "web-2"))
    before = await world.identities.by_identity(chosen, web, ())
    authority = await _replace_authority(world)
    assert await world.identities.by_identity(chosen, web, ()) is before
    await _trust(world, authority, domain="elsewhere")
    assert await world.identities.by_identity(chosen, web, ()) is before, "another trust domain"
    assert world.identities.next_renewal() == before.renew_at
    written = await _trust(world, authority)
    assert await world.identities.by_identity(chosen, web, ()) is before
    assert world.identities.next_renewal() == written + identity_cas.TRUSTED_FIRST
    joined = await world.identities.by_identity(chosen, late, ())
    assert joined.ca_pem == before.ca_pem, "who joins has what all trust"
    world.now = written + identity_cas.TRUSTED_FIRST
    for proxy in (web, late):
        found = await world.identities.by_identity(chosen, proxy, ())
        assert (found.ca_pem, found.regenerations) == (authority.bundle_pem, 2)
    assert world.identities.next_renewal() == world.now + RENEWAL


async def test_an_authority_that_ended_waits_for_nobody(world: World) -> None:
    chosen = await _identity(world)
    web = _proxy(labels={"kuma.io/workload": "web"})
    await world.identities.by_identity(chosen, web, ())
    authority = await _replace_authority(world)
    world.now += authorities.ROOT_LIFETIME
    assert (await world.identities.by_identity(chosen, web, ())).ca_pem == authority.bundle_pem


async def test_an_identity_that_is_written_again_begins_anew(world: World, told: Told) -> None:
    chosen = await _identity(world)
    web = _proxy(labels={"kuma.io/workload": "web"})
    before = await world.identities.by_identity(chosen, web, ())
    await world.store.delete(chosen.resource.key)
    assert await told.names(2) == ["web-1", "web-1"], "its Secrets went with it"
    after = await world.identities.by_identity(await _identity(world), web, ())
    assert after.ca_pem != before.ca_pem


async def test_an_authority_that_is_gone_is_told_of(world: World) -> None:
    chosen = await _identity(world)
    await world.store.delete(res.Key("Secret", "shop", "i-private-key"))
    with pytest.raises(errors.Unavailable, match="the CA of kri_mid_shop___i_ cannot be used"):
        await world.identities.by_identity(chosen, _proxy(labels={"kuma.io/workload": "web"}), ())
    with pytest.raises(
        errors.Unavailable, match=r"kri_mid_shop___i_ makes no SPIFFE ID for web-1: .*no label kuma\.io/workload"
    ):
        await world.identities.by_identity(chosen, _proxy(), ())
