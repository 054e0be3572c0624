"""Which logs Envoy writes: formats with what stands for Kuma's placeholders, ways out, and who is logged where."""

from typing import Any

import pytest

from kuma.base import kri
from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshaccesslog import formats, translate
from kuma.resources import resource as res
from tests.kit import policies, telemetry

ALL = {"kind": "Mesh"}
ROUTE = kri.Kri("mhttpr", "m", "east", "", "r")
LINE = "%KUMA_SOURCE_SERVICE%>%KUMA_DESTINATION_SERVICE% %KUMA_TRAFFIC_DIRECTION% %KUMA_MESH% %KUMA_ZONE%"
IPV6 = formats.Values("web", "api", "fd00::1", "m", "", "", "OUTBOUND")


def a_file(line: str = "x", path: str = "/log", **form: Any) -> dict[str, Any]:
    return {"type": "File", "file": {"path": path, "format": {"type": "Plain", "plain": line, **form}}}


def to(*backends: dict[str, Any], target: dict[str, Any] = ALL) -> res.Resource[Any]:
    return policies.a_policy("MeshAccessLog", "to", to=[{"targetRef": target, "default": {"backends": backends}}])


def inbound(*rules: dict[str, Any]) -> res.Resource[Any]:
    return policies.a_policy("MeshAccessLog", "in", rules=rules)


def stage(*given: res.Resource[Any], **options: Any) -> telemetry.Stage:
    return telemetry.Stage(translate.POLICY, *given, **options)


def of_clients(made: telemetry.Stage) -> nodes.ListenerNode:
    """The listener of the inbound."""
    return made.plan(inbounds=[made.inbound()]).inbounds[0].listener


def logs(listener: nodes.ListenerNode) -> list[dict[str, Any]]:
    carrier = listener.chains[0].http or listener.chains[0].tcp
    return [telemetry.as_json(each) for each in carrier.access_log]


def lines(listener: nodes.ListenerNode) -> list[str]:
    return [each["typedConfig"]["logFormat"]["textFormatSource"]["inlineString"] for each in logs(listener)]


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        (LINE, IPV6, "web>api OUTBOUND m "),
        ("%KUMA_SOURCE_ADDRESS% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%", IPV6, "[fd00::1]:0 fd00::1"),
        ("%KUMA_WORKLOAD%|%KUMA_UNKNOWN%|%START_TIME%", IPV6, "|%KUMA_UNKNOWN%|%START_TIME%"),
    ],
)
def test_placeholders(text: str, values: formats.Values, filled: str) -> None:
    assert values.fill(text) == filled


@pytest.mark.parametrize(
    ("protocol", "start", "end"),
    [
        (telemetry.HTTP, '[%START_TIME%] m "%REQ(:METHOD)% ', '"web" "api" "192.168.0.1" "%UPSTREAM_HOST%"\n'),
        (telemetry.TCP, "[%START_TIME%] %RESPONSE_FLAGS% m 192.168.0.1(web)->%UPSTREAM_HOST%(api) took ", " bytes\n"),
    ],
)
def test_the_default_line(protocol: nodes.Protocol, start: str, end: str) -> None:
    made = stage(to({"type": "File", "file": {"path": "/log"}})).outbound(protocol)
    (line,) = lines(made.listener)
    assert (line[: len(start)], line[-len(end) :]) == (start, end)


JSON = {"type": "Json", "json": [{"key": "who", "value": "%KUMA_SOURCE_SERVICE%"}, {"key": "code", "value": "%X%"}]}
MEMBERS = {"who": "web", "code": "%X%"}
PIPE = "/run/kuma/kuma-al-web-1-m.sock"


@pytest.mark.parametrize(
    ("backend", "path", "form"),
    [
        (a_file("%KUMA_MESH%"), "/log", {"textFormatSource": {"inlineString": "m\n"}}),
        (
            a_file("a", omitEmptyValues=True),
            "/log",
            {"textFormatSource": {"inlineString": "a\n"}, "omitEmptyValues": True},
        ),
        ({"type": "File", "file": {"path": "/log", "format": JSON}}, "/log", {"jsonFormat": MEMBERS}),
        (
            {"type": "Tcp", "tcp": {"address": "logs:5000", "format": JSON}},
            PIPE,
            {"jsonFormat": {"address": "logs:5000", "message": MEMBERS}},
        ),
        (
            {"type": "Tcp", "tcp": {"address": "logs:5000", "format": {"type": "Plain", "plain": "b"}}},
            PIPE,
            {"jsonFormat": {"address": "logs:5000", "message": "b\n"}},
        ),
    ],
)
def test_files_and_receivers(backend: dict[str, Any], path: str, form: dict[str, Any]) -> None:
    (log,) = logs(stage(to(backend)).outbound().listener)
    assert log["name"] == "envoy.access_loggers.file"
    assert (log["typedConfig"]["path"], log["typedConfig"]["logFormat"]) == (path, form)


WORKLOAD = {"kuma.io/workload": "shop"}


def otlp(**conf: Any) -> dict[str, Any]:
    return {"type": "OpenTelemetry", "openTelemetry": {"endpoint": "otel:4000", **conf}}


@pytest.mark.parametrize(
    ("written", "body"),
    [
        ("%KUMA_MESH% %X%", {"stringValue": "m %X%"}),
        ({"stringValue": "%KUMA_ZONE%"}, {"stringValue": "east"}),
        (
            {
                "kvlistValue": {
                    "values": [
                        {"key": "%KUMA_MESH%", "value": {"arrayValue": {"values": [{"stringValue": "%KUMA_MESH%"}]}}}
                    ]
                }
            },
            {"kvlistValue": {"values": [{"key": "m", "value": {"arrayValue": {"values": [{"stringValue": "m"}]}}}]}},
        ),
        ({"mesh": "%KUMA_MESH%"}, {"stringValue": '{"mesh":"m"}'}),
        ({"arrayValue": {"values": 1}}, {"stringValue": '{"arrayValue":{"values":1}}'}),
        ([1], {"stringValue": "[1]"}),
        (7, {"stringValue": "7"}),
    ],
)
def test_the_body_of_a_record(written: Any, body: dict[str, Any]) -> None:
    attributes = [{"key": "who", "value": "%KUMA_SOURCE_SERVICE%"}]
    (log,) = logs(stage(to(otlp(body=written, attributes=attributes)), labels=WORKLOAD).outbound().listener)
    config = log["typedConfig"]
    assert config["body"] == body
    assert config["attributes"] == {"values": [{"key": "who", "value": {"stringValue": "web"}}]}
    common = {"logName": "MeshAccessLog", "transportApiVersion": "V3"}
    service = {"envoyGrpc": {"clusterName": "meshaccesslog:opentelemetry:0"}}
    assert config["commonConfig"] == {**common, "grpcService": service}
    found = {each["key"]: each["value"]["stringValue"] for each in config["resourceAttributes"]["values"]}
    assert found == {"kuma.mesh": "m", "kuma.zone": "east", "kuma.workload": "kri_wl_m_east__shop_"}


@pytest.mark.parametrize(
    ("metadata", "unified", "expected"),
    [
        (
            {},
            False,
            {"meshaccesslog:opentelemetry:0": ("otel", 4000), "meshaccesslog:opentelemetry:1": ("127.0.0.1", 4317)},
        ),
        (
            {"dynamicMetadata": {"HOST_IP": "10.0.0.1"}},
            True,
            {
                "system_meshaccesslog_otel-4000": ("otel", 4000),
                "system_meshaccesslog_10-0-0-1-4317": ("10.0.0.1", 4317),
            },
        ),
        (
            telemetry.PIPE,
            True,
            {
                "system_meshaccesslog_otel-4000": ("otel", 4000),
                "system_meshaccesslog_otel_main": "/run/kuma/kuma-otel-main.sock",
            },
        ),
    ],
)
def test_clusters_of_collectors(metadata: dict[str, Any], unified: bool, expected: dict[str, Any]) -> None:
    second = {"type": "OpenTelemetry", "openTelemetry": telemetry.reference(team="a")}
    lost = {"type": "OpenTelemetry", "openTelemetry": telemetry.reference(team="nobody")}
    backend = telemetry.a_backend("main", {"team": "a"})
    made = stage(to(otlp(), second, lost, otlp()), metadata=metadata, unified=unified, backends=[backend])
    plan = made.plan()
    assert {each.name: telemetry.address(each) for each in plan.clusters} == expected
    assert all(each.http is not None for each in plan.clusters)
    used = [
        each["typedConfig"]["commonConfig"]["grpcService"]["envoyGrpc"]["clusterName"]
        for each in logs(made.outbound().listener)
    ]
    first, other = expected
    assert used == [first, other, first]
    assert ("otel" in plan.documents) is (metadata == telemetry.PIPE)


def spiffe(kind: str, value: str) -> dict[str, Any]:
    return {"spiffeID": {"type": kind, "value": value}}


@pytest.mark.parametrize(
    ("match", "expression"),
    [
        (spiffe("Exact", "spiffe://m/web"), 'connection.uri_san_peer_certificate == "spiffe://m/web"'),
        (spiffe("Prefix", "spiffe://m/w"), 'connection.uri_san_peer_certificate.startsWith("spiffe://m/w")'),
        (
            {**spiffe("Exact", "spiffe://m/a"), "sni": {"type": "Exact", "value": "a.b"}},
            'connection.uri_san_peer_certificate == "spiffe://m/a" && connection.requested_server_name == "a.b"',
        ),
    ],
)
def test_rules_about_some_clients_write_beside_the_others(match: dict[str, Any], expression: str) -> None:
    some = {"matches": [match], "default": {"backends": [a_file("some")]}}
    listener = of_clients(stage(inbound({"default": {"backends": [a_file(LINE)]}}, some)))
    first, second = logs(listener)
    assert first["filter"]["extensionFilter"]["typedConfig"]["expression"] == expression
    assert "filter" not in second
    assert lines(listener) == ["some\n", "unknown>web INBOUND m east\n"]
    assert [each.name for each in listener.message.listener_filters] == (
        ["envoy.filters.listener.tls_inspector"] if "sni" in match else []
    )


def test_rules_about_all_clients_are_one() -> None:
    web = {"kind": "Dataplane", "labels": {"kuma.io/zone": "east"}}
    off = policies.a_policy("MeshAccessLog", "off", web, rules=[{"default": {"backends": []}}])
    assert logs(of_clients(stage(inbound({"default": {"backends": [a_file()]}}), off))) == []


def test_without_a_log_of_its_own_a_route_is_written_as_its_destination() -> None:
    made = stage(to(a_file("all")))
    facts = nodes.ClusterFacts("m", "api", "api", telemetry.HTTP, target=telemetry.API)
    assert translate.POLICY.conf_for_route(made.found, facts, "", ROUTE) is None
    (log,) = logs(made.outbound(target=telemetry.API).listener)
    matcher = {"filter": "kuma.routes", "path": [{"key": "route_kri"}], "value": {"nullMatch": {}}}
    assert log["filter"]["metadataFilter"] == {"matcher": matcher, "matchIfKeyNotFound": True}


def test_a_log_of_a_route() -> None:
    made = stage(to(a_file("all")))
    destination = nodes.ClusterFacts("m", "api", "api", telemetry.HTTP, target=telemetry.API)
    conf = translate.POLICY.conf_for(made.found, destination)
    node = made.outbound(target=telemetry.API)
    for path in ("/a", "/a/"):
        message = api.Route(name=str(ROUTE))
        message.match.prefix = path
        facts = nodes.RouteFacts((nodes.Split(destination),), rule=ROUTE)
        route = nodes.RouteNode(facts, message, node.chain)
        translate.POLICY.route(conf, route, node.facts, made.context)
        assert message.metadata.filter_metadata["envoy.filters.http.lua"]["route_kri"] == str(ROUTE)
    shared, of_route = logs(node.listener)
    assert shared["filter"]["metadataFilter"]["matchIfKeyNotFound"] is True
    matcher = {"filter": "kuma.routes", "path": [{"key": "route_kri"}], "value": {"stringMatch": {"exact": str(ROUTE)}}}
    assert of_route["filter"]["metadataFilter"] == {"matcher": matcher, "matchIfKeyNotFound": False}
    assert [each.name for each in node.chain.http_filters] == ["envoy.filters.http.lua"]


def a_listener(origin: str, direction: int, name: str = "l") -> nodes.ListenerNode:
    message = api.Listener(name=name, traffic_direction=direction)
    return nodes.ListenerNode(name, message, [telemetry.chain(telemetry.TCP)], origin=origin)


def test_traffic_that_leaves_the_mesh() -> None:
    out = a_listener("transparent", api.OUTBOUND)
    direct = a_listener("direct-access", api.OUTBOUND, "direct_access_10.0.0.1:80")
    others = [a_listener("transparent", api.INBOUND), a_listener("admin", api.INBOUND)]
    stage(to(a_file(LINE))).plan(out, direct, *others)
    assert lines(out) == ["web>external OUTBOUND m east\n"]
    assert lines(direct) == ["web>direct_access_10.0.0.1:80 OUTBOUND m east\n"]
    assert [logs(each) for each in others] == [[], []]


def test_without_a_policy_nothing_is_written() -> None:
    made = stage()
    assert logs(of_clients(made)) + logs(made.outbound().listener) == []
    assert made.plan().clusters == []


@pytest.mark.parametrize(
    ("given", "is_personal"),
    [
        ([to(a_file())], True),
        ([to()], False),
        ([inbound({"default": {"backends": [a_file()]}})], False),
        ([], False),
    ],
)
def test_proxies_that_write_nothing_about_destinations_share_their_outbounds(
    given: list[res.Resource[Any]], is_personal: bool
) -> None:
    assert (stage(*given).context.own is not None) is is_personal


TCP = {"type": "Tcp", "tcp": {"address": "1.2.3.4:5", "format": {"type": "Plain", "plain": "x"}}}
DEFAULT_FILE = {"type": "File", "file": {"path": "/log"}}
AS_JSON = {"type": "Json", "json": [{"key": "who", "value": "%KUMA_WORKLOAD%"}]}
IN_JSON = {"type": "File", "file": {"path": "/log", "format": AS_JSON}}


@pytest.mark.parametrize(
    ("backend", "other", "is_shared"),
    [
        (a_file("%START_TIME% %KUMA_DESTINATION_SERVICE%"), {"address": "10.0.0.9", "service": "else"}, True),
        (a_file("%KUMA_SOURCE_SERVICE%"), {"name": "web-2", "address": "10.0.0.9"}, True),
        (a_file("%KUMA_SOURCE_SERVICE%"), {"service": "else"}, False),
        (a_file("%KUMA_SOURCE_ADDRESS%"), {"service": "else"}, True),
        (a_file("%KUMA_SOURCE_ADDRESS_WITHOUT_PORT%"), {"address": "10.0.0.9"}, False),
        (DEFAULT_FILE, {"name": "web-2"}, True),
        (DEFAULT_FILE, {"address": "10.0.0.9"}, False),
        (DEFAULT_FILE, {"service": "else"}, False),
        (IN_JSON, {"address": "10.0.0.9"}, True),
        (IN_JSON, {"labels": {"kuma.io/workload": "w"}}, False),
        (TCP, {"address": "10.0.0.9"}, True),
        (TCP, {"name": "web-2"}, False),  # the pipe of its agent
    ],
)
def test_proxies_share_the_nodes_of_lines_that_they_write_alike(
    backend: dict[str, Any], other: dict[str, Any], is_shared: bool
) -> None:
    one, two = stage(to(backend)), stage(to(backend), **other)
    assert (one.context.own == two.context.own) is is_shared
    assert (logs(one.outbound().listener) == logs(two.outbound().listener)) is is_shared
