"""Rules of MeshCircuitBreaker that are easily lost."""

import pytest

from kuma.policies.meshcircuitbreaker import model
from tests.kit import rules

DETECTION = "spec.to[0].default.outlierDetection"


def to(conf: str) -> str:
    return f"{{to: [{{targetRef: {{kind: Mesh}}, default: {conf}}}]}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{rules: [{default: {connectionLimits: {maxRetries: 0, maxConnections: 0}}}]}",
            [
                "spec.from[0].default.connectionLimits.maxConnections: must be greater than 0",
                "spec.from[0].default.connectionLimits.maxRetries: must be greater than 0",
            ],
        ),
        (
            to("{}"),
            ["spec.to[0].default: at least one of: 'connectionLimits' or 'outlierDetection' should be configured"],
        ),
        (to("{outlierDetection: {disabled: true}}"), [f"{DETECTION}.detectors: must be defined"]),
        (
            to("{outlierDetection: {detectors: {}}}"),
            [
                f"{DETECTION}.detectors: must have at least one defined: totalFailures, gatewayFailures, "
                "localOriginFailures, successRate, failurePercentage"
            ],
        ),
        (
            to("{outlierDetection: {maxEjectionPercent: 101, healthyPanicThreshold: '100.1', "
               "detectors: {failurePercentage: {threshold: 101}}}}"),
            [
                f"{DETECTION}.maxEjectionPercent: must be in inclusive range [0, 100]",
                f"{DETECTION}.healthyPanicThreshold: must be in inclusive range [0.0, 100.0]",
                f"{DETECTION}.detectors.failurePercentage.threshold: must be in inclusive range [0, 100]",
            ],
        ),
        (to("{outlierDetection: {healthyPanicThreshold: '1_0', detectors: {totalFailures: {}}}}"),
         [f"{DETECTION}.healthyPanicThreshold: string must be a valid number"]),
    ],
)  # fmt: skip
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected
