"""Rules of MeshHealthCheck that are easily lost, and the field that moved."""

import pytest

from kuma.policies.meshhealthcheck import model
from tests.kit import rules


def to(conf: str) -> str:
    return f"{{to: [{{targetRef: {{kind: Mesh}}, default: {conf}}}]}}"


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("{tcp: {}, healthyThreshold: 0}", ["healthyThreshold: must be greater than zero when defined"]),
        ("{tcp: {}, intervalJitterPercent: 101}", ["intervalJitterPercent: must be in inclusive range [0, 100]"]),
        ("{http: {path: ''}}", ["http.path: must be defined"]),
        (
            "{http: {expectedStatuses: [99, 100, 599, 600]}}",
            [
                "http.expectedStatuses[0]: must be in inclusive range [100, 599]",
                "http.expectedStatuses[3]: must be in inclusive range [100, 599]",
            ],
        ),
        ("{tcp: {}, eventLogPath: relative.log}", ["eventLogPath: must be a valid path when defined"]),
        ("{tcp: {}, eventLogPath: /var/log/checks.log}", []),
    ],
)
def test_rules(conf: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, to(conf)) == [f"spec.to[0].default.{each}" for each in expected]


def test_the_panic_threshold_moved() -> None:
    (warning,) = rules.warnings(model.KIND, to("{tcp: {}, healthyPanicThreshold: 10}"))
    assert "MeshCircuitBreaker" in warning
