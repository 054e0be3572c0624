"""Rules of MeshTLS that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshtls import model
from kuma.resources import codec
from tests.kit import rules


def versions(text: str) -> str:
    return f"{{rules: [{{default: {{tlsVersion: {text}}}}}]}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (versions("{min: TLS13, max: TLS12}"), ["spec.rules[0].default.tlsVersion: min version must be lower than max"]),
        (versions("{min: TLS12, max: TLS12}"), []),
        (versions("{min: TLS13}"), []),
        (versions("{max: TLS11}"), []),
        (
            "{targetRef: {kind: Dataplane, sectionName: http}, rules: [{default: {mode: Permissive}}]}",
            [],
        ),
        (
            "{targetRef: {kind: MeshService, name: a}, rules: [{default: {mode: Strict}}]}",
            ["spec.targetRef.kind: value 'MeshService' is not supported"],
        ),
    ],
)  # fmt: skip
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_defaults_are_stored() -> None:
    document = json.loads(codec.encode_json(rules.stored(model.KIND, versions("{min: TLS12}"))))
    assert document["spec"]["rules"][0]["default"] == {"tlsVersion": {"min": "TLS12", "max": "TLSAuto"}}
