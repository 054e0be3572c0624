"""Rules of MeshRateLimit that are easily lost: who may have `rules`, `from` and `to`, and what a rate is."""

import pytest

from kuma.policies.meshratelimit import model
from tests.kit import rules

HTTP = "{local: {http: {requestRate: {num: 1, interval: 1s}}}}"
TCP = "{local: {tcp: {connectionRate: {num: 1, interval: 1s}}}}"
SIDECARS = "targetRef: {kind: Mesh, proxyTypes: [Sidecar]}"
CLIENT = "matches: [{spiffeID: {type: Prefix, value: spiffe://default/}}]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"{{rules: [{{default: {HTTP}}}]}}", ["spec.rules: must not be defined"]),
        (f"{{{SIDECARS}, rules: [{{default: {HTTP}}}]}}", []),
        (f"{{{SIDECARS}, to: [{{targetRef: {{kind: Mesh}}, default: {HTTP}}}]}}", ["spec.to: must not be defined"]),
        (
            f"{{{SIDECARS}, rules: [{{default: {{local: {{http: {{requestRate: {{num: 0, interval: 50ms}}}}}}}}}}]}}",
            [
                "spec.rules[0].default.local.http.requestRate.num: must be greater than 0",
                "spec.rules[0].default.local.http.requestRate.interval: must be greater than: 50ms",
            ],
        ),
        (
            f"{{{SIDECARS}, rules: [{{matches: [{{spiffeID: {{type: Exact, value: spiffe://a/b}}}}], default: {TCP}}}]}}",
            [
                "spec.rules[0].default.local.tcp: can't be specified when matches contain spiffeID because this field "
                "cannot be conditioned on source identity"
            ],
        ),
        (
            f"{{{SIDECARS}, rules: [{{{CLIENT}, default: {HTTP}}}]}}",
            ["spec.rules[0].matches[0].spiffeID: must be a valid Spiffe ID: path cannot have a trailing slash"],
        ),
        (
            f"{{{SIDECARS}, rules: [{{default: {{local: {{http: {{onRateLimit: {{status: 0}}}}}}}}}}]}}",
            ["spec.rules[0].default.local.http.onRateLimit.status: must be greater than 0"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_a_refusal_should_look_like_one() -> None:
    conf = "{local: {http: {onRateLimit: {status: 399}}}}"
    assert rules.warnings(model.KIND, f"{{{SIDECARS}, rules: [{{default: {HTTP}}}, {{default: {conf}}}]}}") == [
        "'spec.rules[1].default.local.http.requestRate.status' must be 400 or higher. Please update your configuration."
    ]
