"""What REST tells of a proxy: what it is given, and what its Envoy says of itself."""

import json

import pytest

from tests.kit import meshes, network, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def test_a_live_proxy_and_one_that_is_gone(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls())
    permission = mesh.permit()
    server = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http").inbound}, brings_itself=False)
    mesh.plane.put(server.dataplane)
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch()
    server.start()
    web.ready()
    traffic.until_status(web.url("echo"), 200)
    at = f"/meshes/{mesh.name}/dataplanes"

    given = mesh.plane.get(f"{at}/web/_config")["xds"]
    assert "echo" in json.dumps(given)
    running = mesh.plane.get(f"{at}/web/xds?include_eds=true")
    assert f"{server.address}" in json.dumps(running)
    own = server.address, server.inbound_port["echo"]
    assert f"{own[0]}:{own[1]}" in mesh.plane.call("GET", f"{at}/web/clusters").text
    as_json = json.loads(mesh.plane.call("GET", f"{at}/web/clusters?format=json").body)
    assert "echo" in {each["name"] for each in as_json["cluster_statuses"]}
    assert "cluster.echo.upstream_rq_200: " in mesh.plane.call("GET", f"{at}/web/stats").text
    assert json.loads(mesh.plane.call("GET", f"{at}/web/stats?format=json").body)["stats"]
    for secret in ("PRIVATE KEY", server.plane.token(mesh.name, "web")[:20]):
        assert secret not in json.dumps(running)

    overview = mesh.plane.get(f"{at}/echo/_overview")
    assert overview["dataplaneInsight"]["mTLS"]["issuedBackend"] == "ca-1"
    assert overview["dataplaneInsight"]["subscriptions"][-1]["version"]["envoy"]["version"]
    network.until("the service is counted", lambda: counts(mesh) == {"web": (1, 1), "echo": (1, 1)})
    server.end()
    network.until("the proxy is seen to be offline", lambda: not mesh.plane.is_online(mesh.name, "echo"))
    for view in ("xds", "stats", "clusters"):
        answer = mesh.plane.call("GET", f"{at}/echo/{view}")
        assert answer.status == 503
        assert 'proxy \\"echo\\" is offline' in answer.text or 'proxy "echo" is offline' in answer.text
    network.until("it is counted as offline", lambda: counts(mesh)["echo"] == (0, 1))
    mesh.plane.delete(permission)
    mesh.sidecars.remove(server)


def counts(mesh: meshes.Mesh) -> dict[str, tuple[int, int]]:
    """Online and all proxies by service, as ServiceInsight has them."""
    found = mesh.plane.get(f"/meshes/{mesh.name}/service-insights")["items"]
    return {each["name"]: (each["dataplanes"].get("online", 0), each["dataplanes"]["total"]) for each in found}
