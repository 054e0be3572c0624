"""Who may connect: the right token alone, each other refused in words, counted, and without harm to others."""

import base64
import datetime

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from envoy.service.health.v3 import hds_pb2

from tests.kit import meshes, network, planes, streams, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

REMOTE = {"content-type": "application/json", "x-forwarded-for": "192.0.2.7"}
"""Headers of a client that is not on this machine, so localhost is no admin."""


@pytest.fixture
def proxy(mesh: meshes.Mesh) -> meshes.Mesh:
    """A mesh with a Dataplane `web` that a user created."""
    mesh.plane.put(streams.dataplane(mesh.name, "web", version="v1"))
    return mesh


def refusal(mesh: meshes.Mesh, token: str | None, name: str = "web") -> tuple[grpc.StatusCode, str]:
    before = mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="unauthenticated")
    with streams.Stream(mesh.plane, mesh.name, name, token) as stream:
        code, text = stream.refusal()
    after = mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="unauthenticated")
    assert after > before, "the refusal was not counted"
    if token:
        assert token not in text
    return code, text


def is_taken(mesh: meshes.Mesh, token: str | None) -> bool:
    with streams.Stream(mesh.plane, mesh.name, "web", token) as stream:
        return bool(stream.first().type_url == streams.CLUSTER)


def test_tokens_that_fit(proxy: meshes.Mesh) -> None:
    assert is_taken(proxy, proxy.plane.token(proxy.name, "web"))
    assert is_taken(proxy, proxy.plane.token(proxy.name))
    assert is_taken(proxy, proxy.plane.token(proxy.name, tags={"version": ["v0", "v1"]}))


def test_tokens_that_do_not_fit(proxy: meshes.Mesh) -> None:
    with meshes.mesh(proxy.plane) as other:
        foreign = other.plane.token(other.name, "web")
    claims = {"Name": "web", "Mesh": proxy.name, "exp": datetime.datetime.now(datetime.UTC).timestamp() + 60}
    stranger = rsa.generate_private_key(65537, 2048)
    plane = proxy.plane
    wrong: dict[str, tuple[str | None, str]] = {
        "other name": (plane.token(proxy.name, "job"), 'token is for the proxy "job", not for "web"'),
        "other tag": (plane.token(proxy.name, tags={"version": ["v2"]}), "token does not allow the value"),
        "missing tag": (plane.token(proxy.name, tags={"team": ["a"]}), 'the tag "team"'),
        "expired": (plane.token(proxy.name, "web", validFor="-1s"), "expired"),
        "other mesh": (foreign, ""),
        "signed by a stranger": (jwt.encode(claims, stranger, "RS256", {"kid": "1"}), ""),
        "without a signature": (jwt.encode(claims, None, "none", {"kid": "1"}), ""),
        "cut short": (plane.token(proxy.name, "web")[:-10], ""),
        "garbage": ("garbage", ""),
        "empty": ("", ""),
        "none": (None, ""),
    }
    for who, (token, words) in wrong.items():
        code, text = refusal(proxy, token)
        assert code is grpc.StatusCode.UNAUTHENTICATED, f"{who}: {code} {text}"
        assert words in text, f"{who}: {text}"
    assert is_taken(proxy, plane.token(proxy.name, "web"))


def test_a_revoked_token_is_refused_and_others_are_not(proxy: meshes.Mesh) -> None:
    revoked, kept = (proxy.plane.token(proxy.name, "web") for _ in range(2))
    assert is_taken(proxy, revoked)
    identifier = jwt.decode(revoked, options={"verify_signature": False})["jti"]
    proxy.plane.put(
        {
            "type": "Secret",
            "mesh": proxy.name,
            "name": f"dataplane-token-revocations-{proxy.name}",
            "data": base64.b64encode(f"{identifier}, another".encode()).decode(),
        }
    )
    code, text = refusal(proxy, revoked)
    assert (code, "revoked" in text) == (grpc.StatusCode.UNAUTHENTICATED, True)
    assert is_taken(proxy, kept)


def test_signing_keys_are_rotated(proxy: meshes.Mesh) -> None:
    """Both keys are good while both are there; the newest signs."""
    old = proxy.plane.token(proxy.name, "web")
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    name = f"dataplane-token-signing-key-{proxy.name}"
    document = {"type": "Secret", "mesh": proxy.name, "name": f"{name}-2", "data": base64.b64encode(pem).decode()}
    proxy.plane.put(document)
    new = proxy.plane.token(proxy.name, "web")
    assert (jwt.get_unverified_header(old)["kid"], jwt.get_unverified_header(new)["kid"]) == ("1", "2")
    assert is_taken(proxy, old)
    assert is_taken(proxy, new)
    proxy.plane.delete({**document, "name": f"{name}-1"})
    assert refusal(proxy, old)[0] is grpc.StatusCode.UNAUTHENTICATED
    assert is_taken(proxy, new)


def test_health_streams_need_a_token_too(proxy: meshes.Mesh) -> None:
    opening = hds_pb2.HealthCheckRequestOrEndpointHealthResponse()
    opening.health_check_request.node.id = f"{proxy.name}.web"
    method = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck"
    code = streams.end_after(proxy.plane, opening.SerializeToString(), method)
    assert code is grpc.StatusCode.UNAUTHENTICATED


def test_an_agent_with_a_bad_token_disturbs_nobody(mesh: meshes.Mesh) -> None:
    web, _ = mesh.pair()
    traffic.until_status(web.url("echo"), 200)
    intruder = mesh.sidecar("intruder", inbounds={"echo": mesh.echo("http", "intruder").inbound})
    intruder.token = mesh.plane.token(mesh.name, "somebody-else")
    before = mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="unauthenticated")
    with traffic.flowing(web.url("echo")) as requests:
        intruder.launch()
        network.until(
            "the intruder was refused",
            lambda: mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="unauthenticated") > before,
        )
        requests.until_more()
    assert len(web.endpoints("echo")) == 1
    assert mesh.plane.call("GET", f"/meshes/{mesh.name}/dataplanes/intruder").status == 404


def user_token(plane: planes.Plane, groups: list[str], **claims: str) -> str:
    answer = plane.call("POST", "/tokens/user", {"name": "jane", "groups": groups, "validFor": "1h", **claims})
    assert answer.status == 200, answer.text
    return answer.text


def test_user_tokens(shared_plane: planes.Plane) -> None:
    def status(token: str | None, path: str = "/global-secrets") -> int:
        headers = REMOTE | ({"authorization": f"Bearer {token}"} if token is not None else {})
        return shared_plane.call("GET", path, headers=headers).status

    assert status(user_token(shared_plane, ["mesh-system:admin"])) == 200
    assert status(user_token(shared_plane, ["developers"])) == 403
    assert status(user_token(shared_plane, ["developers"]), "/meshes") == 200
    assert status(None) == 403
    wanted = {"mesh": "default", "name": "web", "validFor": "1h"}
    assert shared_plane.call("POST", "/tokens/dataplane", wanted, headers=REMOTE).status == 403
    for token in ("garbage", "", user_token(shared_plane, ["mesh-system:admin"], validFor="-1s")):
        assert status(token, "/meshes") == 401, token
    assert shared_plane.metric("kuma_refused_inputs_total", boundary="rest", reason="401") >= 3
    assert shared_plane.call("GET", "/global-secrets").status == 200


def test_without_authentication_nobody_needs_a_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    plane = planes.Plane(tmp_path_factory.mktemp("open"), DP_SERVER_AUTHN_DP_PROXY_TYPE="none")
    try:
        plane.start()
        plane.put({"type": "Mesh", "name": "open"})
        plane.put(streams.dataplane("open", "web"))
        for token in (None, "garbage"):
            with streams.Stream(plane, "open", "web", token) as stream:
                assert stream.first().type_url == streams.CLUSTER
    finally:
        plane.end()
