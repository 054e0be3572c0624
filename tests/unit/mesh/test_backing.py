"""Who answers for a destination, and what a proxy that comes or goes changes about it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from kuma.base.kri import parse_kri
from kuma.mesh import view
from kuma.resources import conditions
from kuma.resources import resource as res
from tests.kit import targets, worlds

API = "kri_msvc_m_here__api_80"


def addresses(picture: view.MeshView, kri: str = API) -> list[tuple[str, int]]:
    return [(each.address, each.port) for each in picture.endpoints_of(parse_kri(kri)).endpoints]


@pytest.mark.parametrize(
    ("selector", "is_chosen"),
    [
        ({"dataplaneTags": {"kuma.io/service": "api"}}, True),
        ({"dataplaneTags": {"kuma.io/service": "api", "version": "v1"}}, True),
        ({"dataplaneTags": {"version": "v1"}}, True),
        ({"dataplaneTags": {"version": "v2"}}, False),
        ({"dataplaneTags": {"kuma.io/service": "api", "kuma.io/zone": "other"}}, False),
        ({"dataplaneTags": {"kuma.io/service": "api", "of": "another inbound"}}, False),
        ({"dataplaneTags": {"of": "another inbound"}}, True),
        ({"dataplaneTags": {}}, False),
        ({"dataplaneRef": {"name": "p"}}, True),
        ({"dataplaneRef": {"name": "q"}}, False),
        ({"dataplaneLabels": {"matchLabels": {"app": "a"}}}, True),
        ({"dataplaneLabels": {"matchLabels": {"app": "a", "team": "b"}}}, False),
        ({"dataplaneLabels": {}}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_proxies_that_a_selector_chooses(selector: Mapping[str, Any] | None, is_chosen: bool) -> None:
    other = targets.an_inbound("other", 81, {"of": "another inbound"})
    proxy = targets.a_proxy("p", targets.an_inbound(tags={"version": "v1"}), other, app="a")
    body = {"ports": [{"port": 80}], **({"selector": selector} if selector is not None else {})}
    service = worlds.resource({"type": "MeshService", "name": "api", "labels": targets.HERE, "spec": body})
    expected = [("10.0.0.1", 80)] if is_chosen else []
    assert addresses(targets.picture(service, proxy)) == expected
    assert addresses(targets.picture(proxy, service)) == expected


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ({"port": 80}, [80]),
        ({"port": 8000}, []),
        ({"port": 8000, "targetPort": 80}, [80]),
        ({"port": 8000, "targetPort": "main"}, [81]),
        ({"port": 80, "targetPort": "main"}, [81]),
        ({"port": 8000, "targetPort": "other"}, []),
        ({"port": 8000, "targetPort": 82}, []),
        ({"port": 8000, "targetPort": 83}, []),
    ],
)
def test_the_inbounds_that_a_port_leads_to(port: Mapping[str, Any], found: list[int]) -> None:
    proxy = targets.a_proxy(
        "p",
        targets.an_inbound(port=80),
        targets.an_inbound("other", 81, name="main"),
        targets.an_inbound(port=82, state="NotReady"),
        targets.an_inbound(port=83, state="Ignored"),
    )
    kri = f"kri_msvc_m_here__api_{port['port']}"
    assert [each for _, each in addresses(targets.picture(targets.a_service("api", port), proxy), kri)] == found


def test_an_endpoint_says_what_is_known_of_its_proxy() -> None:
    proxy = targets.a_proxy("p", targets.an_inbound(tags={"version": "v1", "kuma.io/zone": "here"}), app="a")
    (found,) = targets.picture(targets.a_service("api"), proxy).endpoints_of(parse_kri(API)).endpoints
    assert found.tags == (("kuma.io/zone", "here"), ("version", "v1"))
    assert found.labels == (("app", "a"),)
    assert (found.zone, found.weight, found.priority) == ("here", 1, 0)


def test_an_inbound_without_tags_is_in_the_zone_of_its_proxy() -> None:
    service = worlds.resource(
        {
            "type": "MeshService",
            "name": "api",
            "labels": targets.HERE,
            "spec": {"selector": {"dataplaneLabels": {"matchLabels": {"app": "a"}}}, "ports": [{"port": 80}]},
        }
    )
    proxy = targets.a_proxy("p", {"port": 80}, app="a", **{"kuma.io/zone": "here"})
    (found,) = targets.picture(service, proxy).endpoints_of(parse_kri(API)).endpoints
    assert (found.zone, found.tags) == ("here", ())


def test_a_proxy_that_joins_touches_its_destinations_alone() -> None:
    before = worlds.world([worlds.a_mesh(), targets.a_service("api"), targets.a_service("db")])
    after, touched = before.advance([view.Edit(targets.a_proxy("p", targets.an_inbound()))])
    assert touched.destinations == {("m", parse_kri(API))}
    assert touched.services == {("m", "api")}
    assert not touched.meshes
    untouched = parse_kri("kri_msvc_m_here__db_80")
    old, new = (each.meshes["m"].endpoints_of(untouched) for each in (before, after))
    assert old is new


def test_a_proxy_that_changes_nothing_about_its_endpoint_touches_no_destination() -> None:
    world = worlds.world([worlds.a_mesh(), targets.a_service("api"), targets.a_proxy("p", targets.an_inbound())])
    more = targets.a_proxy("p", targets.an_inbound(), targets.an_inbound("other", 81))
    _, touched = world.advance([view.Edit(more)])
    assert not touched.destinations
    assert touched.services == {("m", "other")}


def test_a_destination_that_nobody_knows_has_no_endpoints() -> None:
    assert addresses(targets.picture()) == []
    gone, _ = worlds.world(
        [worlds.a_mesh(), targets.a_service("api"), targets.a_proxy("p", targets.an_inbound())]
    ).advance([view.Edit(targets.a_service("api"), deleted=True)])
    assert addresses(gone.meshes["m"]) == []


def an_ingress(zone: str, address: str = "1.1.1.1", name: str = "", port: int = 10001) -> res.Resource[Any]:
    networking = {"address": "10.9.9.9", "port": port, "advertisedAddress": address, "advertisedPort": port}
    return worlds.resource({"type": "ZoneIngress", "name": name or f"i-{zone}", "zone": zone, "networking": networking})


def a_zone_address(zone: str, address: str) -> res.Resource[Any]:
    own = {"type": "MeshZoneAddress", "name": zone, "labels": {"kuma.io/zone": zone}}
    return worlds.resource({**own, "spec": {"address": address, "port": 1}})


REMOTE = targets.a_service("api-x", labels=targets.AWAY)
AWAY_API = "kri_msvc_m_away__api_80"


@pytest.mark.parametrize(
    ("ways", "found"),
    [
        ([], []),
        ([an_ingress("away")], [("1.1.1.1", 10001)]),
        ([an_ingress("elsewhere")], []),
        ([an_ingress("default")], []),
        ([an_ingress("")], []),
        ([an_ingress("away", "")], []),
        ([an_ingress("away"), an_ingress("away", name="twin")], [("1.1.1.1", 10001)]),
        ([an_ingress("away"), an_ingress("away", "1.1.1.2", "twin")], [("1.1.1.1", 10001), ("1.1.1.2", 10001)]),
        ([an_ingress("away"), a_zone_address("away", "2.2.2.2")], [("2.2.2.2", 1)]),
        ([an_ingress("away"), a_zone_address("elsewhere", "2.2.2.2")], [("1.1.1.1", 10001)]),
    ],
)
def test_the_ways_to_a_service_of_another_zone(ways: list[res.Resource[Any]], found: list[tuple[str, int]]) -> None:
    picture = targets.picture(REMOTE, *ways, mtls=worlds.BUILTIN)
    assert addresses(picture, AWAY_API) == found
    for each in picture.endpoints_of(parse_kri(AWAY_API)).endpoints:
        assert (each.zone, each.priority, each.tags) == ("away", 1, (("kuma.io/zone", "away"),))
    assert addresses(targets.picture(REMOTE, *ways), AWAY_API) == []


def test_no_proxy_of_this_zone_is_behind_a_service_of_another() -> None:
    picture = targets.picture(REMOTE, targets.a_proxy("p", targets.an_inbound("api-x")), mtls=worlds.BUILTIN)
    assert addresses(picture, AWAY_API) == []


def test_a_multi_zone_service_is_answered_for_by_all_its_services() -> None:
    down = targets.a_service("db", labels={**targets.AWAY, "kuma.io/display-name": "db"})
    up = targets.a_service("api-x", labels=targets.AWAY, state="Available")
    gathered = targets.a_gathering(("here", "api"), ("away", "api"), ("away", "db"), ("away", "missing"))
    world = worlds.world(
        [
            worlds.a_mesh(mtls=worlds.BUILTIN),
            gathered,
            targets.a_service("api"),
            up,
            down,
            an_ingress("away"),
            targets.a_proxy("p", targets.an_inbound()),
        ]
    )
    kri = "kri_mzsvc_m___all_80"
    assert addresses(world.meshes["m"], kri) == [("1.1.1.1", 10001), ("10.0.0.1", 80)]
    after, touched = world.advance([view.Edit(targets.a_proxy("q", targets.an_inbound(), address="10.0.0.2"))])
    assert addresses(after.meshes["m"], kri) == [("1.1.1.1", 10001), ("10.0.0.1", 80), ("10.0.0.2", 80)]
    assert {str(each) for _, each in touched.destinations} == {API, kri}


def test_a_mesh_external_service_is_reached_through_every_egress() -> None:
    def an_egress(name: str, address: str) -> res.Resource[Any]:
        return worlds.resource({"type": "ZoneEgress", "name": name, "networking": {"address": address, "port": 10002}})

    kri = "kri_extsvc_m_here__ext_443"
    world = worlds.world([worlds.a_mesh(), targets.an_external()])
    assert addresses(world.meshes["m"], kri) == []
    after, touched = world.advance([view.Edit(an_egress("b", "10.0.0.2")), view.Edit(an_egress("a", "10.0.0.1"))])
    assert addresses(after.meshes["m"], kri) == [("10.0.0.1", 10002), ("10.0.0.2", 10002)]
    assert after.meshes["m"].endpoints_of(parse_kri(kri)).is_external
    assert ("m", parse_kri(kri)) in touched.destinations


def test_an_egress_that_proves_to_be_another_touches_what_is_reached_through_it() -> None:
    def an_egress(workload: str) -> res.Resource[Any]:
        networking = {"address": "10.1.0.1", "listeners": [{"type": "ZoneEgress", "port": 11002}]}
        labels = {"kuma.io/workload": workload}
        return worlds.resource({"type": "Dataplane", "name": "egress", "labels": labels, "networking": networking})

    spec = {
        "selector": {"dataplane": {"matchLabels": {}}},
        "spiffeID": {"trustDomain": "td", "path": "/{{ .Workload }}"},
        "provider": {"type": "Spire", "spire": {}},
    }
    made = worlds.resource({"type": "MeshIdentity", "name": "all", "spec": spec})
    identity = dataclasses.replace(made, status=conditions.Status((conditions.Condition("Ready", "True", "", ""),)))
    world = worlds.world([worlds.a_mesh(), targets.an_external(), identity, an_egress("one")])
    assert world.meshes["m"].egress_ids == ("spiffe://td/one",)
    after, touched = world.advance([view.Edit(an_egress("other"))])
    assert after.meshes["m"].egress_ids == ("spiffe://td/other",)
    assert touched.destinations == {("m", parse_kri("kri_extsvc_m_here__ext_443"))}


def test_an_egress_of_the_mesh_goes_before_those_of_the_zone() -> None:
    def an_egress(state: str = "Ready") -> res.Resource[Any]:
        listeners = [
            {"type": "ZoneEgress", "port": 11002, "state": state},
            {"type": "ZoneIngress", "address": "10.1.0.2", "port": 11001},
        ]
        networking = {"address": "10.1.0.1", "listeners": listeners}
        return worlds.resource({"type": "Dataplane", "name": "egress", "networking": networking})

    of_zone = worlds.resource({"type": "ZoneEgress", "name": "e", "networking": {"address": "10.0.0.1", "port": 10002}})
    kri = "kri_extsvc_m_here__ext_443"
    world = worlds.world([worlds.a_mesh(), targets.an_external(), of_zone])
    world, touched = world.advance([view.Edit(an_egress())])
    assert addresses(world.meshes["m"], kri) == [("10.1.0.1", 11002)]
    assert touched.destinations == {("m", parse_kri(kri))}
    found = world.meshes["m"].destinations.of(parse_kri(kri))
    assert found is not None
    assert found.identities == ()
    for edit in (view.Edit(an_egress("NotReady")), view.Edit(an_egress(), deleted=True)):
        after, _ = world.advance([edit])
        assert addresses(after.meshes["m"], kri) == [("10.0.0.1", 10002)]
