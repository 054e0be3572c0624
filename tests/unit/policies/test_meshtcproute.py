"""Rules of MeshTCPRoute that are easily lost."""

import pytest

from kuma.policies.meshtcproute import model
from tests.kit import rules

RULES = "rules: [{default: {backendRefs: [{kind: MeshService, name: c}]}}]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{to: []}", ["spec.to: in body should have at least 1 items"]),
        (
            "{to: [{targetRef: {kind: MeshService, name: b}}]}",
            ["spec.to[0].rules: in body is required"],
        ),
        (
            "{to: [{targetRef: {kind: MeshService, name: b}, rules: [{default: {}}]}]}",
            ["spec.to[0].rules[0].default.backendRefs: must be defined"],
        ),
        (
            "{to: [{targetRef: {kind: MeshService, name: b}, rules: [{default: {}}, {default: {}}]}]}",
            ["spec.to[0].rules: in body should have at most 1 items"],
        ),
        (
            "{to: [{targetRef: {kind: MeshService, name: b}, "
            "rules: [{default: {backendRefs: [{kind: MeshService, name: c, weight: -1}]}}]}]}",
            ["spec.to[0].rules[0].default.backendRefs[0].weight: in body should be greater than or equal to 0"],
        ),
        (
            f"{{targetRef: {{kind: Dataplane}}, to: [{{targetRef: {{kind: MeshMultiZoneService, name: b}}, {RULES}}}]}}",
            [],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected
