"""What a control plane writes of its own accord when proxies join: services with addresses and hostnames, on any store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import network, planes
from tests.kit import postgres as servers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def server() -> Iterator[servers.Server]:
    own = servers.Server()
    yield own
    own.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def plane(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[planes.Plane]:
    """A control plane on each kind of store."""
    settings = {"STORE_TYPE": request.param}
    if request.param == "postgres":
        server: servers.Server = request.getfixturevalue("server")
        settings |= {
            "STORE_POSTGRES_HOST": "127.0.0.1",
            "STORE_POSTGRES_PORT": str(server.port),
            "STORE_POSTGRES_USER": "kuma",
            "STORE_POSTGRES_PASSWORD": servers.PASSWORD,
            "STORE_POSTGRES_DB_NAME": server.new_database().name,
        }
    own = planes.Plane(tmp_path, **settings)
    try:
        yield own.start()
    finally:
        own.end()


def dataplane(name: str, service: str) -> dict[str, Any]:
    inbound = {"port": 8080, "tags": {"kuma.io/service": service, "kuma.io/protocol": "http"}}
    return {
        "type": "Dataplane",
        "mesh": "shop",
        "name": name,
        "labels": {"kuma.io/workload": service},
        "networking": {"address": "192.168.0.1", "inbound": [inbound]},
    }


def test_a_proxy_joins_and_its_service_can_be_reached(plane: planes.Plane, request: pytest.FixtureRequest) -> None:
    plane.put({"type": "Mesh", "name": "shop", "meshServices": {"mode": "Exclusive"}})
    at = "/meshes/shop/meshservices"
    plane.put(dataplane("web-1", "web"))
    network.until("the service is there", lambda: plane.call("GET", f"{at}/web").status == 200, 5.0)
    web = plane.get(f"{at}/web")
    assert web["spec"]["state"] == "Available"
    assert web["spec"]["ports"] == [{"name": "8080", "port": 8080, "targetPort": 8080, "appProtocol": "http"}]
    assert web["status"]["vips"] == [{"ip": "241.0.0.0"}]
    assert [each["hostname"] for each in web["status"]["addresses"]] == ["web.svc.mesh.local"]
    assert plane.get("/meshes/shop/workloads/web")["status"]["dataplaneProxies"]["total"] == 1
    for stage in ("meshservice_generator", "vip_allocator", "hostname_generator", "workload_generator"):
        assert plane.metric(f"component_{stage}_count") >= 1
    assert plane.metric("vip_generation_count") >= 1

    plane.put(dataplane("api-1", "api"))
    network.until("the next one too", lambda: plane.call("GET", f"{at}/api").status == 200, 5.0)
    assert plane.get(f"{at}/api")["status"]["vips"] == [{"ip": "241.0.0.1"}]
    if request.node.callspec.params["plane"] != "memory":
        plane.end()
        plane.start()
        before = {each["name"]: each["status"]["vips"] for each in plane.get(at)["items"]}
        assert before == {"web": [{"ip": "241.0.0.0"}], "api": [{"ip": "241.0.0.1"}]}
        plane.put(dataplane("db-1", "db"))
        network.until("and one after a restart", lambda: plane.call("GET", f"{at}/db").status == 200, 5.0)
        assert plane.get(f"{at}/db")["status"]["vips"] == [{"ip": "241.0.0.2"}]
