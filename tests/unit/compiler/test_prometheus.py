"""The Prometheus backend of a Mesh as a listener of its proxies."""

from typing import Any

import pytest

from kuma.compiler import prometheus
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from tests.kit import telemetry, worlds

ADMIN = {"dataplane.admin.port": "9901", "workdir": "/run/kuma"}
PAIR = {"metricsCertPath": "/c.pem", "metricsKeyPath": "/k.pem"}


def a_mesh(conf: dict[str, Any], **fields: Any) -> res.Resource[Any]:
    backends = [{"name": "p", "type": "prometheus", "conf": conf}, {"name": "q", "type": "prometheus"}]
    return worlds.a_mesh(metrics={"enabledBackend": "p", "backends": backends}, **fields)


def a_dataplane(own: dict[str, Any] | None = None, address: str = "192.168.0.1") -> res.Resource[Any]:
    inbound = {"port": 8080, "servicePort": 80, "serviceAddress": "0.0.0.0", "tags": {"kuma.io/service": "s"}}
    outbound = {"port": 7000, "address": "192.168.0.1", "tags": {"kuma.io/service": "s"}}
    return worlds.resource(
        {
            "type": "Dataplane",
            "name": "d",
            "networking": {"address": address, "inbound": [inbound], "outbound": [outbound]},
            **({"metrics": {"name": "p", "type": "prometheus", "conf": own}} if own is not None else {}),
        }
    )


def picture(*resources: res.Resource[Any]) -> view.MeshView:
    return worlds.world(resources).meshes["m"]


def made(
    mesh: res.Resource[Any], dataplane: res.Resource[Any] | None = None, **metadata: Any
) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    there = picture(mesh, dataplane or a_dataplane())
    return prometheus.prometheus_nodes(there, proxy.facts_of(there.dataplanes["d"], {**ADMIN, **metadata}))


def routes(chain: nodes.ChainNode) -> Any:
    (host,) = telemetry.as_json(chain.http)["routeConfig"]["virtualHosts"]
    return host["routes"]


@pytest.mark.parametrize(
    ("conf", "own", "port", "path", "rewrite"),
    [
        ({}, None, 5670, "/metrics", "/"),
        ({"port": 1, "path": "/a"}, {}, 1, "/a", "/"),
        ({"port": 1, "path": "/a"}, {"port": 2, "path": "/b"}, 2, "/b", "/"),
        ({"envoy": {"filterRegex": "http.*", "usedOnly": True}}, None, 5670, "/metrics", "/?filter=http.*&usedonly"),
        ({"envoy": {"usedOnly": True}}, {"envoy": {"filterRegex": "a"}}, 5670, "/metrics", "/?filter=a"),
        ({"envoy": {"usedOnly": False}}, None, 5670, "/metrics", "/"),
    ],
)
def test_the_dataplane_has_the_last_word(
    conf: dict[str, Any], own: dict[str, Any] | None, port: int, path: str, rewrite: str
) -> None:
    (listener,), (cluster,) = made(a_mesh(conf), a_dataplane(own), features=["feature-reuse-port"])
    assert (listener.name, cluster.name) == ("kuma:metrics:prometheus", "kuma:metrics:hijacker")
    found = telemetry.as_json(listener.message)
    assert found["address"]["socketAddress"] == {"address": "192.168.0.1", "portValue": port}
    assert (found["trafficDirection"], found["enableReusePort"]) == ("INBOUND", True)
    (chain,) = listener.chains
    assert routes(chain) == [
        {"match": {"prefix": path}, "route": {"cluster": "kuma:metrics:hijacker", "prefixRewrite": rewrite}}
    ]
    assert telemetry.address(cluster) == "/run/kuma/kuma-mh-d-m.sock"


@pytest.mark.parametrize("port", [8080, 80, 7000])
def test_what_listens_already_goes_first(port: int) -> None:
    assert made(a_mesh({"port": port})) == ([], [])


@pytest.mark.parametrize(
    ("mesh", "metadata"),
    [
        (worlds.a_mesh(), {}),
        (worlds.a_mesh(metrics={"backends": [{"name": "p", "type": "prometheus"}]}), {}),
        (a_mesh({}), {"dataplane.admin.port": ""}),
    ],
)
def test_no_one_reads(mesh: res.Resource[Any], metadata: dict[str, Any]) -> None:
    assert made(mesh, **metadata) == ([], [])


@pytest.mark.parametrize(
    ("conf", "own", "metadata", "secured"),
    [
        ({}, None, {}, [False, True]),
        ({"skipMTLS": True}, None, {}, [False]),
        ({"tls": {"mode": "disabled"}}, None, {}, [False]),
        ({"tls": {"mode": "activeMTLSBackend"}}, {}, {}, [False, True]),
        ({}, {"tls": {"mode": "disabled"}}, {}, [False]),
        ({"tls": {"mode": "providedTLS"}}, None, PAIR, [True]),
        ({"tls": {"mode": "providedTLS"}}, None, {}, [False]),
    ],
)
def test_who_is_verified(
    conf: dict[str, Any], own: dict[str, Any] | None, metadata: dict[str, Any], secured: list[bool]
) -> None:
    (listener,), _ = made(a_mesh(conf, mtls=worlds.BUILTIN), a_dataplane(own), **metadata)
    assert [chain.tls is not None for chain in listener.chains] == secured


def test_its_own_address_needs_no_certificate() -> None:
    (listener,), _ = made(a_mesh({}, mtls=worlds.BUILTIN))
    near, others = listener.chains
    assert telemetry.as_json(near.match) == {
        "sourcePrefixRanges": [{"addressPrefix": "192.168.0.1", "prefixLen": 32}],
    }
    assert (others.match, routes(near)) == (None, routes(others))
    (host,), _ = made(a_mesh({}, mtls=worlds.BUILTIN), a_dataplane(address="web.local"))
    assert [chain.tls is not None for chain in host.chains] == [True]


def test_without_mutual_tls_nobody_is_verified() -> None:
    (listener,), _ = made(a_mesh({"tls": {"mode": "activeMTLSBackend"}}))
    assert [chain.tls for chain in listener.chains] == [None]
