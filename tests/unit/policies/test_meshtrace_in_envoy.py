"""Which spans Envoy reports, of whom and to whom."""

from typing import Any

import pytest

from kuma.base import kri
from kuma.plan import nodes
from kuma.policies.meshtrace import translate
from kuma.resources import resource as res
from tests.kit import policies, telemetry

EXTERNAL = kri.Kri("extsvc", "m", "east", "", "pay", "443")
ZIPKIN = {"type": "Zipkin", "zipkin": {"url": "http://zipkin.local:9411/api/v2/spans"}}
DATADOG = {"type": "Datadog", "datadog": {"url": "http://dd:8126"}}
SPLIT = {"type": "Datadog", "datadog": {"url": "http://dd:8126", "splitService": True}}
BY_LABEL = {"type": "OpenTelemetry", "openTelemetry": telemetry.reference(team="a")}
INLINE = {"type": "OpenTelemetry", "openTelemetry": {"endpoint": "otel:4000"}}


def a_policy(*backends: dict[str, Any], **conf: Any) -> res.Resource[Any]:
    return policies.a_policy("MeshTrace", "t", default={"backends": backends, **conf})


def stage(*given: res.Resource[Any], **options: Any) -> telemetry.Stage:
    return telemetry.Stage(translate.POLICY, *given, **options)


def tracing(listener: nodes.ListenerNode) -> dict[str, Any]:
    found: dict[str, Any] = telemetry.as_json(listener.chains[0].http).get("tracing", {})
    return found


def provider(listener: nodes.ListenerNode) -> dict[str, Any]:
    found: dict[str, Any] = tracing(listener)["provider"]["typedConfig"]
    return {key: each for key, each in found.items() if key != "@type"}


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, {}),
        (
            {"traceId128bit": True, "apiVersion": "httpProto", "sharedSpanContext": False},
            {"traceId128bit": True, "collectorEndpointVersion": "HTTP_PROTO", "sharedSpanContext": False},
        ),
    ],
)
def test_zipkin(conf: dict[str, Any], expected: dict[str, Any]) -> None:
    backend = {"type": "Zipkin", "zipkin": {**ZIPKIN["zipkin"], **conf}}  # type: ignore[dict-item]
    found = provider(stage(a_policy(backend)).outbound().listener)
    default = {
        "collectorCluster": "meshtrace:zipkin",
        "collectorEndpoint": "/api/v2/spans",
        "collectorHostname": "zipkin.local:9411",
        "collectorEndpointVersion": "HTTP_JSON",
        "sharedSpanContext": True,
    }
    assert found == default | expected


@pytest.mark.parametrize(
    ("backend", "inbound", "outbound"),
    [(DATADOG, "web", "web"), (SPLIT, "web_INBOUND", "web_OUTBOUND_api"), (INLINE, "web", "web")],
)
def test_the_service_that_reports(backend: dict[str, Any], inbound: str, outbound: str) -> None:
    made = stage(a_policy(backend))
    (node,) = made.plan(inbounds=[made.inbound()]).inbounds
    assert provider(node.listener)["serviceName"] == inbound
    assert provider(made.outbound(target=telemetry.API).listener)["serviceName"] == outbound


def test_proxies_that_report_to_zipkin_share_their_outbounds() -> None:
    assert stage(a_policy(ZIPKIN)).context.own == translate.Own("", "", translate.collectors.Reach("", "", False))
    assert stage(a_policy()).context.own is None


@pytest.mark.parametrize(("features", "is_shared"), [(telemetry.PIPE, True), ({}, False)])
def test_where_an_agent_keeps_its_sockets_does_not_part_proxies(features: dict[str, Any], is_shared: bool) -> None:
    """Where it runs does, if that is where the collector is."""
    metadata = ({"workdir": f"/run/{each}", "dynamicMetadata": {"HOST_IP": f"10.0.0.{each}"}} for each in (1, 2))
    one, other = (stage(a_policy(BY_LABEL), metadata={**features, **each}).context.own for each in metadata)
    assert (one == other) is is_shared


@pytest.mark.parametrize(
    ("tags", "labels", "expected"),
    [
        ([], {}, [("kuma.mesh", "m"), ("kuma.zone", "east")]),
        (
            [{"name": "kuma.zone", "literal": "here"}, {"name": "h", "header": {"name": "x-h", "default": "d"}}],
            {"kuma.io/workload": "shop"},
            [("kuma.zone", "here"), ("h", ("x-h", "d")), ("kuma.mesh", "m"), ("kuma.workload", "kri_wl_m_east__shop_")],
        ),
        (
            [{"name": "h", "header": {"name": "x-h"}}],
            {},
            [("h", ("x-h", None)), ("kuma.mesh", "m"), ("kuma.zone", "east")],
        ),
    ],
)
def test_tags(tags: list[dict[str, Any]], labels: dict[str, str], expected: list[Any]) -> None:
    found = tracing(stage(a_policy(ZIPKIN, tags=tags), labels=labels).outbound().listener)["customTags"]
    said = [
        (each["tag"], each["literal"]["value"])
        if "literal" in each
        else (each["tag"], (each["requestHeader"]["name"], each["requestHeader"].get("defaultValue")))
        for each in found
    ]
    assert said == expected


def test_tags_that_envoy_does_not_take_are_left_out() -> None:
    tags = [{"name": "a", "literal": ""}, {"name": "b", "header": {"name": ""}}, {"name": "c", "literal": "d"}]
    found = tracing(stage(a_policy(ZIPKIN, tags=tags)).outbound().listener)["customTags"]
    assert [each["tag"] for each in found] == ["c", "kuma.mesh", "kuma.zone"]


def test_zipkin_without_a_path() -> None:
    backend = {"type": "Zipkin", "zipkin": {"url": "http://zipkin.local:9411"}}
    assert provider(stage(a_policy(backend)).outbound().listener)["collectorEndpoint"] == "/api/v2/spans"


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({}, {}),
        (
            {"overall": 80, "client": "0.5", "random": 0},
            {"overallSampling": {"value": 80.0}, "clientSampling": {"value": 0.5}, "randomSampling": {}},
        ),
    ],
)
def test_sampling(sampling: dict[str, Any], expected: dict[str, Any]) -> None:
    found = tracing(stage(a_policy(ZIPKIN, sampling=sampling)).outbound().listener)
    assert found["spawnUpstreamSpan"] is False
    assert {key: each for key, each in found.items() if key.endswith("Sampling")} == expected


@pytest.mark.parametrize(
    ("backend", "unified", "name", "where"),
    [
        (ZIPKIN, False, "meshtrace:zipkin", ("zipkin.local", 9411)),
        (ZIPKIN, True, "system_meshtrace_zipkin_http---zipkin-local-9411-api-v2-spans", ("zipkin.local", 9411)),
        (DATADOG, True, "system_meshtrace_datadog_http---dd-8126", ("dd", 8126)),
        (INLINE, False, "meshtrace:opentelemetry", ("otel", 4000)),
        (INLINE, True, "system_meshtrace_otel_otel-4000", ("otel", 4000)),
        ({"type": "Zipkin", "zipkin": {"url": "http://10.0.0.9/s"}}, False, "meshtrace:zipkin", ("10.0.0.9", 80)),
        (
            {"type": "Zipkin", "zipkin": {"url": "zipkin.local:9411/s"}},
            False,
            "meshtrace:zipkin",
            ("zipkin.local", 9411),
        ),
        ({"type": "Zipkin", "zipkin": {"url": "http://z.local:99999"}}, False, "meshtrace:zipkin", ("z.local", 80)),
    ],
)
def test_the_cluster_of_a_collector(backend: dict[str, Any], unified: bool, name: str, where: Any) -> None:
    (cluster,) = stage(a_policy(backend), unified=unified).plan().clusters
    assert (cluster.name, telemetry.address(cluster)) == (name, where)
    is_ip = where[0][0].isdigit()
    found = telemetry.as_json(cluster.message)
    assert (found["type"], found.get("dnsLookupFamily")) == (("STATIC", None) if is_ip else ("STRICT_DNS", "V4_ONLY"))
    assert (cluster.http is not None) is (backend is INLINE)


def test_a_collector_behind_tls() -> None:
    backend = {"type": "Zipkin", "zipkin": {"url": "https://zipkin.local/api/v2/spans"}}
    (cluster,) = stage(a_policy(backend)).plan().clusters
    (match,) = telemetry.as_json(cluster.message)["transportSocketMatches"]
    context = match["transportSocket"]["typedConfig"]
    assert (match["name"], context["sni"], context["allowRenegotiation"]) == ("zipkin.local", "zipkin.local", True)
    assert telemetry.address(cluster) == ("zipkin.local", 443)


@pytest.mark.parametrize(
    ("spec", "metadata", "tracer", "where"),
    [
        (
            {"endpoint": {"address": "c", "port": 4318, "path": "/base/"}, "protocol": "http"},
            {},
            {"uri": "http://c:4318/base/v1/traces", "cluster": "meshtrace:opentelemetry", "timeout": "10s"},
            ("c", 4318),
        ),
        (
            {"endpoint": {"address": "c", "port": 443}, "protocol": "http"},
            {"systemCaPath": "/roots"},
            {"uri": "https://c:443/v1/traces", "cluster": "meshtrace:opentelemetry", "timeout": "10s"},
            ("c", 443),
        ),
        ({"endpoint": {"address": "c"}}, {}, None, ("c", 4317)),
        ({"protocol": "http"}, telemetry.PIPE, None, "/run/kuma/kuma-otel-main.sock"),
    ],
)
def test_opentelemetry(spec: dict[str, Any], metadata: dict[str, Any], tracer: Any, where: Any) -> None:
    backend = telemetry.a_backend("main", {"team": "a"}, **spec)
    made = stage(a_policy(BY_LABEL), metadata=metadata, backends=[backend])
    found = provider(made.outbound().listener)
    if tracer is None:
        assert found["grpcService"] == {"envoyGrpc": {"clusterName": "meshtrace:opentelemetry"}}
    else:
        assert found["httpService"] == {"httpUri": tracer}
    plan = made.plan()
    (cluster,) = plan.clusters
    assert telemetry.address(cluster) == where
    assert (cluster.http is None) is (tracer is not None)
    matches = telemetry.as_json(cluster.message).get("transportSocketMatches", [])
    trusted = [
        each["transportSocket"]["typedConfig"]["commonTlsContext"]["validationContext"]["trustedCa"] for each in matches
    ]
    assert trusted == ([{"filename": "/roots"}] if "systemCaPath" in metadata else [])
    assert ("otel" in plan.documents) is (metadata == telemetry.PIPE)


def test_who_does_not_report() -> None:
    made = stage(a_policy(ZIPKIN))
    assert tracing(made.outbound(target=EXTERNAL).listener) == {}
    for silent in (stage(), stage(a_policy()), stage(a_policy(BY_LABEL))):
        assert tracing(silent.outbound().listener) == {}
        plan = silent.plan(inbounds=[silent.inbound()])
        assert (tracing(plan.inbounds[0].listener), plan.clusters) == ({}, [])
    assert made.outbound(telemetry.TCP).chain.http is None
