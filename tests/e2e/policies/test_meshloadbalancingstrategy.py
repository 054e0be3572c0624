"""Which endpoint gets a request: by algorithm, by what sticks, by likeness within a zone, and by zone."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import echoes, meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshloadbalancingstrategy")]

SERVERS = {"one": "r1", "two": "r2", "three": "r2"}
"""The instances of service `echo` and the rack of each."""


class Cast:
    """Three servers in two racks, and a client in the first of them."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        self.servers = {
            name: mesh.sidecar(name, inbounds={"echo": mesh.echo("http", name).inbound}, tags={"rack": rack}).launch()
            for name, rack in SERVERS.items()
        }
        outbounds = ("echo", "outside")
        self.web: sidecars.Sidecar = mesh.sidecar(
            "web", inbounds={"web": (1, "http")}, outbounds=outbounds, tags={"rack": "r1"}
        ).launch()
        for each in mesh.sidecars:
            each.ready()
        network.until("all instances are known", lambda: len(self.web.endpoints("echo")) == len(SERVERS))

    def write(self, **default: Any) -> None:
        """Writes the policy, about all destinations."""
        spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
        path = f"/meshes/{self.mesh.name}/meshloadbalancingstrategies/p"
        document = {"type": "MeshLoadBalancingStrategy", "mesh": self.mesh.name, "name": "p", "spec": spec}
        answer = self.mesh.plane.call("PUT", path, document)
        assert answer.status in (200, 201), answer.text

    def answering(self, count: int = 12, service: str = "echo", **headers: str) -> Counter[str]:
        """The names of the applications that answer requests, each with how often."""
        answers = [traffic.get(self.web.url(service), **headers) for _ in range(count)]
        assert {each.status for each in answers} == {200}
        return Counter(each.document["app"] for each in answers)

    def cluster(self) -> dict[str, Any]:
        """The cluster of `echo` as Envoy has it."""
        dump = json.loads(self.web.admin("/config_dump?resource=dynamic_active_clusters")[1])
        (found,) = [each["cluster"] for each in dump["configs"] if each["cluster"]["name"] == "echo"]
        return dict(found)


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh)


HEADER = {"type": "Header", "header": {"name": "x-user"}}
BALANCERS: dict[str, dict[str, Any]] = {
    "ROUND_ROBIN": {"type": "RoundRobin"},
    "RANDOM": {"type": "Random"},
    "LEAST_REQUEST": {"type": "LeastRequest", "leastRequest": {"choiceCount": 3, "activeRequestBias": "1.3"}},
    "RING_HASH": {
        "type": "RingHash",
        "ringHash": {"minRingSize": 64, "maxRingSize": 1024, "hashFunction": "MurmurHash2"},
    },
    "MAGLEV": {"type": "Maglev", "maglev": {"tableSize": 251}},
}


@pytest.mark.parametrize("algorithm", BALANCERS)
def test_every_algorithm_reaches_all(cast: Cast, algorithm: str) -> None:
    cast.write(loadBalancer=BALANCERS[algorithm])
    network.until("it is in force", lambda: cast.cluster().get("lb_policy", "ROUND_ROBIN") == algorithm)
    network.until("all are reached", lambda: len(cast.answering()) == len(SERVERS))


@pytest.mark.parametrize("algorithm", ["RING_HASH", "MAGLEV"])
def test_users_stick(cast: Cast, algorithm: str) -> None:
    cast.write(loadBalancer=BALANCERS[algorithm], hashPolicies=[HEADER])

    def chosen() -> dict[str, set[str]]:
        """The instances that answer each of some users."""
        users = (f"user-{number}" for number in range(12))
        return {user: set(cast.answering(6, **{"x-user": user})) for user in users}

    def is_in_force() -> bool:
        return cast.cluster().get("lb_policy") == algorithm and all(len(each) == 1 for each in chosen().values())

    network.until("users stick", is_in_force)
    before = chosen()
    assert len(set.union(*before.values())) > 1
    assert chosen() == before


def test_other_zones_help_out(cast: Cast) -> None:
    """Endpoints in other zones are stood for by destinations outside the mesh that say so."""
    health = {"interval": "100ms", "noTrafficInterval": "100ms", "timeout": "1s", "healthyThreshold": 1}
    to = [{"targetRef": {"kind": "Mesh"}, "default": {**health, "unhealthyThreshold": 1, "http": {"path": "/"}}}]
    cast.mesh.plane.put({"type": "MeshHealthCheck", "mesh": cast.mesh.name, "name": "health", "spec": {"to": to}})
    with contextlib.ExitStack() as stack:
        near = stack.enter_context(contextlib.ExitStack())
        for zone in ("default", "east", "west"):
            app = (near if zone == "default" else stack).enter_context(echoes.echo("http", zone))
            outside(cast.mesh, zone, app.port)
        only = {"type": "Only", "zones": ["east"]}
        cast.write(localityAwareness={"crossZone": {"failover": [{"to": only}]}})
        network.until("there are two zones", lambda: len(cast.web.endpoints("outside")) == 2)
        network.until("the own zone answers", lambda: set(cast.answering(6, "outside")) == {"default"})
        near.close()
        network.until("another helps out", lambda: set(cast.answering(6, "outside")) == {"east"})
        cast.write(localityAwareness={"crossZone": {"failover": [{"to": {**only, "zones": ["west"]}}]}})
        network.until("and then the third", lambda: set(cast.answering(6, "outside")) == {"west"})


def outside(mesh: meshes.Mesh, zone: str, port: int) -> None:
    """Writes a destination of service `outside` in a zone."""
    tags = {"kuma.io/service": "outside", "kuma.io/protocol": "http", "kuma.io/zone": zone}
    networking = {"address": f"127.0.0.1:{port}"}
    document = {"type": "ExternalService", "mesh": mesh.name, "name": zone, "networking": networking, "tags": tags}
    answer = mesh.plane.call("PUT", f"/meshes/{mesh.name}/external-services/{zone}", document)
    assert answer.status in (200, 201), answer.text


def test_endpoints_like_the_client_come_first(cast: Cast) -> None:
    cast.write(localityAwareness={"localZone": {"affinityTags": [{"key": "rack", "weight": 100_000}]}})
    network.until("those of its rack answer", lambda: set(cast.answering(20)) == {"one"})
    cast.servers["one"].kill()
    network.until("it is gone", lambda: len(cast.web.endpoints("echo")) == 2)
    network.until("the others answer", lambda: set(cast.answering(20)) == {"two", "three"})
