"""Faults strike: whom they should, as often as they should, and nobody else."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import acting, meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshfaultinjection")]

SIDECARS = {"kind": "Mesh", "proxyTypes": ["Sidecar"]}


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane, mtls=True) as made:
        yield made


def abort(status: int, percentage: int | str = 100) -> dict[str, Any]:
    return {"abort": {"httpStatus": status, "percentage": percentage}}


def entry(*faults: dict[str, Any], **tags: str) -> dict[str, Any]:
    """An entry of `from`: clients with these tags, `kuma.io/` left out."""
    named = {f"kuma.io/{key}": value for key, value in tags.items()}
    return {
        "targetRef": {"kind": "MeshSubset", "tags": named} if named else {"kind": "Mesh"},
        "default": {"http": list(faults)},
    }


def statuses(client: sidecars.Sidecar, count: int) -> Counter[int]:
    return Counter(traffic.get(client.url("echo")).status for _ in range(count))


def until_all(client: sidecars.Sidecar, status: int) -> None:
    """Waits until every instance answers a client so."""

    def answered() -> bool:
        assert set(statuses(client, 8)) == {status}
        return True

    network.until(f"{client.name} gets {status}", answered)


@contextlib.contextmanager
def faults(cast: acting.Cast, **spec: Any) -> Iterator[None]:
    """A MeshFaultInjection for the time of the block, and until nobody is struck any more."""
    with cast.mesh.policy("MeshFaultInjection", SIDECARS, **spec):
        yield
    for client in (cast.web, cast.job):
        until_all(client, 200)


def until_settled(server: sidecars.Sidecar) -> None:
    """Waits until a server has closed the connections of its configuration before."""
    draining = ("listener_manager.total_filter_chains_draining", "listener_manager.total_listeners_draining")
    network.until(f"{server.name} has settled", lambda: not any(server.stat(each) for each in draining))


def test_as_many_requests_are_aborted_as_the_share_says(cast: acting.Cast) -> None:
    """Five standard deviations: one run in a million strays further."""
    with faults(cast, from_=[entry(abort(418, 50))]):
        for server in (cast.first, cast.second):
            server.until_told("fault.v3.HTTPFault")
        traffic.until_status(cast.web.url("echo"), 418)
        for server in (cast.first, cast.second):
            until_settled(server)
        found = statuses(cast.web, 400)
        assert set(found) == {200, 418}
        assert abs(found[418] - 200) <= 50


def test_clients_are_known_by_their_tags(cast: acting.Cast) -> None:
    with faults(cast, from_=[entry(abort(418), service="web")]):
        until_all(cast.web, 418)
        assert set(statuses(cast.job, 20)) == {200}


def test_a_client_is_struck_by_the_entry_about_it_alone(cast: acting.Cast) -> None:
    both = [entry(abort(417)), entry(abort(418), service="web")]
    with faults(cast, from_=both):
        until_all(cast.web, 418)
        until_all(cast.job, 417)


@pytest.mark.parametrize(("kind", "name"), [("Exact", "web"), ("Prefix", "we")])
def test_clients_are_known_by_their_spiffe_id(cast: acting.Cast, kind: str, name: str) -> None:
    match = {"spiffeID": {"type": kind, "value": f"spiffe://{cast.mesh.name}/{name}"}}
    special = {"matches": [match], "default": {"http": [abort(418)]}}
    with faults(cast, rules=[special]):
        until_all(cast.web, 418)
        assert set(statuses(cast.job, 20)) == {200}
    with faults(cast, rules=[{"default": {"http": [abort(417)]}}, special]):
        until_all(cast.web, 418)
        until_all(cast.job, 417)


def test_clients_without_a_certificate_are_struck_with_everybody(cast: acting.Cast) -> None:
    anybody = {"spiffeID": {"type": "Prefix", "value": f"spiffe://{cast.mesh.name}"}}
    special = {"matches": [anybody], "default": {"http": [abort(418)]}}
    cast.mesh.write(mtls=meshes.mtls(mode="PERMISSIVE"))
    try:
        with faults(cast, rules=[{"default": {"http": [abort(417)]}}, special]):
            until_all(cast.web, 418)
            assert {traffic.status(cast.first.inbound("echo")) for _ in range(8)} == {417}
    finally:
        cast.mesh.write(mtls=meshes.mtls())


def test_applications_are_not_told_the_tags(cast: acting.Cast) -> None:
    cast.mesh.sidecar("mirror", inbounds={"mirror": cast.mesh.echo("http").inbound}).start()
    asker = cast.mesh.sidecar("asker", inbounds={"asker": (1, "http")}, outbounds=("mirror",)).start()
    with faults(cast, from_=[entry(abort(418), service="web")]):
        asker.until_told("kuma.io/service=asker")
        assert "x-kuma-tags" not in traffic.headers_seen(asker.url("mirror"))


def test_requests_are_held_back(cast: acting.Cast) -> None:
    def waits() -> bool:
        try:
            planes.ask(*cast.web.url("echo"), "GET", "/", timeout=0.5)
        except TimeoutError:
            return True
        return False

    fault = {"delay": {"value": "10m", "percentage": 100}}
    with faults(cast, from_=[entry(fault)]):
        network.until("requests wait", waits)
        assert _injected(cast, "delays_injected")


def test_responses_are_slowed_down(cast: acting.Cast) -> None:
    fault = {"responseBandwidth": {"limit": "1Mbps", "percentage": "100"}}
    with faults(cast, from_=[entry(fault)]):
        network.until(
            "responses are slowed down",
            lambda: set(statuses(cast.web, 2)) == {200} and _injected(cast, "response_rl_injected"),
        )


def _injected(cast: acting.Cast, what: str) -> bool:
    lines = [
        line for server in (cast.first, cast.second) for line in server.admin(f"/stats?filter={what}")[1].split("\n")
    ]
    return any(line and not line.endswith(": 0") for line in lines)
