"""A configuration that Envoy rejects: the last good one stays in force, the reason is told, a correction heals it."""

import copy

import pytest

from tests.kit import meshes, network, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ELSEWHERE = "192.0.2.1"
"""No machine has this address (RFC 5737), so no listener can be bound to it."""


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_the_last_good_configuration_stays_in_force(mesh: meshes.Mesh, variant: str) -> None:
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    app = mesh.echo("http").inbound
    server = mesh.sidecar(
        "echo",
        inbounds={"echo": app},
        brings_itself=False,
        DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=variant,
    )
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",))
    mesh.plane.put(server.dataplane)
    server.launch()
    web.start()
    server.ready()
    traffic.until_status(web.url("echo"), 200)
    mesh.may_reject.add("echo")

    broken = copy.deepcopy(server.dataplane)
    inbounds = broken["networking"]["inbound"]
    inbounds.append({**inbounds[0], "address": ELSEWHERE, "tags": {"kuma.io/service": "unreachable"}})
    with traffic.flowing(web.url("echo")) as requests:
        mesh.plane.put(broken)
        error = network.until("the rejection is told", lambda: last_error(mesh, "echo"))
        requests.until_more()
    assert "annot bind" in error["message"]
    assert ELSEWHERE in error["message"]
    assert error["resource"] == f"inbound:{ELSEWHERE}:{server.inbound_port['echo']}"
    assert error["kri"].startswith(f"kri_dp_{mesh.name}_")
    assert error["kri"].endswith("_echo_")
    assert not mesh.rejections(), "others were disturbed"

    mesh.plane.put(server.dataplane)
    network.until("the correction heals it", lambda: not last_error(mesh, "echo"))
    assert traffic.status(web.url("echo")) == 200
    traffic.until_status(web.url("echo"), 200)


def last_error(mesh: meshes.Mesh, name: str) -> dict[str, str]:
    """The rejection of listeners that stands; empty where there is none."""
    status = mesh.plane.insight(mesh.name, name)["subscriptions"][-1]["status"]
    found: dict[str, str] = status["lds"].get("lastError", {})
    return found
