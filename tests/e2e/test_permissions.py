"""Who may call whom under mTLS: refused without a permission, and enforced by Envoys as permissions come and go."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.kit import meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("permissions")]

WEB = {"kind": "MeshService", "name": "web"}
V1 = {"kind": "MeshSubset", "tags": {"version": "v1"}}
V2 = {"kind": "MeshSubset", "tags": {"version": "v2"}}


class Cast:
    """One server and two clients of it, `web` in version v1 and `job` in version v2."""

    def __init__(self, mesh: meshes.Mesh, variant: str) -> None:
        self.mesh = mesh
        self.variant = variant
        mesh.write(mtls=meshes.mtls())
        services = {"echo": "http", "other": "http", "grpc": "grpc", "tcp": "tcp"}
        apps = {service: mesh.echo(protocol).inbound for service, protocol in services.items()}
        self.server = self._launched("echo", inbounds=apps)
        self.web = self._launched(
            "web", inbounds={"web": (1, "http")}, outbounds=tuple(services), tags={"version": "v1"}
        )
        self.job = self._launched(
            "job", inbounds={"job": (1, "http")}, outbounds=tuple(services), tags={"version": "v2"}
        )
        for each in mesh.sidecars:
            each.ready()

    def _launched(self, name: str, **options: Any) -> sidecars.Sidecar:
        options["DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT"] = self.variant
        return self.mesh.sidecar(name, **options).launch()

    def until(self, web: int, job: int, service: str = "echo") -> None:
        """Waits until both clients are answered so by a service."""
        traffic.until_status(self.web.url(service), web)
        traffic.until_status(self.job.url(service), job)

    def forget(self) -> None:
        """Takes all permissions away; everybody is refused."""
        for kind in ("meshtrafficpermissions", "traffic-permissions"):
            for each in self.mesh.plane.get(f"/meshes/{self.mesh.name}/{kind}")["items"]:
                self.mesh.plane.delete(each)
        self.until(403, 403)


@pytest.fixture(scope="module", params=["GRPC", "DELTA_GRPC"])
def running(shared_plane: planes.Plane, request: pytest.FixtureRequest) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh, request.param)


@pytest.fixture
def cast(running: Cast) -> Cast:
    """The cast without any permission."""
    running.forget()
    return running


def test_without_a_permission_everybody_is_refused_and_told_why(cast: Cast) -> None:
    answer = traffic.get(cast.web.url("echo"))
    assert (answer.status, answer.text) == (403, "RBAC: access denied")


def test_other_protocols_are_refused_in_their_own_way(cast: Cast) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        traffic.unary(cast.web.url("grpc"))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert traffic.tcp(cast.web.url("tcp")) == b""
    cast.mesh.permit(name="row")
    traffic.until_works("grpc", cast.web.url("grpc"))
    traffic.until_works("tcp", cast.web.url("tcp"))


def spiffe(kind: str, value: str) -> dict[str, Any]:
    return {"spiffeID": {"type": kind, "value": value}}


def allow(target: Any, action: str = "Allow") -> dict[str, Any]:
    return {"targetRef": target, "default": {"action": action}}


ROWS: dict[str, tuple[dict[str, Any], int, int]] = {
    "from all": ({"from": [allow({"kind": "Mesh"})]}, 200, 200),
    "from a service": ({"from": [allow(WEB)]}, 200, 403),
    "from a tag": ({"from": [allow(V2)]}, 403, 200),
    "all but a tag": ({"from": [allow({"kind": "Mesh"}), allow(V1, "Deny")]}, 403, 200),
    "from nobody": ({"from": [allow({"kind": "Mesh"}, "Deny")]}, 403, 403),
    "shadow denied": ({"from": [allow({"kind": "Mesh"}, "AllowWithShadowDeny")]}, 200, 200),
    "exact id": ({"rules": [{"default": {"allow": [spiffe("Exact", "spiffe://MESH/web")]}}]}, 200, 403),
    "prefix of ids": ({"rules": [{"default": {"allow": [spiffe("Prefix", "spiffe://MESH/jo")]}}]}, 403, 200),
    "all ids but one": (
        {
            "rules": [
                {
                    "default": {
                        "allow": [spiffe("Prefix", "spiffe://MESH")],
                        "deny": [spiffe("Exact", "spiffe://MESH/web")],
                    }
                }
            ]
        },
        403,
        200,
    ),
    "shadow denied ids": (
        {"rules": [{"default": {"allowWithShadowDeny": [spiffe("Prefix", "spiffe://MESH")]}}]},
        200,
        200,
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_permission_is_given_and_taken_away(cast: Cast, row: str) -> None:
    spec, web, job = ROWS[row]
    if (web, job) == (403, 403):  # must be seen to change something
        cast.mesh.permit(name="row")
        cast.until(200, 200)
    made = cast.mesh.permission("row", _in_mesh(spec, cast.mesh.name))
    cast.mesh.plane.put(made)
    cast.until(web, job)
    cast.mesh.plane.delete(made)
    cast.until(403, 403)
    cast.mesh.plane.put(made)
    cast.until(web, job)


def test_a_permission_for_one_service_leaves_others_closed(cast: Cast) -> None:
    target = {"kind": "MeshService", "name": "other"}
    cast.mesh.plane.put(cast.mesh.permission("row", {"targetRef": target, "from": [allow({"kind": "Mesh"})]}))
    cast.until(200, 200, "other")
    assert traffic.status(cast.web.url("echo")) == 403


def test_what_a_shadow_denial_would_refuse_is_counted(cast: Cast) -> None:
    cast.mesh.permit(action="AllowWithShadowDeny", name="row")
    traffic.until_status(cast.web.url("echo"), 200)
    network.until("shadow denials are counted", lambda: "shadow_denied: " in _nonzero(cast, "shadow_denied"))


def test_legacy_permissions(cast: Cast) -> None:
    everything = [{"match": {"kuma.io/service": "*"}}]
    legacy = {
        "type": "TrafficPermission",
        "mesh": cast.mesh.name,
        "name": "row",
        "sources": [{"match": {"kuma.io/service": "web"}}],
        "destinations": everything,
    }
    cast.mesh.plane.put(legacy)
    traffic.until_status(cast.web.url("echo"), 200)
    traffic.until_status(cast.job.url("echo"), 503)  # the network filter closes the connection
    cast.mesh.plane.put({**legacy, "sources": [{"match": {"kuma.io/service": "*", "version": "v2"}}]})
    traffic.until_status(cast.web.url("echo"), 503)
    traffic.until_status(cast.job.url("echo"), 200)


def test_changes_of_policy_and_mode_fail_no_request(cast: Cast) -> None:
    cast.mesh.permit(name="row")
    cast.until(200, 200)
    with traffic.flowing(cast.web.url("echo")) as requests:
        for number in range(3):
            cast.mesh.permit(clients={"kind": "MeshService", "name": f"s{number}"}, action="Deny", name="row-2")
            requests.until_more(40)
        for mode in ("PERMISSIVE", "STRICT"):
            cast.mesh.write(mtls=meshes.mtls(mode=mode))
            network.until(
                mode, lambda wanted=mode: (traffic.status(cast.server.inbound("echo")) == 200) is (wanted != "STRICT")
            )
            requests.until_more(40)


def _in_mesh(value: Any, mesh: str) -> Any:
    if isinstance(value, dict):
        return {key: _in_mesh(each, mesh) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_mesh(each, mesh) for each in value]
    return value.replace("MESH", mesh) if isinstance(value, str) and "://" in value else value


def _nonzero(cast: Cast, name: str) -> str:
    lines = cast.server.admin(f"/stats?filter={name}")[1].splitlines()
    return "\n".join(line for line in lines if not line.endswith(": 0"))
