"""Rules of MeshRetry that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshretry import model
from kuma.resources import codec
from tests.kit import rules

HTTP = "spec.to[0].default.conf.http"


def to_http(conf: str) -> str:
    return f"{{to: [{{targetRef: {{kind: Mesh}}, default: {{http: {conf}}}}}]}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{to: [{targetRef: {kind: Mesh}}]}",
            ["spec.to[0].default.conf: at least one of the 'tcp', 'http', 'grpc' must be specified"],
        ),
        (
            "{to: [{targetRef: {kind: Mesh}, default: {tcp: {maxConnectAttempt: 0}}}]}",
            ["spec.to[0].default.conf.tcp.maxConnectAttempt: must be greater than 0"],
        ),
        (to_http("{hostSelectionMaxAttempts: 3}"), [f"{HTTP}: must not be empty"]),
        (to_http("{retryOn: ['418', HttpMethodPut]}"), []),
        (to_http("{retryOn: ['299']}"), [f"{HTTP}.retryOn[0]: unknown item '299'"]),
        (
            to_http("{rateLimitedBackOff: {maxInterval: 0s, resetHeaders: []}}"),
            [f"{HTTP}.rateLimitedBackOff.maxInterval: must be defined and greater than zero"],
        ),
        (
            to_http("{hostSelection: [{predicate: OmitPreviousPriorities}, {predicate: OmitPreviousPriorities}]}"),
            [f"{HTTP}.hostSelection[1].predicate: OmitPreviousPriorities must only be specified once"],
        ),
        (
            to_http("{hostSelection: [{predicate: OmitPreviousPriorities, updateFrequency: 0}]}"),
            [f"{HTTP}.hostSelection[0].updateFrequency: must be defined and greater than zero"],
        ),
        (
            to_http('{retriableRequestHeaders: [{name: "line\\n"}]}'),
            [
                "spec.to[0].default.http.retriableRequestHeaders[0].name: "
                r"in body should match '^[a-z0-9!#$%&'*+\-.^_\x60|~]+$'"
            ],
        ),
        (
            to_http("{retriableRequestHeaders: [{name: X-Upper}]}"),
            [
                "spec.to[0].default.http.retriableRequestHeaders[0].name: "
                r"in body should match '^[a-z0-9!#$%&'*+\-.^_\x60|~]+$'"
            ],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_defaults_are_stored() -> None:
    spec = to_http("{hostSelection: [{predicate: OmitPreviousHosts}], retriableRequestHeaders: [{name: a, value: b}]}")
    document = json.loads(codec.encode_json(rules.stored(model.KIND, spec)))
    http = document["spec"]["to"][0]["default"]["http"]
    assert http["hostSelection"] == [{"predicate": "OmitPreviousHosts", "updateFrequency": 2}]
    assert http["retriableRequestHeaders"] == [{"name": "a", "type": "Exact", "value": "b"}]
