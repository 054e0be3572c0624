"""Destinations: what a mesh's MeshServices and their like become, and what a reference to them means."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.base.kri import Kri, parse_kri
from kuma.mesh import destinations, view
from kuma.resources import resource as res
from tests.kit import targets, worlds


def of(made: view.MeshView, kri: str) -> destinations.Destination:
    found = made.destinations.of(parse_kri(kri))
    assert found is not None
    return found


def test_a_port_of_a_mesh_service() -> None:
    status = {"vips": [{"ip": "241.0.0.1"}], "addresses": [{"hostname": "api.mesh"}], "tls": {"status": "Ready"}}
    identities = [{"type": "ServiceTag", "value": "b"}, {"type": "SpiffeID", "value": "spiffe://a/b"}]
    port = {"name": "main", "port": 8080, "appProtocol": "grpc"}
    made = of(
        targets.picture(targets.a_service("api", port, identities=identities, status=status)),
        "kri_msvc_m_here__api_main",
    )
    assert (made.name, made.port, made.protocol) == ("m_api__here_msvc_8080", 8080, "grpc")
    assert (made.vips, made.hostnames) == (("241.0.0.1",), ("api.mesh",))
    assert made.identities == ("spiffe://a/b", "spiffe://m/b")
    assert made.is_tls_ready
    assert made.is_local
    assert not made.is_external


def test_a_mesh_external_service_is_reached_as_the_egress() -> None:
    egress = worlds.resource({"type": "ZoneEgress", "name": "e", "networking": {"address": "10.0.0.1", "port": 10002}})
    status = {"vip": {"ip": "242.0.0.1"}}
    plain, through = (
        targets.picture(targets.an_external(status=status)),
        targets.picture(egress, targets.an_external(status=status)),
    )
    made = of(plain, "kri_extsvc_m_here__ext_443")
    assert (made.name, made.vips, made.is_external) == ("m_ext__here_extsvc_443", ("242.0.0.1",), True)
    assert made.identities == ()
    assert of(through, "kri_extsvc_m_here__ext_443").identities == ("spiffe://m/zone-egress",)


def test_a_multi_zone_service_has_the_identities_of_all_its_services() -> None:
    services = [
        targets.a_service("a", identities=[{"type": "ServiceTag", "value": "a"}]),
        targets.a_service("b", identities=[{"type": "ServiceTag", "value": "b"}]),
    ]
    world = worlds.world([worlds.a_mesh(), targets.a_gathering(("here", "a"), ("here", "b")), *services])
    kri = parse_kri("kri_mzsvc_m___all_80")
    found = world.meshes["m"].destinations.of(kri)
    assert found is not None
    assert found.identities == ("spiffe://m/a", "spiffe://m/b")
    changed = targets.a_service("b", identities=[{"type": "ServiceTag", "value": "c"}])
    after, touched = world.advance([view.Edit(changed)])
    found = after.meshes["m"].destinations.of(kri)
    assert found is not None
    assert found.identities == ("spiffe://m/a", "spiffe://m/c")
    assert ("m", kri) in touched.destinations
    assert not touched.meshes


@pytest.mark.parametrize(
    ("labels", "name", "sni_name"),
    [
        ({}, "api", "api"),
        (targets.HERE, "api", "api"),
        ({**targets.HERE, "k8s.kuma.io/namespace": "ns"}, "api", "api.ns"),
        (targets.AWAY, "api-hash", "api"),
        ({**targets.AWAY, "k8s.kuma.io/namespace": "ns"}, "api-hash", "api.ns"),
    ],
)
def test_the_server_name_is_made_of_the_name_in_its_own_zone(
    labels: Mapping[str, str], name: str, sni_name: str
) -> None:
    made = next(targets.picture(targets.a_service(name, labels=labels)).destinations.all())
    assert made.sni.split(".", 1)[1] == f"{sni_name}.80.m.ms"


@pytest.mark.parametrize(
    ("labels", "status", "ready"),
    [
        (targets.HERE, "", False),
        (targets.HERE, "NotReady", False),
        (targets.HERE, "Ready", True),
        (targets.AWAY, "", True),
    ],
)
def test_who_is_ready_for_mutual_tls(labels: Mapping[str, str], status: str, ready: bool) -> None:
    backend = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin", "mode": "PERMISSIVE"}]}
    service = targets.a_service("api", labels=labels, status={"tls": {"status": status}} if status else None)
    made = targets.picture(service, mtls=backend)
    assert made.speaks_tls_to(next(made.destinations.all())) is ready
    assert targets.picture(service, mtls=worlds.BUILTIN).speaks_tls_to(next(made.destinations.all()))
    assert not targets.picture(service).speaks_tls_to(next(made.destinations.all()))


REFERRED = (
    targets.a_service("api", {"port": 80, "name": "web"}, {"port": 81}, labels={**targets.HERE, "team": "a"}),
    targets.a_service("api-away", {"port": 80}, labels={**targets.AWAY, "team": "a"}),
    targets.a_service(
        "db", {"port": 80}, labels={"k8s.kuma.io/namespace": "ns", "kuma.io/zone": "here", "kuma.io/display-name": "db"}
    ),
    targets.an_external(),
)
ALL_OF_API = ["kri_msvc_m_here__api_web", "kri_msvc_m_here__api_81"]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"name": "api"}, ALL_OF_API),
        ({"name": "api", "section": "web"}, ALL_OF_API[:1]),
        ({"name": "api", "section": "80"}, ALL_OF_API[:1]),
        ({"name": "api", "section": "82"}, []),
        ({"name": "api-away"}, []),
        ({"name": "db"}, []),
        ({"name": "db", "namespace": "ns"}, ["kri_msvc_m_here_ns_db_80"]),
        ({"name": "db_ns_svc_80"}, ["kri_msvc_m_here_ns_db_80"]),
        ({"name": "db_ns_svc"}, ["kri_msvc_m_here_ns_db_80"]),
        ({"name": "db_ns_svc_81"}, []),
        ({"name": "db_ns_svc_80", "section": "80"}, []),
        ({"labels": (("team", "a"),)}, [*ALL_OF_API, "kri_msvc_m_away__api_80"]),
        ({"labels": (("team", "a"),), "section": "80"}, [ALL_OF_API[0], "kri_msvc_m_away__api_80"]),
        ({"labels": (("team", "a"), ("kuma.io/zone", "away"))}, ["kri_msvc_m_away__api_80"]),
        ({"kind": "MeshExternalService", "name": "ext"}, ["kri_extsvc_m_here__ext_443"]),
        ({"kind": "MeshSubset"}, []),
    ],
)
def test_what_a_reference_means(reference: Mapping[str, Any], found: list[str]) -> None:
    index = targets.picture(*REFERRED).destinations
    wanted = destinations.Reference(**{"kind": "MeshService", **reference})
    assert [str(each.kri) for each in index.resolve(wanted, Kri("mt", "m", "here", "", "policy"))] == found


def test_a_reference_to_one_destination_means_the_oldest() -> None:
    old = {
        "type": "MeshService",
        "mesh": "m",
        "name": "z",
        "labels": {"team": "a"},
        "creationTime": "2020-01-01T00:00:00Z",
    }
    young = {**old, "name": "a", "creationTime": "2021-01-01T00:00:00Z"}
    made = targets.picture(*(worlds.resource({**each, "spec": {"ports": [{"port": 80}]}}) for each in (young, old)))
    reference = destinations.Reference("MeshService", labels=(("team", "a"),))
    found = made.destinations.one(reference, Kri("dp", "m"))
    assert found is not None
    assert found.kri.name == "z"


def test_of_two_resources_with_one_kri_the_first_by_name_counts_until_it_is_gone() -> None:
    named = {**targets.HERE, "kuma.io/display-name": "api"}
    first, second = targets.a_service("a", {"port": 1}, labels=named), targets.a_service("b", {"port": 2}, labels=named)
    world = worlds.world([worlds.a_mesh(), second, first])
    ports = [each.port for each in world.meshes["m"].destinations.all()]
    assert ports == [1]
    after, _ = world.advance([view.Edit(first, deleted=True)])
    assert [each.port for each in after.meshes["m"].destinations.all()] == [2]


def test_a_resource_that_gets_another_kri_leaves_nothing_behind() -> None:
    world = worlds.world([worlds.a_mesh(), targets.a_service("a")])
    moved = targets.a_service("a", labels={**targets.HERE, "k8s.kuma.io/namespace": "ns"})
    after, touched = world.advance([view.Edit(moved)])
    assert [str(each.kri) for each in after.meshes["m"].destinations.all()] == ["kri_msvc_m_here_ns_a_80"]
    assert {str(kri) for _, kri in touched.destinations} == {"kri_msvc_m_here__a_80", "kri_msvc_m_here_ns_a_80"}


COUNTED = {"dataplaneProxies": {"connected": 1, "healthy": 1, "total": 1}}
CERTIFIED = {"tls": {"status": "Ready"}}
ADDRESSED = {"vips": [{"ip": "241.0.0.1"}]}


@pytest.mark.parametrize(
    ("edit", "meshes", "kris"),
    [
        (targets.a_service("api", status=COUNTED), set(), set()),
        (targets.a_service("api", status=CERTIFIED), set(), {"kri_msvc_m_here__api_80"}),
        (targets.a_service("api", status=ADDRESSED), {"m"}, {"kri_msvc_m_here__api_80"}),
        (targets.a_service("api", labels={**targets.HERE, "team": "a"}), {"m"}, set()),
        (targets.a_service("api", {"port": 80, "appProtocol": "http"}), set(), {"kri_msvc_m_here__api_80"}),
        (targets.a_service("new"), {"m"}, {"kri_msvc_m_here__new_80"}),
    ],
)
def test_a_change_touches_what_it_must(edit: res.Resource[Any], meshes: set[str], kris: set[str]) -> None:
    before = worlds.world([worlds.a_mesh(), targets.a_service("api")])
    after, touched = before.advance([view.Edit(edit)])
    assert touched.meshes == meshes
    assert {str(kri) for _, kri in touched.destinations} == kris
    old, new = (each.meshes["m"].destinations.resources("MeshService") for each in (before, after))
    assert (old is new) is not bool(meshes or kris)
