"""A control plane as a global one and as a zone of one: who may write what, and which ports are there.

Synchronisation between them is not in force, so each of them stands alone.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import planes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MESH = {"type": "Mesh", "name": "shop"}
TRAFFIC_PERMISSION = {
    "type": "TrafficPermission",
    "mesh": "default",
    "name": "everybody",
    "sources": [{"match": {"kuma.io/service": "*"}}],
    "destinations": [{"match": {"kuma.io/service": "*"}}],
}
DATAPLANE = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web",
    "networking": {"address": "127.0.0.1", "inbound": [{"port": 1, "tags": {"kuma.io/service": "web"}}]},
}
WARNING = "synchronisation between control planes (KDS) is not in force yet"


@pytest.fixture
def plane(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[planes.Plane]:
    made = planes.Plane(tmp_path, **request.param)
    try:
        yield made.start()
    finally:
        made.end()


def log_of(plane: planes.Plane) -> str:
    assert plane.program is not None
    return plane.program.text()


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("plane", [{"MODE": "global"}], indirect=True)
def test_a_global_control_plane_takes_what_is_for_zones_and_serves_no_proxies(plane: planes.Plane) -> None:
    assert plane.call("PUT", "/meshes/shop", MESH).status == 201
    assert plane.call("PUT", "/meshes/default/traffic-permissions/everybody", TRAFFIC_PERMISSION).status == 201
    refused = plane.call("PUT", "/meshes/default/dataplanes/web", DATAPLANE)
    assert (refused.status, refused.document["title"]) == (405, "Method not allowed")
    assert refused.document["detail"].startswith("On global control plane you can not modify dataplane resources")
    assert plane.call("GET", "/meshes/default/dataplanes/web/_config").status == 405
    assert plane.get("/")["product"] == "Kuma"
    assert plane.get("/config")["mode"] == "global"
    assert plane.get("/meshes")["total"] == 2
    assert plane.get("/zones")["total"] == 0
    assert plane.metric("leader", zone="Global") == 1
    assert can_connect(plane.api_port)
    assert not can_connect(plane.dp_port)
    assert log_of(plane).count(WARNING) == 1
    assert plane.end() == 0


@pytest.mark.parametrize("plane", [{"STORE_TYPE": "sqlite", "MULTIZONE_ZONE_NAME": "east"}], indirect=True)
def test_a_zone_that_joins_keeps_what_it_has_and_leaves_meshes_to_the_global_one(plane: planes.Plane) -> None:
    """A zone writes anything until it has a global address; from then on what zones originate, and nothing else."""
    assert WARNING not in log_of(plane)
    assert plane.call("PUT", "/meshes/shop", MESH).status == 201
    assert plane.end() == 0

    plane.join("grpcs://127.0.0.1:1")
    plane.start()
    assert log_of(plane).count(WARNING) == 1
    assert {each["name"] for each in plane.get("/meshes")["items"]} == {"default", "shop"}
    assert plane.call("PUT", "/meshes/default/dataplanes/web", DATAPLANE).status == 201
    shown = plane.get("/meshes/default/dataplanes/web")["networking"]["inbound"][0]["tags"]
    assert shown["kuma.io/zone"] == "east"
    for path, document in (
        ("/meshes/more", {**MESH, "name": "more"}),
        ("/meshes/default/traffic-permissions/everybody", TRAFFIC_PERMISSION),
    ):
        refused = plane.call("PUT", path, document)
        assert (refused.status, refused.document["title"]) == (405, "Method not allowed")
        assert refused.document["detail"].startswith("On zone control plane you can only modify zone resources")
    assert [each["name"] for each in plane.get("/zones")["items"]] == ["east"]
    assert plane.metric("leader", zone="east") == 1
    for loop in ("dp_gc", "sub_finalizer"):
        assert plane.metric(f"component_{loop}_count", zone="east") >= 1
    assert plane.metric("promhttp_metric_handler_requests_total", code="200") >= 1
    assert can_connect(plane.dp_port)
    assert plane.end() == 0
