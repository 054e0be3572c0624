"""Rules of MeshAccessLog that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshaccesslog import model
from kuma.resources import codec
from tests.kit import rules

BACKEND = "spec.to[0].default.backends[0]"


def to(backend: str) -> str:
    return f"{{to: [{{targetRef: {{kind: Mesh}}, default: {{backends: [{backend}]}}}}]}}"


def otel(attribute: str) -> str:
    return to(f"{{type: OpenTelemetry, openTelemetry: {{endpoint: 'a:1', attributes: [{attribute}]}}}}")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (to("{type: Tcp}"), [f"{BACKEND}.tcp: must be defined"]),
        (to("{type: File}"), [f"{BACKEND}.file: must be defined"]),
        (to("{type: OpenTelemetry}"), [f"{BACKEND}.openTelemetry: must be defined"]),
        (to("{type: File, file: {path: relative}}"), [f"{BACKEND}.file.path: file backend requires a valid path"]),
        (to("{type: Tcp, tcp: {address: word}}"), [f"{BACKEND}.tcp.address: tcp backend requires valid address"]),
        (to("{type: Tcp, tcp: {address: 'logs:5000'}}"), []),
        (to("{type: Tcp, tcp: {address: '[::1]:5000'}}"), []),
        (
            to("{type: File, file: {path: /a, format: {type: Plain, plain: ''}}}"),
            [f"{BACKEND}.file.format.plain: must not be empty"],
        ),
        (
            to("{type: File, file: {path: /a, format: {type: Json, json: []}}}"),
            [f"{BACKEND}.file.format.json: must not be empty"],
        ),
        (
            to("""{type: File, file: {path: /a, format: {type: Json, json: [{key: k, value: 'a"b'}]}}}"""),
            [f"{BACKEND}.file.format.json[0]: is not a valid JSON object"],
        ),
        (to("""{type: File, file: {path: /a, format: {type: Json, json: [{key: k, value: 'a\\"b'}]}}}"""), []),
        (
            otel("{key: A, value: v}"),
            [f"{BACKEND}.openTelemetry.attributes[0].key: in body should match '^[a-z]([a-z0-9]|[._][a-z0-9])*$'"],
        ),
        (
            "{targetRef: {kind: MeshGateway, name: g}, to: [{targetRef: {kind: MeshService, name: a}, default: {backends: []}}]}",
            ["spec.to[0].targetRef.kind: value 'MeshService' is not supported"],
        ),
        (
            "{rules: [{matches: [{}], default: {backends: []}}]}",
            ["spec.rules[0].matches[0]: must specify at least one of 'spiffeID' or 'sni'"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_the_switch_for_empty_values_is_stored() -> None:
    spec = to("{type: File, file: {path: /a, format: {type: Plain, plain: x}}}")
    document = json.loads(codec.encode_json(rules.stored(model.KIND, spec)))
    assert document["spec"]["to"][0]["default"]["backends"][0]["file"]["format"]["omitEmptyValues"] is False


def test_warnings() -> None:
    entry = (
        "[{targetRef: {kind: Mesh}, default: {backends: [{type: OpenTelemetry, openTelemetry: {endpoint: 'a:1'}}]}}]"
    )
    assert rules.warnings(model.KIND, f"{{from: {entry}, to: {entry}}}") == [
        "'from' field is deprecated, use 'rules' instead",
        "openTelemetry.endpoint is deprecated, use openTelemetry.backendRef with a MeshOpenTelemetryBackend "
        "resource instead",
    ]
