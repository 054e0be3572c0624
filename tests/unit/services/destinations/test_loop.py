"""The loop that keeps destinations current: what a change of the store makes of the store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from kuma.base import errors, labels
from kuma.resources import dns_vips
from kuma.resources import resource as res
from kuma.resources.kinds import meshservice, statuses
from kuma.services.destinations import (
    drafting,
    generation,
    legacy_vips,
    loop,
    picture,
    standing,
    virtual_addresses,
)
from kuma.services.rules import role as roles
from kuma.store import protocol
from tests.kit import destinations as kit

WEB = kit.inbound()
JOB = {"kuma.io/workload": "job"}
CONFIG = "kuma-m-dns-vips"
MTLS = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}


def created(name: str) -> Any:
    return lambda change: change.op is protocol.Op.CREATED and change.resource.meta.name == name


async def vip_of(zone: kit.Zone, name: str, kind: str = "MeshService") -> str:
    found: Any = await zone.get(kind, name)
    return str(found.status.vips[0].ip if kind != "MeshExternalService" else found.status.vip.ip)


def external(name: str = "ext") -> res.Resource[Any]:
    labels = {"kuma.io/origin": "zone"}
    return kit.resource("MeshExternalService", name, {"labels": labels, "spec": {"match": {"port": 443}}})


def several() -> res.Resource[Any]:
    selector = {"meshService": {"matchLabels": {"kuma.io/display-name": "web"}}}
    return kit.resource("MeshMultiZoneService", "all", {"spec": {"selector": selector, "ports": [{"port": 80}]}})


async def test_a_proxy_joins_and_its_service_is_written_once_and_whole() -> None:
    zone = await kit.Zone().prepare()
    async with zone.running():
        since = zone.store.revision()
        await zone.add(kit.proxy("web-1", WEB, labels=JOB))
        await zone.until("MeshService", created("web"), since)
        await zone.until("Workload", created("job"), since)
        await zone.until("Config", created(CONFIG), since)
    found: Any = await zone.get("MeshService", "web")
    assert found.meta.creation_time == found.meta.modification_time
    assert (found.spec.state, found.spec.identities[0].value) == ("Available", "web")
    assert (found.status.vips[0].ip, kit.hostnames(found)) == ("241.0.0.0", ["web.svc.mesh.local"])
    assert found.status.dataplane_proxies.total == 1


async def test_what_is_current_is_not_written_again() -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB, labels=JOB), external(), several())
    await zone.write()
    before = zone.store.revision()
    await zone.write()
    assert zone.store.revision() == before


async def test_addresses_follow_the_order_of_names_and_outlive_a_restart() -> None:
    zone = await kit.Zone().prepare(*(kit.proxy(name, kit.inbound(name)) for name in ("c", "a", "b")), external())
    await zone.add(several())
    await zone.write()
    assert [await vip_of(zone, name) for name in "abc"] == ["241.0.0.0", "241.0.0.1", "241.0.0.2"]
    assert await vip_of(zone, "ext", "MeshExternalService") == "242.0.0.0"
    assert await vip_of(zone, "all", "MeshMultiZoneService") == "243.0.0.0"
    await zone.store.delete(res.Key("MeshService", "m", "b"))
    await zone.store.delete(res.Key("Dataplane", "m", "b"))
    await zone.add(kit.proxy("0", kit.inbound("d")))
    await zone.write()
    assert [await vip_of(zone, name) for name in "acd"] == ["241.0.0.0", "241.0.0.2", "241.0.0.1"]


async def test_many_services_are_numbered_in_the_order_of_their_names() -> None:
    """More than are drafted at once; an address that somebody has is not given again, wherever its owner comes."""
    names = [f"svc-{number:03}" for number in range(120)]
    held = kit.service({}, "zzz")
    held = replace(held, status=meshservice.MeshServiceStatus(vips=(statuses.Vip("241.0.0.5"),)))
    zone = await kit.Zone().prepare(held, *(kit.proxy(name, kit.inbound(name)) for name in names))
    await zone.write()
    given = [int((await vip_of(zone, name)).rpartition(".")[2]) for name in names]
    assert given == [number for number in range(121) if number != 5]


async def test_who_finds_no_address_has_the_next_one_that_is_free() -> None:
    cidrs = {**drafting.Settings().cidrs, "MeshService": "241.0.0.0/31"}
    zone = await kit.Zone(cidrs=cidrs).prepare(*(kit.service({}, name) for name in "abc"))
    async with zone.running():
        await zone.until("MeshService", lambda change: virtual_addresses.vip_of(change.resource) == "241.0.0.1", 0)
        since = zone.store.revision()
        await zone.store.delete(res.Key("MeshService", "m", "a"))
        await zone.until("MeshService", lambda change: change.resource.meta.name == "c", since)
    assert await vip_of(zone, "c") == "241.0.0.0"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("Disabled", []), ("Everywhere", ["web"]), ("ReachableBackends", ["web"]), ("Exclusive", ["web"])],
)
async def test_the_mesh_says_whether_services_are_made(mode: str, expected: list[str]) -> None:
    zone = await kit.Zone(mode).prepare(kit.proxy("web-1", WEB))
    await zone.write()
    assert await zone.names("MeshService") == expected


async def test_services_go_at_once_when_the_mesh_no_longer_wants_them() -> None:
    own = kit.service({"ports": [{"port": 1}]}, "mine")
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB), own)
    await zone.write()
    assert await zone.names("MeshService") == ["mine", "web"]
    current: Any = await zone.get("Mesh", "m", "")
    off = kit.resource("Mesh", "m", {"meshServices": {"mode": "Disabled"}}, mesh="").spec
    async with zone.running():
        since = zone.store.revision()
        await zone.store.update(replace(current, spec=off))
        await zone.until("MeshService", lambda change: change.op is protocol.Op.DELETED, since)
    assert await zone.names("MeshService") == ["mine"]


async def test_on_kubernetes_nobody_makes_services_and_workloads_here() -> None:
    zone = kit.Zone(role=roles.Role(environment="kubernetes"))
    await zone.prepare(kit.proxy("web-1", WEB, labels=JOB), kit.service({"selector": {"dataplaneTags": {}}}, "mine"))
    await zone.write()
    assert await zone.names("MeshService") == ["mine"]
    assert await zone.names("Workload") == []
    assert await vip_of(zone, "mine") == "241.0.0.0"


async def test_a_service_outlives_its_proxies_for_the_grace_period() -> None:
    zone = await kit.Zone(grace=timedelta(minutes=1)).prepare(kit.proxy("web-1", WEB))
    await zone.write()
    await zone.store.delete(res.Key("Dataplane", "m", "web-1"))
    await zone.write()
    waning: Any = await zone.get("MeshService", "web")
    assert (waning.spec.state, waning.meta.labels[labels.DELETION_GRACE]) == ("Unavailable", "2026-01-01T00:00:00Z")
    zone.now += timedelta(seconds=59, milliseconds=990)
    async with zone.running():
        since = zone.store.revision()
        zone.now += timedelta(seconds=1)
        await zone.until("MeshService", lambda change: change.op is protocol.Op.DELETED, since)


async def test_services_of_users_get_their_standing_and_keep_their_spec() -> None:
    own = kit.service({"selector": {"dataplaneLabels": {"matchLabels": {"team": "a"}}}, "ports": [{"port": 1}]}, "mine")
    zone = await kit.Zone("Disabled").prepare(own, kit.proxy("web-1", WEB))
    await zone.write()
    async with zone.running():
        since = zone.store.revision()
        await zone.add(kit.proxy("a-1", kit.inbound(port=1), labels={"team": "a"}))
        await zone.until("MeshService", lambda change: change.resource.spec.state == "Available", since)
        since = zone.store.revision()
        await zone.store.delete(res.Key("Dataplane", "m", "a-1"))
        await zone.until("MeshService", lambda change: change.resource.spec.state == "Unavailable", since)
    found: Any = await zone.get("MeshService", "mine")
    assert (found.spec.ports, found.spec.selector) == (own.spec.ports, own.spec.selector)


async def test_services_of_other_zones_get_names_and_addresses_alone() -> None:
    labels = {"kuma.io/origin": "global", "kuma.io/zone": "west", "kuma.io/env": "universal"}
    distant = kit.service({"state": "Available", "selector": {"dataplaneTags": {"kuma.io/service": "web"}}}, **labels)
    zone = await kit.Zone("Disabled").prepare(distant)
    await zone.add(kit.resource("HostnameGenerator", "g", {"spec": GLOBAL_NAMES}, mesh=""))
    await zone.write()
    found: Any = await zone.get("MeshService", "web")
    assert found.spec == distant.spec
    assert (found.status.vips[0].ip, kit.hostnames(found)) == ("241.0.0.0", ["web.west"])
    assert found.status.tls.status == ""


GLOBAL_NAMES = {
    "selector": {"meshService": {"matchLabels": {"kuma.io/origin": "global"}}},
    "template": "{{ .DisplayName }}.{{ .Zone }}",
}


async def test_a_generator_that_comes_names_what_is_there() -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB))
    await zone.write()
    async with zone.running():
        since = zone.store.revision()
        own = {"selector": {"meshService": {}}, "template": "{{ .DisplayName }}.shop"}
        await zone.add(kit.resource("HostnameGenerator", "shop", {"spec": own}, mesh=""))
        await zone.until("MeshService", lambda change: len(kit.hostnames(change.resource)) == 2, since)


async def test_the_next_service_gets_a_name_that_became_free() -> None:
    zone = await kit.Zone("Disabled").prepare(kit.service({}, "a"), kit.service({}, "b"))
    own = {"selector": {"meshService": {}}, "template": "one.shop"}
    await zone.add(kit.resource("HostnameGenerator", "shop", {"spec": own}, mesh=""))
    await zone.write()
    assert (kit.hostnames(await zone.get("MeshService", "a")), kit.hostnames(await zone.get("MeshService", "b"))) == (
        ["one.shop"],
        [],
    )
    async with zone.running():
        since = zone.store.revision()
        await zone.store.delete(res.Key("MeshService", "m", "a"))
        await zone.until("MeshService", lambda change: kit.hostnames(change.resource) == ["one.shop"], since + 1)


async def test_a_certificate_makes_tls_ready() -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB), mtls=MTLS)
    await zone.write()
    async with zone.running():
        since = zone.store.revision()
        await zone.add(kit.insight("web-1", certificate=True))
        await zone.until("MeshService", lambda change: change.resource.status.tls.status == "Ready", since)
        await zone.until("MeshService", lambda change: change.resource.status.dataplane_proxies.connected == 1, since)


async def test_counts_alone_wait_for_more() -> None:
    """With an hour to settle the second proxy is not counted; what others depend on is written at once."""
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB, labels=JOB))
    await zone.write()
    async with zone.running(settle=3600.0):
        since = zone.store.revision()
        await zone.add(kit.proxy("web-2", WEB, labels=JOB))
        await zone.add(kit.proxy("api-1", kit.inbound("api")))
        await zone.until("MeshService", created("api"), since)
        found: Any = await zone.get("MeshService", "web")
        assert found.status.dataplane_proxies.total == 1
        await zone.add(kit.proxy("web-3", WEB, kit.inbound("also", 1)))
        await zone.until("MeshService", lambda change: len(change.resource.spec.identities) == 2, since)
    found = await zone.get("MeshService", "web")
    assert found.status.dataplane_proxies.total == 3


def test_counters_of_an_insight_make_no_work() -> None:
    own = picture.Picture(roles.Role())
    for each in (kit.service({"selector": {"dataplaneTags": {}}}), kit.proxy("web-1", WEB), kit.insight("web-1")):
        own.take(protocol.Op.CREATED, each)
    assert own.take_due()
    seen = kit.insight("web-1")
    spec = msgspec.structs.replace(seen.spec, metadata={"version": {}})
    own.take(protocol.Op.UPDATED, replace(seen, spec=spec))
    assert not own.due
    own.take(protocol.Op.UPDATED, kit.insight("web-1", online=False))
    assert own.due.services == {res.Key("MeshService", "m", "web")}


async def test_a_multi_zone_service_finds_services_as_they_come_and_go() -> None:
    zone = await kit.Zone().prepare(several())
    await zone.write()
    async with zone.running():
        since = zone.store.revision()
        await zone.add(kit.proxy("web-1", WEB))
        await zone.until("MeshMultiZoneService", lambda change: len(change.resource.status.mesh_services) == 1, since)
        since = zone.store.revision()
        await zone.store.delete(res.Key("Dataplane", "m", "web-1"))
        await zone.store.delete(res.Key("MeshService", "m", "web"))
        await zone.until(
            "MeshMultiZoneService", lambda change: change.resource.status.conditions[0].status == "False", since
        )


async def test_legacy_addresses_belong_to_the_mesh_and_stay() -> None:
    zone = await kit.Zone("Disabled").prepare(kit.proxy("web-1", WEB), kit.proxy("off", kit.inbound(state="Ignored")))
    await zone.write()
    first: Any = await zone.get("Config", CONFIG, "")
    await zone.add(kit.proxy("api-1", kit.inbound("api")))
    await zone.write()
    later: Any = await zone.get("Config", CONFIG, "")
    known = dns_vips.parse(later.spec.config)
    assert [(each.name, value.address) for each, value in known.items()] == [("api", "240.0.0.1"), ("web", "240.0.0.0")]
    assert dns_vips.parse(first.spec.config).items() <= known.items()
    await zone.store.delete(res.Key("Mesh", "", "m"))
    assert await zone.get("Config", CONFIG, "") is None


async def test_services_that_other_zones_offer_have_legacy_addresses() -> None:
    def ingress(zone: str, service: str) -> res.Resource[Any]:
        offered = [{"mesh": "m", "tags": {"kuma.io/service": service}}, {"mesh": "n", "tags": {"kuma.io/service": "x"}}]
        return kit.resource("ZoneIngress", f"in-{zone}", {"zone": zone, "availableServices": offered}, mesh="")

    zone = await kit.Zone().prepare(ingress("west", "far"), ingress("default", "near"))
    await zone.write()
    found: Any = await zone.get("Config", CONFIG, "")
    assert [each.name for each in dns_vips.parse(found.spec.config)] == ["far"]


async def test_a_table_in_the_other_form_is_read_and_written_back_only_when_it_changes() -> None:
    addresses = legacy_vips.Addresses(legacy_vips.Settings(cidr="240.9.0.0/16", tag_first=True))
    text = addresses.updated(legacy_vips.Sources(tags=[{"kuma.io/service": "web"}]))
    stored = kit.resource("Config", CONFIG, {"config": text}, mesh="")
    zone = await kit.Zone("Disabled").prepare(kit.proxy("web-1", WEB), stored)
    await zone.write()
    same: Any = await zone.get("Config", CONFIG, "")
    assert same.spec.config == text
    await zone.add(kit.proxy("api-1", kit.inbound("api")))
    await zone.write()
    found: Any = await zone.get("Config", CONFIG, "")
    assert {each.name: value.address for each, value in dns_vips.parse(found.spec.config).items()} == {
        "web": "240.9.0.0",
        "api": "240.0.0.0",
    }
    assert found.spec.config.startswith('{"0:api"')


async def test_a_table_that_cannot_be_read_is_left_alone_and_counted() -> None:
    odd = kit.resource("Config", CONFIG, {"config": "nonsense"}, mesh="")
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB), odd)
    await zone.write()
    found: Any = await zone.get("Config", CONFIG, "")
    assert (found.spec.config, await zone.names("MeshService")) == ("nonsense", ["web"])
    assert zone.measures.failures


async def test_kinds_that_are_switched_off_are_not_made() -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB, labels=JOB))
    some = type(kit.CATALOG)(each for each in kit.CATALOG if each.name not in ("MeshService", "Workload"))
    own = loop.DestinationLoop(zone.store, some, zone.role, zone.settings, lambda: zone.now, zone.measures)
    await own.write_all()
    assert await zone.names("MeshService") == await zone.names("Workload") == []


class _Store:
    """Another store underneath, with one trouble."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.fails: list[Exception] = []
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        if self.fails and resource.kind.name == "MeshService":
            raise self.fails.pop()
        created: res.Resource[Any] = await self._inner.create(resource, owner)
        return created

    def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        if self.lost:
            self.lost -= 1
            raise errors.Conflict("too far behind")
        followed: AsyncIterator[protocol.Change] = self._inner.watch(since)
        return followed


@pytest.mark.parametrize("trouble", [errors.Conflict("x"), errors.AlreadyExists("x"), errors.Unavailable("x")])
async def test_what_could_not_be_written_is_tried_again(trouble: Exception) -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB))
    store = _Store(zone.store)
    store.fails = [trouble, trouble]
    zone.store = store  # type: ignore[assignment]
    async with zone.running():
        await zone.until("MeshService", created("web"), 0)
    assert not store.fails


async def test_the_loop_starts_over_when_it_was_left_behind() -> None:
    zone = await kit.Zone().prepare()
    inner, store = zone.store, _Store(zone.store)
    store.lost = 2
    zone.store = store  # type: ignore[assignment]
    async with zone.running():
        zone.store = inner
        await zone.add(kit.proxy("web-1", WEB))
        await zone.until("MeshService", created("web"), 0)
    assert not store.lost


async def test_the_loop_ends_with_the_store() -> None:
    zone = await kit.Zone().prepare()
    running = asyncio.create_task(zone.loop().run())
    await zone.until("HostnameGenerator", lambda change: True, 0)
    await zone.store.close()
    async with asyncio.timeout(5):
        await running


async def test_the_stages_are_timed_by_the_names_of_kuma() -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB, labels=JOB))
    await zone.write()
    assert set(zone.measures.stages) == {
        "meshservice_generator",
        "ms_status_updater",
        "mzms_status_updater",
        "vip_allocator",
        "hostname_generator",
        "workload_generator",
        "workload_status_updater",
    }


async def test_a_draft_that_fails_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = standing.with_standing

    def faulty(service: Any, *rest: Any) -> Any:
        if service.meta.name == "api":
            raise ValueError("odd")
        return whole(service, *rest)

    monkeypatch.setattr(standing, "with_standing", faulty)
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB), kit.proxy("api-1", kit.inbound("api")))
    await zone.write()
    assert await zone.names("MeshService") == ["web"]


async def test_a_service_whose_draft_fails_keeps_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = await kit.Zone().prepare(kit.proxy("web-1", WEB))
    await zone.write()
    desired = generation.desired

    def fail(key: res.Key, *rest: Any) -> Any:
        if key.name == "web":
            raise ValueError("odd")
        return desired(key, *rest)

    monkeypatch.setattr(generation, "desired", fail)
    await zone.add(kit.proxy("0", kit.inbound("other")))
    await zone.write()
    assert (await vip_of(zone, "web"), await vip_of(zone, "other")) == ("241.0.0.0", "241.0.0.1")


async def test_what_cannot_be_read_keeps_nothing_else() -> None:
    spec = {"selector": {"dataplane": {}}, "spiffeID": {"path": "{{"}, "provider": {"type": "Spire", "spire": {}}}
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}]}
    odd = kit.resource("MeshIdentity", "odd", {"spec": spec, "status": status})
    zone = await kit.Zone().prepare(odd, kit.proxy("web-1", WEB))
    await zone.write()
    assert await zone.names("MeshService") == ["web"]
