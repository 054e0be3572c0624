"""Rules of MeshMetric that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshmetric import model
from kuma.resources import codec
from tests.kit import rules

PROFILES = "spec.default.sidecar.profiles"


def selector(kind: str, match: str) -> str:
    return f"{{default: {{sidecar: {{profiles: {{exclude: [{{type: {kind}, match: '{match}'}}]}}}}}}}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (selector("Regex", "a("), [f"{PROFILES}.exclude[0].match: invalid regex"]),
        (selector("Regex", "(?!a)"), [f"{PROFILES}.exclude[0].match: invalid regex"]),
        (selector("Prefix", "a("), []),
        (selector("Contains", "a"), []),
        (
            "{default: {backends: [{type: Prometheus}]}}",
            ["spec.default.backends.backend[0].prometheus: must be defined"],
        ),
        (
            "{default: {backends: [{type: OpenTelemetry, openTelemetry: {endpoint: 'http://a:1'}}]}}",
            ["spec.default.backends.backend[0].openTelemetry.endpoint: must be in host:port format, not a URL"],
        ),
        (
            "{targetRef: {kind: Dataplane, name: a, sectionName: b}}",
            ["spec.targetRef.sectionName: can only be used with inbound policies"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_defaults_are_stored() -> None:
    spec = "{default: {applications: [{port: 1}], backends: [{type: Prometheus, prometheus: {tls: {}}}]}}"
    document = json.loads(codec.encode_json(rules.stored(model.KIND, spec)))
    assert document["spec"]["default"] == {
        "applications": [{"path": "/metrics", "port": 1}],
        "backends": [
            {"type": "Prometheus", "prometheus": {"port": 5670, "path": "/metrics", "tls": {"mode": "Disabled"}}}
        ],
    }
