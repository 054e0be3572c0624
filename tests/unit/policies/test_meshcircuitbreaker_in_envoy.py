"""Which limits and which detection of outliers reach Envoy."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.envoy import api, constraints
from kuma.policies.meshcircuitbreaker import translate
from tests.kit import policies, translated

LIMITS = {"maxConnectionPools": 1, "maxConnections": 2, "maxPendingRequests": 3, "maxRetries": 4, "maxRequests": 5}
OFF = {
    "enforcingConsecutive5xx": 0,
    "enforcingConsecutiveGatewayFailure": 0,
    "enforcingConsecutiveLocalOriginFailure": 0,
}
NO_STATISTICS = {
    "enforcingSuccessRate": 0,
    "enforcingLocalOriginSuccessRate": 0,
    "enforcingFailurePercentage": 0,
    "enforcingFailurePercentageLocalOrigin": 0,
}


def cluster(conf: dict[str, Any]) -> dict[str, Any]:
    """The cluster of a destination, which Envoy would take."""
    entry = {"targetRef": {"kind": "Mesh"}, "default": conf}
    made = translated.Client(translate.POLICY, policies.a_policy("MeshCircuitBreaker", "c", to=[entry])).cluster()
    assert constraints.first_violation(json_format.ParseDict(made, api.Cluster())) == ""
    return made


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (LIMITS, {**LIMITS, "trackRemaining": True}),
        ({"maxRequests": 5}, {"maxRequests": 5, "trackRemaining": True}),
        (None, {"trackRemaining": True}),
    ],
)
def test_limits(limits: dict[str, int] | None, expected: dict[str, Any]) -> None:
    conf = {"outlierDetection": {"disabled": True, "detectors": {"totalFailures": {}}}}
    made = cluster(conf if limits is None else {"connectionLimits": limits})
    assert made["circuitBreakers"] == {"thresholds": [expected]}
    assert "outlierDetection" not in made


@pytest.mark.parametrize(
    ("detectors", "expected"),
    [
        ({"totalFailures": {"consecutive": 7}}, {"consecutive5xx": 7, "enforcingConsecutive5xx": 100}),
        ({"totalFailures": {}}, {}),
        (
            {"gatewayFailures": {"consecutive": 7}},
            {"consecutiveGatewayFailure": 7, "enforcingConsecutiveGatewayFailure": 100},
        ),
        (
            {"localOriginFailures": {"consecutive": 7}},
            {"consecutiveLocalOriginFailure": 7, "enforcingConsecutiveLocalOriginFailure": 100},
        ),
        (
            {"successRate": {"minimumHosts": 1, "requestVolume": 2, "standardDeviationFactor": "1.9"}},
            {
                "enforcingSuccessRate": 100,
                "enforcingLocalOriginSuccessRate": 100,
                "successRateMinimumHosts": 1,
                "successRateRequestVolume": 2,
                "successRateStdevFactor": 1900,
            },
        ),
        (
            {"successRate": {"standardDeviationFactor": 5_000_000}},
            {
                "enforcingSuccessRate": 100,
                "enforcingLocalOriginSuccessRate": 100,
                "successRateStdevFactor": 2**32 - 1,
            },
        ),
        (
            {"failurePercentage": {"minimumHosts": 1, "requestVolume": 2, "threshold": 85}},
            {
                "enforcingFailurePercentage": 100,
                "enforcingFailurePercentageLocalOrigin": 100,
                "failurePercentageMinimumHosts": 1,
                "failurePercentageRequestVolume": 2,
                "failurePercentageThreshold": 85,
            },
        ),
    ],
)
def test_detectors_that_nobody_asked_for_are_off(detectors: dict[str, Any], expected: dict[str, Any]) -> None:
    found = cluster({"outlierDetection": {"detectors": detectors}})["outlierDetection"]
    assert found == {**OFF, **NO_STATISTICS, **expected}


def test_ejection() -> None:
    made = cluster(
        {
            "outlierDetection": {
                "interval": "1s",
                "baseEjectionTime": "2m",
                "maxEjectionPercent": 30,
                "splitExternalAndLocalErrors": True,
                "healthyPanicThreshold": "33.3",
                "detectors": {"totalFailures": {"consecutive": 1}},
            }
        }
    )
    found = {name: each for name, each in made["outlierDetection"].items() if "nforcing" not in name}
    assert found == {
        "interval": "1s",
        "baseEjectionTime": "120s",
        "maxEjectionPercent": 30,
        "splitExternalLocalOriginErrors": True,
        "consecutive5xx": 1,
    }
    assert made["commonLbConfig"] == {"healthyPanicThreshold": {"value": 33.3}}


def test_turned_off_against_a_less_specific_policy() -> None:
    detection = {"detectors": {"totalFailures": {"consecutive": 1}}, "healthyPanicThreshold": 10}
    whole = policies.a_policy(
        "MeshCircuitBreaker", "a", to=[{"targetRef": {"kind": "Mesh"}, "default": {"outlierDetection": detection}}]
    )
    off = {"outlierDetection": {"disabled": True, "detectors": {"totalFailures": {}}}}
    own = policies.a_policy(
        "MeshCircuitBreaker",
        "b",
        {"kind": "Dataplane"},
        to=[{"targetRef": {"kind": "Mesh"}, "default": off}],
    )
    made = translated.Client(translate.POLICY, whole, own).cluster()
    assert "outlierDetection" not in made
    assert "commonLbConfig" not in made


@pytest.mark.parametrize(("list_name", "item"), [("rules", {}), ("from_", {"targetRef": {"kind": "Mesh"}})])
def test_the_application_is_protected_as_destinations_are(list_name: str, item: dict[str, Any]) -> None:
    spec = {list_name: [{**item, "default": {"connectionLimits": LIMITS}}]}
    node = translated.inbound(translate.POLICY, policies.a_policy("MeshCircuitBreaker", "c", **spec))
    assert node.cluster.message.circuit_breakers.thresholds[0].max_requests.value == 5
    assert "c" in {each.name for each in node.cluster.authors}


def test_where_nothing_is_said_envoy_decides() -> None:
    node = translated.inbound(translate.POLICY)
    assert json_format.MessageToDict(node.cluster.message.circuit_breakers) == {
        "thresholds": [{"trackRemaining": True}]
    }
    made = translated.Client(translate.POLICY).cluster()
    assert made["circuitBreakers"] == {"thresholds": [{"trackRemaining": True}]}
    assert "outlierDetection" not in made
