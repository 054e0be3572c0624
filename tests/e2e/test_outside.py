"""What is outside the mesh: dialled by the client's Envoy itself, by host name, in plain text or with TLS of its own."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.kit import meshes, network, outsiders, pki, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CA, STRANGER = pki.issue([], ca=True, name="ca"), pki.issue([], ca=True, name="stranger")
SERVER = pki.issue([], CA, hosts=("localhost",))


def external(mesh: meshes.Mesh, port: int, **tls: Any) -> None:
    """Writes the ExternalService `outside`."""
    networking = {"address": f"localhost:{port}"} | ({"tls": {"enabled": True, **tls}} if tls else {})
    tags = {"kuma.io/service": "outside", "kuma.io/protocol": "http"}
    document = {"type": "ExternalService", "mesh": mesh.name, "name": "outside", "networking": networking, "tags": tags}
    answer = mesh.plane.call("PUT", f"/meshes/{mesh.name}/external-services/outside", document)
    assert answer.status in (200, 201), answer.text


def client(mesh: meshes.Mesh) -> sidecars.Sidecar:
    return mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("outside",)).start()


def test_it_is_reached_in_plain_text_from_a_mesh_with_mtls(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    with outsiders.server(None) as port:
        external(mesh, port)
        web = client(mesh)
        traffic.until_status(web.url("outside"), 200)
        assert traffic.get(web.url("outside")).text == "localhost"


def test_it_is_verified_by_its_own_roots(mesh: meshes.Mesh, tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_bytes(SERVER.cert + SERVER.key)
    with outsiders.server(tmp_path / "server.pem") as port:
        external(mesh, port, caCert={"inlineString": CA.cert.decode()})
        web = client(mesh)
        traffic.until_status(web.url("outside"), 200)
        external(mesh, port, caCert={"inlineString": STRANGER.cert.decode()})
        network.until("it is no longer trusted", lambda: traffic.status(web.url("outside")) == 503)
        external(mesh, port, caCert={"inlineString": CA.cert.decode()}, serverName="elsewhere")
        web.until_told("elsewhere")
        traffic.until_status(web.url("outside"), 503)


def test_it_may_ask_for_a_certificate(mesh: meshes.Mesh, tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_bytes(SERVER.cert + SERVER.key)
    (tmp_path / "ca.pem").write_bytes(CA.cert)
    roots = {"caCert": {"inlineString": CA.cert.decode()}}
    mine = pki.issue(["spiffe://elsewhere/web"], CA)
    with outsiders.server(tmp_path / "server.pem", tmp_path / "ca.pem") as port:
        external(mesh, port, **roots)
        web = client(mesh)
        traffic.until_status(web.url("outside"), 503)
        pair = {"clientCert": mine.cert, "clientKey": mine.key}
        external(mesh, port, **roots, **{key: {"inlineString": pem.decode()} for key, pem in pair.items()})
        traffic.until_status(web.url("outside"), 200)


def test_certificates_and_keys_come_from_secrets_and_change_with_them(mesh: meshes.Mesh, tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_bytes(SERVER.cert + SERVER.key)
    (tmp_path / "ca.pem").write_bytes(CA.cert)
    mine, forged = (pki.issue(["spiffe://elsewhere/web"], signer) for signer in (CA, STRANGER))

    def keep(name: str, pem: bytes) -> None:
        data = base64.b64encode(pem).decode()
        mesh.plane.put({"type": "Secret", "mesh": mesh.name, "name": name, "data": data})

    with outsiders.server(tmp_path / "server.pem", tmp_path / "ca.pem") as port:
        external(mesh, port, **{name: {"secret": name.lower()} for name in ("caCert", "clientCert", "clientKey")})
        web = client(mesh)
        traffic.until_status(web.url("outside"), 503)
        keep("cacert", CA.cert)
        keep("clientcert", mine.cert)
        traffic.until_status(web.url("outside"), 503)
        keep("clientkey", mine.key)
        traffic.until_status(web.url("outside"), 200)
        shown = mesh.plane.call("GET", f"/meshes/{mesh.name}/dataplanes/web/_config").text
        for pem in (CA.cert, mine.cert, mine.key):
            assert base64.b64encode(pem).decode() not in shown
        keep("cacert", STRANGER.cert)
        network.until("it is no longer trusted", lambda: traffic.status(web.url("outside")) == 503)
        keep("cacert", CA.cert)
        traffic.until_status(web.url("outside"), 200)
        keep("clientcert", forged.cert + mine.cert)
        keep("clientkey", forged.key)
        network.until("we are no longer trusted", lambda: traffic.status(web.url("outside")) == 503)
    output = (mesh.plane.folder / "kuma-cp.log").read_text()
    assert "PRIVATE KEY" not in output
    assert base64.b64encode(mine.key).decode() not in output
