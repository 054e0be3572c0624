"""Certificates of a mesh: foreign ones are refused, own ones are renewed under traffic, and users may bring the CA."""

import base64
from typing import Any

import pytest

from tests.kit import meshes, network, pki, planes, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_clients_that_do_not_belong_to_the_mesh_are_refused(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    web, server = mesh.pair()
    traffic.until_status(web.url("echo"), 200)
    inbound, identity = server.inbound("echo"), [f"spiffe://{mesh.name}/web"]
    own = pki.issue(identity, pki.builtin_ca(mesh.plane, mesh.name))
    assert pki.status_as(inbound, own) == 200, "the test itself must be able to pass"

    with meshes.mesh(mesh.plane) as other:
        other.write(mtls=meshes.mtls())
        foreign = pki.builtin_ca(mesh.plane, other.name)
    refused = {
        "no certificate": None,
        "signed by itself": pki.issue(identity),
        "of another mesh": pki.issue([f"spiffe://{other.name}/web"], foreign),
        "of another mesh, with an identity of this one": pki.issue(identity, foreign),
        "of this mesh, with an identity of another one": pki.issue(
            [f"spiffe://{other.name}/web"], pki.builtin_ca(mesh.plane, mesh.name)
        ),
    }
    answers = {who: pki.status_as(inbound, certificate) for who, certificate in refused.items()}
    assert answers == dict.fromkeys(refused, 0)
    assert traffic.status(inbound) == 0, "plaintext was taken"
    assert traffic.status(web.url("echo")) == 200


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_certificates_are_renewed_under_traffic_without_a_failed_request(mesh: meshes.Mesh, variant: str) -> None:
    setting = {"DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT": variant}
    mesh.write(mtls=meshes.mtls(expiration="4s"))
    mesh.permit()
    server = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http").inbound}, **setting).launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",), **setting).launch()
    web.ready()
    server.ready()
    traffic.until_status(web.url("echo"), 200)
    seen: set[int] = set()

    def renewed() -> bool:
        seen.add(pki.serial_of(server.inbound("echo")))
        return len(seen) > 3

    with traffic.flowing(web.url("echo")) as requests:
        network.until("three renewals", renewed, 60)
        requests.until_more()
    insight = mesh.plane.insight(mesh.name, "echo")
    assert insight["mTLS"]["certificateRegenerations"] >= 3
    assert insight["mTLS"]["issuedBackend"] == "ca-1"


def inline(pair: pki.Pair, mesh: meshes.Mesh) -> dict[str, Any]:
    return {"cert": {"inlineString": pair.cert.decode()}, "key": {"inlineString": pair.key.decode()}}


def secrets(pair: pki.Pair, mesh: meshes.Mesh) -> dict[str, Any]:
    for name, content in (("own-cert", pair.cert), ("own-key", pair.key)):
        mesh.plane.put({"type": "Secret", "mesh": mesh.name, "name": name, "data": base64.b64encode(content).decode()})
    return {"cert": {"secret": "own-cert"}, "key": {"secret": "own-key"}}


@pytest.mark.parametrize("source", [inline, secrets])
def test_a_provided_authority_signs_the_certificates(mesh: meshes.Mesh, source: Any) -> None:
    authority = pki.issue([f"spiffe://{mesh.name}"], ca=True, name="own authority")
    mesh.permit()
    mesh.write(mtls=meshes.mtls(type="provided", name="own", conf=source(authority, mesh)))
    web, server = mesh.pair()
    traffic.until_status(web.url("echo"), 200)
    inbound = server.inbound("echo")
    assert pki.status_as(inbound, pki.issue([f"spiffe://{mesh.name}/web"], authority)) == 200
    assert pki.status_as(inbound, pki.issue([f"spiffe://{mesh.name}/web"])) == 0
    assert mesh.plane.insight(mesh.name, "echo")["mTLS"]["issuedBackend"] == "own"


def test_a_provided_authority_that_is_none_is_refused(shared_plane: planes.Plane) -> None:
    leaf = pki.issue(["spiffe://broken/web"])
    conf = {"cert": {"inlineString": leaf.cert.decode()}, "key": {"inlineString": leaf.key.decode()}}
    document = {"type": "Mesh", "name": "broken", "mtls": meshes.mtls(type="provided", name="own", conf=conf)}
    answer = shared_plane.call("PUT", "/meshes/broken", document)
    assert answer.status == 400
    assert "basic constraint 'CA' must be set to 'true'" in answer.text


def test_the_authority_is_changed_by_way_of_no_mtls(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    web, server = mesh.pair()
    traffic.until_status(web.url("echo"), 200)
    old = pki.builtin_ca(mesh.plane, mesh.name)
    other = {"type": "Mesh", "name": mesh.name, "mtls": meshes.mtls(name="ca-2")}
    answer = mesh.plane.call("PUT", f"/meshes/{mesh.name}", other)
    assert (answer.status, answer.document["invalid_parameters"][0]["field"]) == (400, "mtls.enabledBackend")
    mesh.write()
    network.until("mTLS is off", lambda: traffic.status(server.inbound("echo")) == 200)
    mesh.plane.put(other)
    identity = [f"spiffe://{mesh.name}/web"]
    new = pki.issue(identity, pki.builtin_ca(mesh.plane, mesh.name, "ca-2"))
    network.until("the new authority is trusted", lambda: pki.status_as(server.inbound("echo"), new) == 200)
    assert pki.status_as(server.inbound("echo"), pki.issue(identity, old)) == 0
    traffic.until_status(web.url("echo"), 200)
