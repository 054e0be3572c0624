"""Which health checks reach Envoy: the one that fits the destination, with Kuma's defaults."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.compiler import render
from kuma.envoy import api, constraints
from kuma.plan import nodes
from kuma.policies.meshhealthcheck import model, translate
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from tests.kit import policies, translated

PACE = {"interval": "60s", "timeout": "15s", "unhealthyThreshold": 5, "healthyThreshold": 1}
TAGS = {"header": {"key": "x-kuma-tags", "value": "&kuma.io/protocol=http&&kuma.io/service=web&"}}
HTTP = {"path": "/", "requestHeadersToAdd": [TAGS]}


def a_check(conf: dict[str, Any]) -> res.Resource[Any]:
    return policies.a_policy("MeshHealthCheck", "h", to=[{"targetRef": {"kind": "Mesh"}, "default": conf}])


def cluster(conf: dict[str, Any], protocol: str = "http") -> dict[str, Any]:
    """The cluster of a destination, which Envoy would take."""
    made = translated.Client(translate.POLICY, a_check(conf), protocol=protocol).cluster()
    assert constraints.first_violation(json_format.ParseDict(made, api.Cluster())) == ""
    return made


def checks(conf: dict[str, Any], protocol: str = "http") -> list[dict[str, Any]]:
    """The health checks, without how often and how patiently they ask."""
    found = cluster(conf, protocol).get("healthChecks", [])
    assert all(each.items() >= PACE.items() for each in found)
    return [{name: value for name, value in each.items() if name not in PACE} for each in found]


@pytest.mark.parametrize(
    ("conf", "protocol", "expected"),
    [
        ({"http": {}}, "http", [{"httpHealthCheck": HTTP}]),
        ({"http": {}, "tcp": {}}, "http2", [{"httpHealthCheck": {**HTTP, "codecClientType": "HTTP2"}}]),
        ({"http": {}, "tcp": {}, "grpc": {}}, "grpc", [{"grpcHealthCheck": {}}]),
        ({"http": {}, "tcp": {}, "grpc": {}}, "tcp", [{"tcpHealthCheck": {}}]),
        ({"http": {}, "grpc": {}}, "tcp", []),
        ({"tcp": {}}, "http", []),
        ({"tcp": {}}, "grpc", []),
        ({"tcp": {}}, "kafka", []),
        ({"http": {"disabled": True}, "tcp": {}}, "http", [{"tcpHealthCheck": {}}]),
        ({"grpc": {"disabled": True}, "tcp": {}}, "grpc", [{"tcpHealthCheck": {}}]),
        ({"http": {"disabled": True}, "tcp": {"disabled": True}}, "http", []),
        ({"http": {"disabled": True}}, "http", []),
        ({"tcp": {"disabled": True}}, "tcp", []),
    ],
)
def test_the_protocol_of_the_destination_picks_the_check(
    conf: dict[str, Any], protocol: str, expected: list[dict[str, Any]]
) -> None:
    assert checks(conf, protocol) == expected


@pytest.mark.parametrize(
    ("conf", "protocol", "expected"),
    [
        (
            {"tcp": {"send": "PING", "receive": ["PONG", ""]}},
            "tcp",
            {"tcpHealthCheck": {"send": {"text": "50494e47"}, "receive": [{"text": "504f4e47"}]}},
        ),
        ({"tcp": {"send": "", "receive": []}}, "tcp", {"tcpHealthCheck": {}}),
        (
            {"grpc": {"serviceName": "s", "authority": "a"}},
            "grpc",
            {"grpcHealthCheck": {"serviceName": "s", "authority": "a"}},
        ),
        (
            {"http": {"path": "/up", "expectedStatuses": [200, 302]}},
            "http",
            {
                "httpHealthCheck": {
                    "path": "/up",
                    "requestHeadersToAdd": [TAGS],
                    "expectedStatuses": [{"start": "200", "end": "201"}, {"start": "302", "end": "303"}],
                }
            },
        ),
    ],
)
def test_what_is_asked(conf: dict[str, Any], protocol: str, expected: dict[str, Any]) -> None:
    assert checks(conf, protocol) == [expected]


def test_headers_follow_the_one_that_says_who_asks() -> None:
    written = {"set": [{"name": "s", "value": "1,2"}], "add": [{"name": "a", "value": "3"}]}
    (found,) = checks({"http": {"requestHeadersToAdd": written}})
    assert found["httpHealthCheck"]["requestHeadersToAdd"] == [
        TAGS,
        {"header": {"key": "a", "value": "3"}},
        {"header": {"key": "s", "value": "1"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"},
        {"header": {"key": "s", "value": "2"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"},
    ]


def test_pace_patience_and_log() -> None:
    made = cluster(
        {
            "tcp": {},
            "interval": "1s",
            "timeout": "2s",
            "unhealthyThreshold": 3,
            "healthyThreshold": 4,
            "initialJitter": "5s",
            "intervalJitter": "6s",
            "intervalJitterPercent": 7,
            "noTrafficInterval": "8s",
            "eventLogPath": "/var/log/checks",
            "alwaysLogHealthCheckFailures": True,
            "reuseConnection": False,
            "failTrafficOnPanic": True,
            "healthyPanicThreshold": "9.5",
        },
        "tcp",
    )
    sink = "type.googleapis.com/envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink"
    assert made["healthChecks"] == [
        {
            "interval": "1s",
            "timeout": "2s",
            "unhealthyThreshold": 3,
            "healthyThreshold": 4,
            "initialJitter": "5s",
            "intervalJitter": "6s",
            "intervalJitterPercent": 7,
            "noTrafficInterval": "8s",
            "alwaysLogHealthCheckFailures": True,
            "reuseConnection": False,
            "tcpHealthCheck": {},
            "eventLogger": [
                {
                    "name": "envoy.health_check.event_sinks.file",
                    "typedConfig": {"@type": sink, "eventLogPath": "/var/log/checks"},
                }
            ],
        }
    ]
    assert made["commonLbConfig"] == {
        "healthyPanicThreshold": {"value": 9.5},
        "zoneAwareLbConfig": {"failTrafficOnPanic": True},
    }


def test_panic_is_configured_where_nothing_is_asked() -> None:
    made = cluster({"healthyPanicThreshold": 80, "http": {"disabled": True}})
    assert made["commonLbConfig"] == {"healthyPanicThreshold": {"value": 80}}
    assert "healthChecks" not in made


def test_weights_of_localities_are_not_given_up_for_a_switch() -> None:
    facts = nodes.ClusterFacts("m", "api", "api", nodes.Protocol.TCP)
    message = api.Cluster(name="api")
    message.common_lb_config.locality_weighted_lb_config.SetInParent()
    node = nodes.DestinationNode(facts, nodes.ClusterNode("api", message))
    conf = model.Conf(fail_traffic_on_panic=True, tcp=model.TcpCheck())
    translate.POLICY.cluster(rules.Merged(conf), node, policy.Context("m", mtls=False))
    assert render.cluster(node.cluster).common_lb_config.HasField("locality_weighted_lb_config")


def test_only_policies_that_ask_over_http_are_personal() -> None:
    for conf, expected in (({"http": {}}, "&kuma.io/service=web&"), ({"tcp": {}}, None)):
        subject = policies.a_subject({"kuma.io/service": "web"})
        found = policies.match([a_check(conf)], subject)
        assert translate.POLICY.personal(found, subject) == expected


def test_without_a_policy_nobody_asks() -> None:
    assert "healthChecks" not in translated.Client(translate.POLICY).cluster()
