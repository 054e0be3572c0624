"""Rules of MeshTimeout that are easily lost: what counts as a timeout, what a route or a client's identity forbids."""

import pytest

from kuma.policies.meshtimeout import model
from tests.kit import rules

BY_CLIENT = (
    "can't be specified when matches contain spiffeID because this field cannot be conditioned on source identity"
)
CLIENT = "matches: [{spiffeID: {type: Exact, value: spiffe://default/web}}]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{to: [{targetRef: {kind: Mesh}, default: {http: {requestHeadersTimeout: 1s}}}]}",
            ["spec.to[0].default.http: at least one timeout in this section should be configured"],
        ),
        (
            "{to: [{targetRef: {kind: Mesh}, default: {connectionTimeout: 0s, idleTimeout: 0s}}]}",
            ["spec.to[0].default.connectionTimeout: must be greater than zero when defined"],
        ),
        (
            "{targetRef: {kind: MeshGateway, name: edge}, to: [{targetRef: {kind: MeshService, name: b}, "
            "default: {idleTimeout: 1s}}]}",
            ["spec.to[0].targetRef.kind: value 'MeshService' is not supported"],
        ),
        (
            "{targetRef: {kind: MeshGateway, name: edge}, from: [{targetRef: {kind: Mesh}}]}",
            ["spec.from: must not be defined"],
        ),
        (
            f"{{rules: [{{{CLIENT}, default: {{idleTimeout: 1s, http: {{maxConnectionDuration: 1s}}}}}}]}}",
            [
                f"spec.rules[0].default.idleTimeout: {BY_CLIENT}",
                f"spec.rules[0].default.http.maxConnectionDuration: {BY_CLIENT}",
            ],
        ),
        (f"{{rules: [{{{CLIENT}, default: {{http: {{requestTimeout: 1s}}}}}}]}}", []),
        ("{targetRef: {kind: Dataplane, sectionName: http}, rules: [{default: {idleTimeout: 1s}}]}", []),
        ("{}", ["spec: at least one of 'from', 'to' or 'rules' has to be defined"]),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_owners_of_a_namespace_reach_no_gateway() -> None:
    spec = "{targetRef: {kind: MeshHTTPRoute, name: r}, to: [{targetRef: {kind: Mesh}, default: {http: {requestTimeout: 1s}}}]}"
    assert rules.violations(model.KIND, spec) == []
    found = rules.violations(model.KIND, spec, {"kuma.io/policy-role": "consumer"})
    assert found == ["spec.targetRef.kind: value 'MeshHTTPRoute' is not supported"]


def test_deprecations() -> None:
    spec = "{targetRef: {kind: MeshSubset}, from: [{targetRef: {kind: Mesh}, default: {idleTimeout: 1s}}]}"
    assert rules.warnings(model.KIND, spec) == [
        "'from' field is deprecated, use 'rules' instead",
        "MeshSubset value for 'targetRef.kind' is deprecated, use Dataplane with labels instead",
    ]
