"""What stands outside the zone under a `kuma.io/service`: other zones' services, and external ones."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.mesh import endpoints, view
from kuma.resources import resource as res
from tests.kit import worlds

LOCAL_FIRST = {"localityAwareLoadBalancing": True}
THROUGH_EGRESS = {"zoneEgress": True}


def an_ingress(
    name: str, *services: Mapping[str, Any], zone: str = "away", address: str = "1.1.1.1"
) -> res.Resource[Any]:
    networking = {"address": "10.9.9.9", "port": 10001, "advertisedAddress": address, "advertisedPort": 10001}
    own = {"type": "ZoneIngress", "name": name, "zone": zone, "networking": networking}
    return worlds.resource({**own, "availableServices": list(services)})


def offered(service: str, instances: int, mesh: str = "m", **tags: str) -> dict[str, Any]:
    return {"mesh": mesh, "instances": instances, "tags": {"kuma.io/service": service, "kuma.io/zone": "away", **tags}}


def an_external(name: str = "ext", address: str = "example.com:443", **networking: Any) -> res.Resource[Any]:
    tags = {"kuma.io/service": "ext", "kuma.io/protocol": "http"}
    own = {"type": "ExternalService", "name": name, "tags": tags}
    return worlds.resource({**own, "networking": {"address": address, **networking}})


EGRESS = worlds.resource({"type": "ZoneEgress", "name": "e", "networking": {"address": "10.0.0.9", "port": 10002}})


def of(service: str, *resources: res.Resource[Any], routing: Mapping[str, Any] | None = None) -> endpoints.Service:
    mesh = worlds.a_mesh(mtls=worlds.BUILTIN, routing=dict(routing or {}))
    return worlds.world([mesh, *resources]).meshes["m"].endpoints.of(service)


def places(service: endpoints.Service) -> list[tuple[str, int, int, int]]:
    return [(each.address, each.port, each.weight, each.priority) for each in service.endpoints]


HERE = worlds.a_dataplane("p", "api", address="10.0.0.1", tags={"kuma.io/zone": "default"})
TWO_WAYS = (an_ingress("i", offered("api", 3)), an_ingress("j", offered("api", 3), address="1.1.1.2"))


@pytest.mark.parametrize(
    ("resources", "routing", "found"),
    [
        ([an_ingress("i", offered("api", 3))], {}, [("1.1.1.1", 10001, 3, 0), ("10.0.0.1", 8080, 1, 0)]),
        ([an_ingress("i", offered("api", 3))], LOCAL_FIRST, [("1.1.1.1", 10001, 3, 1), ("10.0.0.1", 8080, 1, 0)]),
        ([an_ingress("i", offered("api", 3, mesh="other"))], {}, [("10.0.0.1", 8080, 1, 0)]),
        ([an_ingress("i", offered("api", 3), zone="default")], {}, [("10.0.0.1", 8080, 1, 0)]),
        (TWO_WAYS, {}, [("1.1.1.1", 10001, 3, 0), ("1.1.1.2", 10001, 3, 0), ("10.0.0.1", 8080, 2, 0)]),
        (
            [an_ingress("i", offered("api", 3)), an_ingress("twin", offered("api", 3))],
            {},
            [("1.1.1.1", 10001, 3, 0), ("10.0.0.1", 8080, 1, 0)],
        ),
        (
            [an_ingress("empty"), an_ingress("twin", offered("api", 3))],
            {},
            [("1.1.1.1", 10001, 3, 0), ("10.0.0.1", 8080, 1, 0)],
        ),
        (
            [EGRESS, an_ingress("i", offered("api", 3))],
            THROUGH_EGRESS,
            [("10.0.0.1", 8080, 1, 0), ("10.0.0.9", 10002, 1, 0)],
        ),
        ([an_ingress("i", offered("api", 3))], THROUGH_EGRESS, [("10.0.0.1", 8080, 1, 0)]),
    ],
)
def test_services_of_other_zones(
    resources: list[res.Resource[Any]], routing: Mapping[str, Any], found: list[tuple[str, int, int, int]]
) -> None:
    assert places(of("api", HERE, *resources, routing=routing)) == found


def test_there_is_no_way_into_another_zone_without_mutual_tls() -> None:
    plain = worlds.world([worlds.a_mesh(), HERE, *TWO_WAYS]).meshes["m"].endpoints.of("api")
    assert places(plain) == [("10.0.0.1", 8080, 1, 0)]


def test_an_external_service_is_dialled_directly() -> None:
    found = of("ext", an_external(), an_external("other", "[2001:db8::1]:80", tls={"enabled": True}))
    assert found.is_external
    assert found.is_direct
    assert found.protocol == "http"
    assert [(each.address, each.port) for each in found.endpoints] == [("2001:db8::1", 80), ("example.com", 443)]
    assert [dict(each.tags).get("kuma.io/external-service-name") for each in found.endpoints] == ["other", None]


def test_an_external_service_is_reached_through_the_egress_where_the_mesh_says_so() -> None:
    found = of("ext", EGRESS, an_external(tls={"enabled": True}), routing=THROUGH_EGRESS)
    assert places(found) == [("10.0.0.9", 10002, 1, 0)]
    assert found.is_external
    assert not found.is_direct


def test_an_address_that_cannot_be_read_is_refused_and_hides_nothing() -> None:
    edits = [view.Edit(each) for each in (worlds.a_mesh(), an_external(address="nowhere"), an_external("good"))]
    world, touched = worlds.world([]).advance(edits)
    assert [each.resource.meta.name for each, _ in touched.refused] == ["ext"]
    assert len(world.meshes["m"].endpoints.of("ext").endpoints) == 1


def test_part_of_a_service() -> None:
    v1 = worlds.a_dataplane("a", "api", address="10.0.0.1", tags={"version": "v1"})
    v2 = worlds.a_dataplane("b", "api", address="10.0.0.2", tags={"version": "v2"})
    index = worlds.world([worlds.a_mesh(), v1, v2]).meshes["m"].endpoints
    part = index.of("api", {"kuma.io/service": "api", "version": "v2"})
    assert [each.address for each in part.endpoints] == ["10.0.0.2"]
    assert part.protocol == index.of("api").protocol
    assert index.of("api", {"version": "v3"}).endpoints == ()


@pytest.mark.parametrize(
    ("edit", "meshes", "services"),
    [
        (an_ingress("i", offered("api", 3), offered("new", 1)), set(), {("m", "new")}),
        (an_ingress("i", offered("api", 4)), set(), {("m", "api")}),
        (an_ingress("i", offered("api", 3)), set(), set()),
        (an_ingress("i", offered("api", 3), offered("new", 1, mesh="other")), set(), {("other", "new")}),
        (EGRESS, {"m"}, set()),
        (an_external(), set(), {("m", "ext")}),
    ],
)
def test_a_change_outside_touches_what_it_must(
    edit: res.Resource[Any], meshes: set[str], services: set[tuple[str, str]]
) -> None:
    world = worlds.world([worlds.a_mesh(mtls=worlds.BUILTIN), HERE, an_ingress("i", offered("api", 3))])
    _, touched = world.advance([view.Edit(edit)])
    assert touched.meshes == meshes
    assert touched.services == services


def test_another_way_out_touches_all_services_whose_proxies_weigh_more_now() -> None:
    world = worlds.world([worlds.a_mesh(mtls=worlds.BUILTIN), HERE, TWO_WAYS[0]])
    _, touched = world.advance([view.Edit(an_ingress("j", offered("db", 1), address="1.1.1.2"))])
    assert touched.services == {("m", "api"), ("m", "db")}
