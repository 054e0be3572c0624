"""Patches in a real Envoy: what they change shows, and what cannot be done is told without cutting off the proxy."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshproxypatch")]

ROUTER = "envoy.filters.http.router"
LUA = """
name: lua
typedConfig:
  '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
  defaultSourceCode:
    inlineString: |
      function envoy_on_response(handle)
        handle:headers():add("x-patched", "filter")
      end
"""


class Pair:
    """A client and a server, and the policy that is written again and again."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        self.web, self.echo = mesh.pair()
        traffic.until_status(self.web.url("echo"), 200)

    def write(self, *changes: dict[str, Any]) -> None:
        """Writes the policy; takes it away where it would change nothing."""
        path = f"/meshes/{self.mesh.name}/meshproxypatches/p"
        if not changes:
            assert self.mesh.plane.call("DELETE", path).status == 200
            return
        spec = {"default": {"appendModifications": list(changes)}}
        document = {"type": "MeshProxyPatch", "mesh": self.mesh.name, "name": "p", "spec": spec}
        answer = self.mesh.plane.call("PUT", path, document)
        assert answer.status in (200, 201), answer.text

    def patched(self) -> str | None:
        """What the answer to a request says of patches."""
        answer = traffic.get(self.web.url("echo"))
        assert answer.status == 200
        return answer.headers.get("x-patched")

    def dump(self, of: sidecars.Sidecar, kind: str) -> dict[str, Any]:
        """The resources of a kind in an Envoy's configuration, by name."""
        found = json.loads(of.admin(f"/config_dump?resource={kind}")[1]).get("configs", [])
        plain = (each.get("cluster") or each["active_state"]["listener"] for each in found)
        return {each["name"]: each for each in plain}


@pytest.fixture(scope="module")
def pair(shared_plane: planes.Plane) -> Iterator[Pair]:
    with meshes.mesh(shared_plane) as mesh:
        yield Pair(mesh)


def host(value: str, **match: str) -> dict[str, Any]:
    return {"virtualHost": {"operation": "Patch", "match": {"origin": "outbound", **match}, "value": value}}


def header(value: str) -> str:
    return json.dumps({"responseHeadersToAdd": [{"header": {"key": "x-patched", "value": value}}]})


def test_a_virtual_host_and_a_filter(pair: Pair) -> None:
    pair.write(host(header("host"), name="echo"))
    network.until("the answer is changed", lambda: pair.patched() == "host")
    place = {"operation": "AddBefore", "match": {"name": ROUTER, "origin": "inbound"}, "value": LUA}
    pair.write({"httpFilter": place})
    network.until("the answer is changed", lambda: pair.patched() == "filter")
    found = pair.dump(pair.echo, "dynamic_listeners")[f"inbound:{pair.echo.address}:{pair.echo.inbound_port['echo']}"]
    (manager,) = [each["typed_config"] for each in found["filter_chains"][0]["filters"]]
    assert [each["name"] for each in manager["http_filters"]] == ["lua", ROUTER]


def test_clusters_are_patched_added_and_removed(pair: Pair) -> None:
    patches = [{"op": "replace", "path": "/connectTimeout", "value": "7s"}]
    pair.write(
        {"cluster": {"operation": "Patch", "match": {"name": "echo"}, "jsonPatches": patches}},
        {"cluster": {"operation": "Add", "value": "{name: added, type: STATIC, connectTimeout: 1s}"}},
    )
    network.until("it is added", lambda: "added" in pair.dump(pair.web, "dynamic_active_clusters"))
    assert pair.dump(pair.web, "dynamic_active_clusters")["echo"]["connect_timeout"] == "7s"
    network.until("the filter of the patch before is gone", lambda: pair.patched() is None)
    pair.write({"cluster": {"operation": "Remove", "match": {"name": "echo"}}})
    network.until("it is removed", lambda: "echo" not in pair.dump(pair.web, "dynamic_active_clusters"))
    traffic.until_status(pair.web.url("echo"), 503)
    pair.write()
    traffic.until_status(pair.web.url("echo"), 200)


def test_what_cannot_be_done_is_told_and_the_rest_is_done(pair: Pair) -> None:
    patches = [{"op": "replace", "path": "/nothing", "value": 1}]
    impossible = {"cluster": {"operation": "Patch", "match": {"name": "echo"}, "jsonPatches": patches}}
    with traffic.flowing(pair.web.url("echo")) as requests:
        pair.write(impossible, host(header("rest")))
        network.until("the rest is done", lambda: pair.patched() == "rest")
        requests.until_more()
    program = pair.mesh.plane.program
    assert program is not None
    network.until("it is told", lambda: 'echo stays as it was: there is no "/nothing"' in unescaped(program.text()))
    late = pair.mesh.sidecar("late", inbounds={"late": (1, "http")}, outbounds=("echo",)).start()
    traffic.until_status(late.url("echo"), 200)


def unescaped(text: str) -> str:
    """A log in which quotes stand as they are."""
    return text.replace('\\"', '"')


def test_what_envoy_refuses_is_told_and_the_last_good_configuration_stays(pair: Pair) -> None:
    pair.write(host(header("good")))
    network.until("the answer is changed", lambda: pair.patched() == "good")
    with traffic.flowing(pair.web.url("echo")) as requests:
        pair.write(host(header("bad")), host("domains: ['*']"))  # the same domain twice
        error = network.until("the rejection is told", lambda: last_error(pair, "web"))
        requests.until_more()
    assert "domain" in error["message"].lower()
    assert pair.patched() == "good"
    pair.write()
    network.until("the correction heals it", lambda: pair.patched() is None and not last_error(pair, "web"))
    pair.mesh.may_reject.update(each.name for each in pair.mesh.sidecars)


def last_error(pair: Pair, name: str) -> dict[str, str]:
    """The rejection of listeners that stands; empty where there is none."""
    status = pair.mesh.plane.insight(pair.mesh.name, name)["subscriptions"][-1]["status"]
    found: dict[str, str] = status["lds"].get("lastError", {})
    return found
