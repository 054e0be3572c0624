"""Inbounds open and close for plaintext, and the mesh speaks the TLS that a policy says."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.kit import meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshtls")]

CIPHER = "ECDHE-ECDSA-AES256-GCM-SHA384"
MODERN = [{"default": {"tlsVersion": {"min": "TLS13"}}}]


class Pair:
    """A server of HTTP, its client, and a mesh with mutual TLS."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        mesh.write(mtls=meshes.mtls())
        mesh.permit()
        self.web, self.server = mesh.pair()
        traffic.until_status(self.web.url("echo"), 200)

    def until_plaintext(self, is_taken: bool) -> None:
        """Waits until clients without a proxy are answered, or not any more."""
        traffic.until_status(self.server.inbound("echo"), 200 if is_taken else 0)


@pytest.fixture(scope="module")
def pair(shared_plane: planes.Plane) -> Iterator[Pair]:
    with meshes.mesh(shared_plane) as mesh:
        yield Pair(mesh)


def test_a_strict_mesh_is_opened_and_closed_and_loses_no_request(pair: Pair) -> None:
    pair.until_plaintext(False)
    with traffic.flowing(pair.web.url("echo")) as requests:
        with pair.mesh.policy("MeshTLS", rules=[{"default": {"mode": "Permissive"}}]):
            pair.until_plaintext(True)
            requests.until_more(40)
        pair.until_plaintext(False)
        requests.until_more(40)


def test_one_proxy_of_a_permissive_mesh_is_closed(pair: Pair) -> None:
    pair.mesh.write(mtls=meshes.mtls(mode="PERMISSIVE"))
    try:
        pair.until_plaintext(True)
        server = {"kind": "Dataplane", "name": "echo"}
        with pair.mesh.policy("MeshTLS", server, rules=[{"default": {"mode": "Strict"}}]):
            pair.until_plaintext(False)
            traffic.until_status(pair.web.url("echo"), 200)
        pair.until_plaintext(True)
    finally:
        pair.mesh.write(mtls=meshes.mtls())
    pair.until_plaintext(False)


def _refusal(server: sidecars.Sidecar) -> str:
    """Why a client of the mesh that speaks TLS 1.2 at most and shows no certificate is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["kuma"])
    with socket.create_connection(server.inbound("echo"), timeout=traffic.SECONDS) as plain:
        try:
            context.wrap_socket(plain).close()
        except ssl.SSLError as refused:
            return str(refused.reason)
    raise AssertionError("was let in without a certificate")


def test_an_old_version_is_refused(pair: Pair) -> None:
    old, no_certificate = "TLSV1_ALERT_PROTOCOL_VERSION", "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert _refusal(pair.server) not in (old, no_certificate)
    with pair.mesh.policy("MeshTLS", rules=MODERN):
        network.until("TLS 1.2 is refused", lambda: _refusal(pair.server) == old)
        traffic.until_status(pair.web.url("echo"), 200)
    network.until("TLS 1.2 is taken again", lambda: _refusal(pair.server) != old)


def test_both_sides_speak_the_version_and_cipher_of_the_policy(pair: Pair) -> None:
    conf = {"tlsVersion": {"min": "TLS12", "max": "TLS12"}, "tlsCiphers": [CIPHER]}
    with pair.mesh.policy("MeshTLS", rules=[{"default": conf}]):
        for each in (pair.web, pair.server):
            each.until_told(CIPHER)

        def spoken() -> bool:
            assert traffic.status(pair.web.url("echo")) == 200
            stats = pair.server.admin("/stats?filter=ssl")[1]
            return f"ssl.ciphers.{CIPHER}: " in stats and "ssl.versions.TLSv1.2: " in stats

        network.until("the cipher is spoken", spoken)
