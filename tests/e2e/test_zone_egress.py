"""A zone egress: real sidecars reach servers outside their meshes through it, and it is told by the resources alone."""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import egresses, meshes, network, outsiders, pki, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CA, STRANGER = pki.issue([], ca=True, name="ca"), pki.issue([], ca=True, name="stranger")
SERVER = pki.issue([], CA, hosts=("localhost",))
NAME = "outside"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A control plane of its own: a zone egress changes what all meshes get."""
    made = planes.Plane(tmp_path_factory.mktemp("plane"), XDS_DATAPLANE_DEREGISTRATION_DELAY="2s")
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture(scope="module")
def egress(plane: planes.Plane) -> Iterator[egresses.Egress]:
    with contextlib.closing(egresses.Egress(plane, "way-out")) as made:
        yield made.start()


@pytest.fixture
def mesh(plane: planes.Plane, egress: egresses.Egress) -> Iterator[meshes.Mesh]:
    """A mesh with mutual TLS."""
    with meshes.mesh(plane) as made:
        made.write(mtls=meshes.mtls())
        yield made
        status = egress.insight()["subscriptions"][-1]["status"]
        assert "responsesRejected" not in status["total"], status


def outside(mesh: meshes.Mesh, port: int, protocol: str = "http", name: str = NAME, **spec: Any) -> None:
    """Writes a MeshExternalService."""
    match = {"type": "HostnameGenerator", "port": 9000, "protocol": protocol}
    document = {"match": match, "endpoints": [{"address": "localhost", "port": port}], **spec}
    mesh.plane.put({"type": "MeshExternalService", "mesh": mesh.name, "name": name, "spec": document})


def client(mesh: meshes.Mesh, *names: str) -> sidecars.Sidecar:
    """A proxy with a way to each of these MeshExternalServices."""
    made = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=names or (NAME,))
    for outbound in made.dataplane["networking"]["outbound"]:
        service = outbound.pop("tags")["kuma.io/service"]
        outbound["backendRef"] = {"kind": "MeshExternalService", "name": service, "port": 9000}
    return made.start()


def tls(**verification: Any) -> dict[str, Any]:
    """The `tls` of a MeshExternalService; certificates are given as pairs."""
    said = {
        key: {"inlineString": each.cert.decode()} if key == "caCert" else each for key, each in verification.items()
    }
    return {"enabled": True, "verification": said}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The port of a server with TLS."""
    (tmp_path / "server.pem").write_bytes(SERVER.cert + SERVER.key)
    with outsiders.server(tmp_path / "server.pem") as port:
        yield port


def test_http_reaches_what_is_outside(mesh: meshes.Mesh, egress: egresses.Egress) -> None:
    with outsiders.server(None) as port:
        outside(mesh, port)
        web = client(mesh)
        traffic.until_status(web.url(NAME), 200)
        assert traffic.get(web.url(NAME)).text == "localhost"
        assert f"{egress.address}:{egress.port}" in web.admin("/clusters")[1]
        mesh.plane.delete({"type": "MeshExternalService", "mesh": mesh.name, "name": NAME})
        traffic.until_status(web.url(NAME), 0)


def test_tcp_reaches_what_is_outside(mesh: meshes.Mesh) -> None:
    app = mesh.echo("tcp")
    outside(mesh, app.port, "tcp")
    web = client(mesh)
    traffic.until_works("tcp", web.url(NAME))


def test_a_mesh_may_keep_everything_inside(mesh: meshes.Mesh) -> None:
    with outsiders.server(None) as port:
        outside(mesh, port)
        web = client(mesh)
        traffic.until_status(web.url(NAME), 200)
        mesh.write(mtls=meshes.mtls(), routing={"defaultForbidMeshExternalServiceAccess": True})
        traffic.until_status(web.url(NAME), 403)
        mesh.write(mtls=meshes.mtls())
        traffic.until_status(web.url(NAME), 200)


def test_two_meshes_with_the_same_names_are_kept_apart(plane: planes.Plane, mesh: meshes.Mesh) -> None:
    with meshes.mesh(plane) as other:
        other.write(mtls=meshes.mtls())
        outside(mesh, mesh.echo("http", "ours").port)
        outside(other, other.echo("http", "theirs").port)
        webs = client(mesh), client(other)
        for web, name in zip(webs, ("ours", "theirs"), strict=True):
            traffic.until_status(web.url(NAME), 200)
            assert traffic.get(web.url(NAME)).document["app"] == name


def test_clients_of_other_meshes_are_refused(mesh: meshes.Mesh, egress: egresses.Egress) -> None:
    outside(mesh, mesh.echo("http").port)
    network.until("the egress knows it", lambda: egress.server_names(mesh.name))
    (sni,) = egress.server_names(mesh.name)
    identity = [f"spiffe://{mesh.name}/web"]
    own = pki.issue(identity, pki.builtin_ca(mesh.plane, mesh.name))
    assert pki.status_as(egress.target, own, sni) == 200, "the test itself must be able to pass"
    with meshes.mesh(mesh.plane) as other:
        other.write(mtls=meshes.mtls())
        outside(other, other.echo("http").port)
        network.until("the egress serves both", lambda: egress.server_names(other.name))
        foreign = pki.builtin_ca(mesh.plane, other.name)
        refused = {
            "no certificate": None,
            "of another mesh": pki.issue([f"spiffe://{other.name}/web"], foreign),
            "of another mesh, with an identity of this one": pki.issue(identity, foreign),
        }
        answers = {who: pki.status_as(egress.target, each, sni) for who, each in refused.items()}
        assert answers == dict.fromkeys(refused, 0)
        assert pki.status_as(egress.target, own, "elsewhere") == 0


def test_certificates_are_renewed_under_traffic(mesh: meshes.Mesh, egress: egresses.Egress) -> None:
    mesh.write(mtls=meshes.mtls(expiration="4s"))
    outside(mesh, mesh.echo("http").port)
    web = client(mesh)
    traffic.until_status(web.url(NAME), 200)
    (sni,) = egress.server_names(mesh.name)
    seen: set[int] = set()

    def renewed() -> bool:
        seen.add(pki.serial_of(egress.target, sni))
        return len(seen) > 3

    with traffic.flowing(web.url(NAME)) as requests:
        network.until("three renewals", renewed, 60)
        requests.until_more()


def test_it_moves_under_traffic(mesh: meshes.Mesh) -> None:
    before, after = mesh.echo("http", "before"), mesh.echo("http", "after")
    outside(mesh, before.port)
    web = client(mesh)
    traffic.until_status(web.url(NAME), 200)
    with traffic.flowing(web.url(NAME)) as requests:
        outside(mesh, after.port)
        network.until("the new endpoint answers", lambda: traffic.get(web.url(NAME)).document["app"] == "after")
        requests.until_more()


def test_the_egress_verifies_servers_as_it_is_told(mesh: meshes.Mesh, served: int) -> None:
    lie = {"serverName": "elsewhere"}
    rows = {
        "known": (tls(caCert=CA), 200),
        "stranger": (tls(caCert=STRANGER), 503),
        "of-no-system": (tls(), 503),
        "other-name": (tls(caCert=CA, **lie), 503),
        "other-name-skipped": (tls(caCert=CA, mode="SkipSAN", **lie), 200),
        "one-of-its-names": (tls(caCert=CA, subjectAltNames=[{"type": "Prefix", "value": "local"}], **lie), 200),
        "none-of-its-names": (tls(caCert=CA, subjectAltNames=[{"type": "Exact", "value": "local"}], **lie), 503),
        "stranger-skipped": (tls(caCert=STRANGER, mode="SkipCA"), 200),
        "all-skipped": (tls(caCert=STRANGER, mode="SkipAll", **lie), 200),
    }
    for name, (wanted, _) in rows.items():
        outside(mesh, served, name=name, tls=wanted)
    web = client(mesh, *rows)
    for name, (_, status) in rows.items():
        traffic.until_status(web.url(name), status)
    assert {name: traffic.status(web.url(name)) for name in rows} == {
        name: status for name, (_, status) in rows.items()
    }


def test_a_certificate_may_be_in_a_secret(mesh: meshes.Mesh, served: int) -> None:
    def trust(pair: pki.Pair) -> None:
        value = base64.b64encode(pair.cert).decode()
        mesh.plane.put({"type": "Secret", "mesh": mesh.name, "name": "roots", "data": value})

    trust(STRANGER)
    outside(mesh, served, tls={"enabled": True, "verification": {"caCert": {"secret": "roots"}}})
    web = client(mesh)
    traffic.until_status(web.url(NAME), 503)
    trust(CA)
    traffic.until_status(web.url(NAME), 200)


def test_external_services_go_the_same_way_where_the_mesh_says_so(mesh: meshes.Mesh, egress: egresses.Egress) -> None:
    mesh.write(mtls=meshes.mtls(), routing={"zoneEgress": True})
    mesh.permit()
    with outsiders.server(None) as port:
        tags = {"kuma.io/service": NAME, "kuma.io/protocol": "http"}
        document = {"networking": {"address": f"localhost:{port}"}, "tags": tags}
        path = f"/meshes/{mesh.name}/external-services/{NAME}"
        answer = mesh.plane.call("PUT", path, {"type": "ExternalService", "mesh": mesh.name, "name": NAME, **document})
        assert answer.status == 201, answer.text
        web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=(NAME,)).start()
        traffic.until_status(web.url(NAME), 200)
        assert web.endpoints(NAME) == {f"{egress.address}:{egress.port}"}
        assert traffic.get(web.url(NAME)).text == "localhost"


def test_it_is_seen_and_leaves(plane: planes.Plane) -> None:
    with contextlib.closing(egresses.Egress(plane, "second")) as second:
        second.start()
        assert plane.get("/zoneegresses/second")["networking"]["port"] == second.port
        assert second.insight()["subscriptions"][0]["version"]["envoy"]["version"]
        for operation, text in (("xds", "configs"), ("stats", "server.live"), ("clusters", "kuma:envoy:admin")):
            answer = plane.call("GET", f"/zoneegresses/second/{operation}")
            assert answer.status == 200, answer.text
            assert text in answer.text
    assert plane.call("GET", "/zoneegresses/second").status == 404


def test_a_zone_egress_needs_a_token_of_its_zone_and_scope(plane: planes.Plane) -> None:
    for claims in ({"zone": "default", "scope": ["ingress"]}, {"zone": "elsewhere", "scope": ["egress"]}):
        with contextlib.closing(egresses.Egress(plane, "pretender")) as pretender:
            pretender.token = egresses.zone_token(plane, **claims)
            pretender.launch()
            network.until("it is refused", lambda: "authentication failed" in pretender.output)
            assert plane.call("GET", "/zoneegresses/pretender").status == 404


def test_it_goes_on_while_the_control_plane_is_away(tmp_path: Path) -> None:
    own = planes.Plane(tmp_path, STORE_TYPE="sqlite")
    with contextlib.ExitStack() as stack:
        stack.callback(own.end)
        egress = stack.enter_context(contextlib.closing(egresses.Egress(own.start(), "way-out"))).start()
        mesh = stack.enter_context(meshes.mesh(own))
        mesh.write(mtls=meshes.mtls())
        before, after = mesh.echo("http", "before"), mesh.echo("http", "after")
        outside(mesh, before.port)
        web = client(mesh)
        traffic.until_status(web.url(NAME), 200)
        with traffic.flowing(web.url(NAME)) as requests:
            own.kill()
            requests.until_more()
            own.start()
            network.until("the egress is back", egress.is_online)
            outside(mesh, after.port)
            network.until("it follows again", lambda: traffic.get(web.url(NAME)).document["app"] == "after")
            requests.until_more()
