"""Connections are spread over the backends of a MeshTCPRoute, seen by the applications behind real Envoys."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshtcproute")]

FIRST, SECOND = {"kind": "MeshService", "name": "first"}, {"kind": "MeshService", "name": "second"}
OUTBOUNDS = ("first", "second", "third")
NOBODY = {"kind": "MeshService", "name": "nobody", "port": 80}


class Stage:
    """A client of `first`, TCP as far as the mesh knows, of `second`, Kafka, and of `third`, which speaks HTTP."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh.write(mtls=meshes.mtls())
        mesh.permit()
        spoken = {"first": "tcp", "second": "kafka"}
        inbounds = {name: (mesh.echo("http", name).port, protocol) for name, protocol in spoken.items()}
        inbounds["third"] = mesh.echo("http", "third").inbound
        mesh.sidecar("servers", inbounds=inbounds).launch()
        self.web: sidecars.Sidecar = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=OUTBOUNDS).launch()
        for each in mesh.sidecars:
            each.ready()
        for service in OUTBOUNDS:
            traffic.until_status(self.web.url(service), 200)

    def ask(self, service: str = "first") -> str:
        """Who answers a request on a new connection; empty where it is closed or nobody does."""
        try:
            answer = traffic.get(self.web.url(service))
        except OSError:
            return ""
        return str(answer.document["app"]) if answer.status == 200 else ""

    def route(self, to: str, *backends: dict[str, Any]) -> Any:
        """A MeshTCPRoute for the time of a block."""
        rules = [{"default": {"backendRefs": list(backends)}}]
        return self.mesh.policy("MeshTCPRoute", to=[{"targetRef": {"kind": "MeshService", "name": to}, "rules": rules}])


@pytest.fixture(scope="module")
def stage(shared_plane: planes.Plane) -> Iterator[Stage]:
    with meshes.mesh(shared_plane) as mesh:
        yield Stage(mesh)


def test_connections_are_split_by_weight(stage: Stage) -> None:
    """One in four of 400: five standard deviations are 43."""
    with stage.route("first", {**FIRST, "weight": 75}, {**SECOND, "weight": 25}):
        network.until("the second one is asked, too", lambda: stage.ask() == "second")
        found = Counter(stage.ask() for _ in range(400))
    assert found.keys() == {"first", "second"}
    assert 57 <= found["second"] <= 143


def test_a_backend_that_is_not_there_gets_nothing(stage: Stage) -> None:
    with stage.route("first", NOBODY, SECOND):
        network.until("the other one is asked", lambda: stage.ask() == "second")
    network.until("the route is gone", lambda: stage.ask() == "first")
    with stage.route("first", NOBODY):
        network.until("connections are closed", lambda: stage.ask() == "")
    network.until("the route is gone", lambda: stage.ask() == "first")


def test_an_envoy_without_the_filter_for_kafka_carries_it_all_the_same(stage: Stage) -> None:
    assert stage.ask("second") == "second"
    assert "kafka_broker" not in stage.web.admin("/config_dump")[1]


def test_connections_to_a_destination_that_speaks_http(stage: Stage) -> None:
    with stage.route("third", SECOND):
        network.until("the other one is asked", lambda: stage.ask("third") == "second")
    network.until("the route is gone", lambda: stage.ask("third") == "third")
