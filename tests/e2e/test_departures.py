"""Proxies come and go: who leaves, by word or without, is no endpoint of its peers any more; health decides likewise."""

import pytest

from tests.kit import echoes, meshes, network, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def two_servers(mesh: meshes.Mesh, **options: bool) -> tuple[sidecars.Sidecar, sidecars.Sidecar, sidecars.Sidecar]:
    """A client and two servers of `echo`, of which the first has the options."""
    first = mesh.sidecar("echo-1", inbounds={"echo": mesh.echo("http", "echo-1").inbound}, **options)
    if not first.brings_itself:
        mesh.plane.put(first.dataplane)
    first.launch()
    second = mesh.sidecar("echo-2", inbounds={"echo": mesh.echo("http", "echo-2").inbound}).launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch()
    for each in (first, second, web):
        each.ready()
    until_endpoints(web, first, second)
    return web, first, second


def until_endpoints(client: sidecars.Sidecar, *servers: sidecars.Sidecar) -> None:
    wanted = {f"{each.address}:{each.inbound_port['echo']}" for each in servers}

    def seen() -> bool:
        found = client.endpoints("echo")
        assert found == wanted, f"{found}, wanted {wanted}"
        return True

    network.until("the endpoints of echo", seen)


def test_a_proxy_that_says_goodbye_is_gone_without_a_failed_request(mesh: meshes.Mesh) -> None:
    web, first, second = two_servers(mesh)
    with traffic.flowing(web.url("echo")) as requests:
        assert first.program is not None
        first.program.terminate()
        until_endpoints(web, second)
        requests.until_more()
        assert first.program.end() == 0
        requests.until_more()
    assert mesh.plane.call("GET", f"/meshes/{mesh.name}/dataplanes/echo-1").status == 404


def test_a_proxy_that_was_killed_is_gone_after_the_delay(mesh: meshes.Mesh) -> None:
    web, first, second = two_servers(mesh)
    first.kill()
    until_endpoints(web, second)
    assert mesh.plane.call("GET", f"/meshes/{mesh.name}/dataplanes/echo-1").status == 404
    traffic.until_status(web.url("echo"), 200)
    first.start()
    until_endpoints(web, first, second)


def test_a_successor_of_the_same_name_stays_when_its_predecessor_leaves(mesh: meshes.Mesh) -> None:
    first = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http", "first").inbound}).start()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).start()
    until_endpoints(web, first)
    second = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http", "second").inbound}).start()
    until_endpoints(web, second)
    traffic.until_status(web.url("echo"), 200)
    with traffic.flowing(web.url("echo")) as requests:
        assert first.program is not None
        assert first.program.end() == 0
        requests.until_more()
    assert traffic.get(web.url("echo")).document["app"] == "second"
    second.end()
    until_endpoints(web)


def test_a_dataplane_that_a_user_created_stays(mesh: meshes.Mesh) -> None:
    web, first, second = two_servers(mesh, brings_itself=False)
    first.kill()
    second.kill()
    until_endpoints(web, first)  # the other one left meanwhile, so this one had its time too
    assert mesh.plane.get(f"/meshes/{mesh.name}/dataplanes/echo-1")["name"] == "echo-1"
    assert not mesh.plane.is_online(mesh.name, "echo-1")
    mesh.plane.delete(first.dataplane)
    until_endpoints(web)


def test_a_dataplane_that_is_deleted_and_made_anew_works_again(mesh: meshes.Mesh) -> None:
    """Its proxy stayed connected all the time."""
    server = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http").inbound}, brings_itself=False)
    mesh.plane.put(server.dataplane)
    server.launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch()
    server.ready()
    web.ready()
    traffic.until_status(web.url("echo"), 200)
    mesh.plane.delete(server.dataplane)
    until_endpoints(web)
    mesh.plane.put(server.dataplane)
    until_endpoints(web, server)
    traffic.until_status(web.url("echo"), 200)
    network.until("it is online again", lambda: mesh.plane.is_online(mesh.name, "echo"))


def test_a_mesh_with_proxies_cannot_be_deleted(mesh: meshes.Mesh) -> None:
    mesh.sidecar("web", inbounds={"web": (1, "http")}).start()
    answer = mesh.plane.call("DELETE", f"/meshes/{mesh.name}")
    assert answer.status == 400
    assert "dataplanes" in answer.text


def test_a_proxy_that_the_mesh_does_not_want_stays_outside(mesh: meshes.Mesh) -> None:
    mesh.write(constraints={"dataplaneProxy": {"requirements": [{"tags": {"team": "a"}}]}})
    before = mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="invalid")
    stranger = mesh.sidecar("stranger", inbounds={"echo": mesh.echo("http").inbound}).launch()
    mesh.sidecar("member", inbounds={"echo": mesh.echo("http").inbound}, tags={"team": "a"}).start()
    network.until("the agent says why", lambda: "does not fulfill any requirements" in stranger.output)
    assert mesh.plane.metric("kuma_refused_inputs_total", boundary="xds", reason="invalid") > before
    assert [each["name"] for each in mesh.plane.get(f"/meshes/{mesh.name}/dataplanes")["items"]] == ["member"]


def test_an_application_that_is_down_gets_no_traffic(mesh: meshes.Mesh) -> None:
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch()
    with echoes.echo("http") as app:
        server = mesh.sidecar("echo", inbounds={"echo": app.inbound})
        probe = {"tcp": {}, "interval": "1s", "timeout": "1s", "healthyThreshold": 1, "unhealthyThreshold": 1}
        server.dataplane["networking"]["inbound"][0]["serviceProbe"] = probe
        server.launch().ready()
        web.ready()
        until_endpoints(web, server)
        traffic.until_status(web.url("echo"), 200)
        assert state(mesh) == "Ready"
    until_endpoints(web)
    assert state(mesh) == "NotReady"
    with echoes.echo("http", port=app.port):
        until_endpoints(web, server)
        assert state(mesh) == "Ready"
        traffic.until_status(web.url("echo"), 200)


def test_an_envoy_that_drains_gets_no_traffic(mesh: meshes.Mesh) -> None:
    """Nobody says goodbye for a Dataplane that a user created, and its inbound has no probe."""
    web, first, second = two_servers(mesh, brings_itself=False)
    with traffic.flowing(web.url("echo")) as requests:
        assert first.admin("/healthcheck/fail", "POST")[0] == 200
        until_endpoints(web, second)
        assert state(mesh, "echo-1") == "NotReady"
        requests.until_more()
        assert first.admin("/healthcheck/ok", "POST")[0] == 200
        until_endpoints(web, first, second)
        assert state(mesh, "echo-1") == "Ready"


def state(mesh: meshes.Mesh, name: str = "echo") -> str:
    """The state of the first inbound of a proxy."""
    found = mesh.plane.get(f"/meshes/{mesh.name}/dataplanes/{name}")["networking"]["inbound"][0]
    return str(found.get("state", "Ready"))
