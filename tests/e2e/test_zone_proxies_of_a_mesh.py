"""Proxies that are the egress or the ingress of their mesh: real traffic goes through, and policies are about them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, outsiders, pki, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("zone_proxies")]

NAME = "outside"
SETTINGS = {"CORE_RESOURCES_STATUS_MESH_IDENTITY_INTERVAL": "1s", "XDS_DATAPLANE_DEREGISTRATION_DELAY": "2s"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A control plane on which a new identity is trusted for a second before it is used."""
    made = planes.Plane(tmp_path_factory.mktemp("plane"), **SETTINGS)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def mesh(plane: planes.Plane) -> Iterator[meshes.Mesh]:
    """A mesh whose proxies have identities."""
    bundled = {"insecureAllowSelfSigned": True, "autogenerate": {"enabled": True}}
    spec = {
        "selector": {"dataplane": {"matchLabels": {}}},
        "provider": {"type": "Bundled", "bundled": bundled},
    }
    with meshes.mesh(plane) as made:
        made.write(meshServices={"mode": "Exclusive"})
        plane.put({"type": "MeshIdentity", "mesh": made.name, "name": "identity", "spec": spec})
        yield made


def workload(mesh: meshes.Mesh, name: str, **options: Any) -> sidecars.Sidecar:
    made = mesh.sidecar(name, **options)
    made.dataplane["labels"] = {"kuma.io/workload": name}
    made.token = mesh.plane.token(mesh.name, name, workload=name)
    return made


def zone_proxy(mesh: meshes.Mesh, kind: str) -> tuple[sidecars.Sidecar, int]:
    """A proxy that is nothing but a `ZoneEgress` or a `ZoneIngress`, and its port."""
    made = workload(mesh, kind.lower())
    port = network.free_port(made.address)
    made.dataplane["networking"]["listeners"] = [{"type": kind, "address": made.address, "port": port, "name": "gate"}]
    return made, port


def client(mesh: meshes.Mesh) -> sidecars.Sidecar:
    made = workload(mesh, "web", inbounds={"web": (1, "http")}, outbounds=(NAME,))
    outbound = made.dataplane["networking"]["outbound"][0]
    outbound.pop("tags")
    outbound["backendRef"] = {"kind": "MeshExternalService", "name": NAME, "port": 9000}
    return made


def outside(mesh: meshes.Mesh, port: int) -> None:
    match = {"type": "HostnameGenerator", "port": 9000, "protocol": "http"}
    spec = {"match": match, "endpoints": [{"address": "localhost", "port": port}]}
    mesh.plane.put({"type": "MeshExternalService", "mesh": mesh.name, "name": NAME, "spec": spec})


def allow(mesh: meshes.Mesh, who: str) -> None:
    """Lets one workload through the egress."""
    identity = {"type": "Exact", "value": f"spiffe://{mesh.name}.default.mesh.local/workload/{who}"}
    rules = [{"default": {"allow": [{"spiffeID": identity}]}}]
    target = {"kind": "Dataplane", "labels": {"kuma.io/listener-zoneegress": "enabled"}}
    mesh.plane.put(mesh.permission("way-out", {"targetRef": target, "rules": rules}))


def test_what_is_outside_is_reached_by_those_who_may(mesh: meshes.Mesh) -> None:
    with outsiders.server(None) as server:
        outside(mesh, server)
        allow(mesh, "web")
        egress, port = zone_proxy(mesh, "ZoneEgress")
        egress.launch()
        web = client(mesh).start()
        egress.ready()
        traffic.until_status(web.url(NAME), 200)
        assert traffic.get(web.url(NAME)).text == "localhost"
        assert f"{egress.address}:{port}" in web.admin("/clusters")[1]
        allow(mesh, "job")
        traffic.until_status(web.url(NAME), 403)


def test_limits_of_a_server_name_are_kept_and_endpoints_move_under_traffic(mesh: meshes.Mesh) -> None:
    before, after = mesh.echo("http", "before"), mesh.echo("http", "after")
    outside(mesh, before.port)
    allow(mesh, "web")
    zone_proxy(mesh, "ZoneEgress")[0].launch()
    web = client(mesh).start()
    traffic.until_status(web.url(NAME), 200)
    with traffic.flowing(web.url(NAME)) as requests:
        outside(mesh, after.port)
        network.until("the new endpoint answers", lambda: traffic.get(web.url(NAME)).document["app"] == "after")
        requests.until_more()
    limit = {"local": {"http": {"requestRate": {"num": 1, "interval": "1h"}}}}
    sni = {"type": "Exact", "value": f"sni.extsvc.{mesh.name}.default.{NAME}.9000"}
    with mesh.policy("MeshRateLimit", {"kind": "Dataplane"}, rules=[{"matches": [{"sni": sni}], "default": limit}]):
        traffic.until_status(web.url(NAME), 429)
    traffic.until_status(web.url(NAME), 200)


def test_connections_from_other_zones_are_handed_on_to_who_is_asked_for(mesh: meshes.Mesh) -> None:
    servers = [workload(mesh, name, inbounds={name: mesh.echo("http").inbound}) for name in ("one", "two")]
    ingress, port = zone_proxy(mesh, "ZoneIngress")
    for each in (*servers, ingress):
        each.launch()
    for each in servers:
        each.ready()

    def reaches(server: sidecars.Sidecar) -> bool:
        sni = f"sni.msvc.{mesh.name}.default.{server.name}.{server.inbound_port[server.name]}"
        return pki.serial_of((ingress.address, port), sni) == pki.serial_of(server.inbound(server.name))

    network.until("both are reached", lambda: all(reaches(each) for each in servers))
