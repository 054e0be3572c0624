"""What readers of metrics find: listeners of Envoy, clusters behind them, and the document that the agent gets."""

import json
from typing import Any

import pytest

from kuma.compiler import compile
from kuma.plan import nodes, proxy
from kuma.policies.meshmetric import translate
from kuma.resources import resource as res
from tests.kit import policies, telemetry, worlds

PROMETHEUS = {"type": "Prometheus", "prometheus": {}}
HIJACKER = "/run/kuma/kuma-mh-web-1-m.sock"
TAGS = {
    "kuma_io_protocol": "http",
    "kuma_io_protocols": ",http,",
    "kuma_io_service": "web",
    "kuma_io_services": ",web,",
    "version": "v1",
    "versions": ",v1,",
}


def prometheus(**conf: Any) -> dict[str, Any]:
    return {"type": "Prometheus", "prometheus": conf}


def otlp(**conf: Any) -> dict[str, Any]:
    return {"type": "OpenTelemetry", "openTelemetry": conf}


def a_policy(*backends: dict[str, Any], **conf: Any) -> res.Resource[Any]:
    return policies.a_policy("MeshMetric", "t", default={"backends": backends, **conf})


def plan(*given: res.Resource[Any], **options: Any) -> nodes.ProxyPlan:
    return telemetry.Stage(translate.POLICY, *given, **options).plan()


def document(made: nodes.ProxyPlan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.documents["meshmetric"])["observability"]["metrics"]
    return found


@pytest.mark.parametrize(
    ("conf", "unified", "names", "port", "path"),
    [
        ({}, False, ("_kuma:metrics:prometheus:default-backend", "_kuma:metrics:hijacker"), 5670, "/metrics"),
        (
            {"clientId": "a.b", "port": 9000, "path": "/m"},
            True,
            ("system_meshmetric_prometheus_a-b", "system_meshmetric_prometheus_a-b"),
            9000,
            "/m",
        ),
    ],
)
def test_prometheus(conf: dict[str, Any], unified: bool, names: tuple[str, str], port: int, path: str) -> None:
    made = plan(a_policy(prometheus(**conf)), unified=unified, metadata={"features": ["feature-reuse-port"]})
    (listener,), (cluster,) = made.listeners, made.clusters
    assert (listener.name, cluster.name) == names
    found = telemetry.as_json(listener.message)
    assert found["address"]["socketAddress"] == {"address": "192.168.0.1", "portValue": port}
    assert (found["trafficDirection"], found["enableReusePort"]) == ("INBOUND", True)
    assert found.get("statPrefix") == (names[0] if unified else None)
    (host,) = telemetry.as_json(listener.chains[0].http)["routeConfig"]["virtualHosts"]
    assert host["routes"] == [
        {"match": {"prefix": path}, "route": {"cluster": names[1], "prefixRewrite": "/meshmetric"}}
    ]
    assert telemetry.address(cluster) == HIJACKER
    assert "circuitBreakers" not in telemetry.as_json(cluster.message)


def test_it_takes_the_place_of_the_backend_of_the_mesh() -> None:
    mesh = worlds.a_mesh(metrics={"enabledBackend": "p", "backends": [{"name": "p", "type": "prometheus"}]})
    metadata = {"dataplane.admin.port": "9901"}

    def found(*given: res.Resource[Any]) -> list[str]:
        picture = worlds.world([mesh, worlds.a_dataplane("d", "s"), *given]).meshes["m"]
        subject = proxy.facts_of(picture.dataplanes["d"], metadata)
        compiler = compile.Compiler((translate.POLICY,))
        own = compiler.own(picture, subject, compiler.match(picture, subject), compile.Issued(), None)
        return sorted(name for found in own.sets.values() for name in found if "metrics" in name)

    assert found() == ["kuma:metrics:hijacker", "kuma:metrics:prometheus"]
    assert found(a_policy()) == found()
    assert found(a_policy(prometheus())) == ["_kuma:metrics:hijacker", "_kuma:metrics:prometheus:default-backend"]


def test_several_of_them_share_what_is_behind() -> None:
    made = plan(a_policy(prometheus(clientId="a"), prometheus(clientId="b", port=1234)))
    assert [each.name for each in made.listeners] == ["_kuma:metrics:prometheus:a", "_kuma:metrics:prometheus:b"]
    assert [each.name for each in made.clusters] == ["_kuma:metrics:hijacker"]
    assert document(made)["backends"] == [{"type": "Prometheus", "name": None}]


@pytest.mark.parametrize(
    ("mode", "metadata", "chains"),
    [
        ("ProvidedTLS", {"metricsCertPath": "/c", "metricsKeyPath": "/k"}, [None, ("/c", "/k")]),
        ("ProvidedTLS", {"metricsCertPath": "/c"}, [None]),
        ("Disabled", {"metricsCertPath": "/c", "metricsKeyPath": "/k"}, [None]),
        ("ActiveMTLSBackend", {"metricsCertPath": "/c", "metricsKeyPath": "/k"}, [None]),
    ],
)
def test_tls_of_the_user(mode: str, metadata: dict[str, str], chains: list[Any]) -> None:
    (listener,) = plan(a_policy(prometheus(tls={"mode": mode})), metadata=metadata).listeners
    found = []
    for chain in listener.chains:
        pair = chain.tls.common_tls_context.tls_certificates[0] if chain.tls is not None else None
        found.append(pair and (pair.certificate_chain.filename, pair.private_key.filename))
        assert (chain.match is not None) is (chain.tls is not None)
    assert found == chains
    assert len(listener.message.listener_filters) == len(chains) - 1


def test_a_collector_is_reached_through_envoy() -> None:
    made = plan(a_policy(otlp(endpoint="otel/x:4000", refreshInterval="90s"), otlp(endpoint="10.0.0.9")))
    named = ["otelx-4000", "10.0.0.9"]
    assert [each.name for each in made.listeners] == [f"_kuma:metrics:opentelemetry:{each}" for each in named]
    assert [each.name for each in made.clusters] == [each.name for each in made.listeners]
    assert telemetry.address(made.clusters[1]) == ("10.0.0.9", 4317)
    for listener, name in zip(made.listeners, named, strict=True):
        assert listener.message.address.pipe.path == f"/run/kuma/kuma-otel-{name}.sock"
        assert [each.name for each in listener.chains[0].http_filters] == ["envoy.filters.http.grpc_stats"]
    assert document(made)["backends"] == [
        {
            "type": "OpenTelemetry",
            "name": name,
            "openTelemetry": {"endpoint": f"/run/kuma/kuma-otel-{name}.sock", "refreshInterval": interval},
        }
        for name, interval in zip(named, ["1m30s", "1m0s"], strict=True)
    ]


def test_an_agent_that_hands_on_sends_itself() -> None:
    backend = telemetry.a_backend("main", {"team": "a"}, endpoint={"address": "c"})
    given = a_policy(otlp(**telemetry.reference(team="a"), refreshInterval="10s"))
    made = plan(given, metadata=telemetry.PIPE, backends=[backend])
    assert (made.listeners, made.clusters, document(made)["backends"]) == ([], [], None)
    (told,) = json.loads(made.documents["otel"])["backends"]
    assert told["metrics"] == {"enabled": True, "refreshInterval": "10s"}
    assert list(made.documents) == ["meshmetric", "otel"]


def test_the_document() -> None:
    profiles = {
        "appendProfiles": [{"name": "Basic"}],
        "exclude": [{"type": "Regex", "match": "a<b"}],
        "include": [{"type": "Exact", "match": "c"}],
    }
    applications = [{"port": 80}, {"name": "shop", "port": 81, "path": "/m", "address": "10.0.0.1"}]
    made = plan(a_policy(PROMETHEUS, applications=applications, sidecar={"profiles": profiles, "includeUnused": True}))
    found = document(made)
    assert found["applications"] == [
        {"path": "/metrics", "port": 80, "address": ""},
        {"name": "shop", "path": "/m", "port": 81, "address": "10.0.0.1"},
    ]
    assert found["sidecar"] == {"profiles": profiles, "includeUnused": True}
    assert b'"match":"a\\u003cb"' in made.documents["meshmetric"]


@pytest.mark.parametrize(
    ("unified", "labels", "expected"),
    [
        (False, {}, {**TAGS, "dataplane": "web-1", "service": "web"}),
        (False, {"kuma.io/workload": "w"}, {**TAGS, "dataplane": "web-1", "kuma.workload": "w"}),
        (True, {}, {}),
    ],
)
def test_labels_of_every_metric(unified: bool, labels: dict[str, str], expected: dict[str, str]) -> None:
    found = document(plan(a_policy(PROMETHEUS), unified=unified, labels=labels))
    assert found["extraLabels"] == {"kuma.proxy_role": "sidecar", "mesh": "m", "zone": "east", **expected}
    assert (found["applications"], found["sidecar"]) == (None, None)


@pytest.mark.parametrize("given", [[], [a_policy()], [a_policy(applications=[{"port": 80}])]])
def test_without_a_reader_nothing_is_offered(given: list[res.Resource[Any]]) -> None:
    made = plan(*given)
    assert (made.listeners, made.clusters, made.documents) == ([], [], {})
