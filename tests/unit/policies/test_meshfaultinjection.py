"""Rules of MeshFaultInjection that are easily lost."""

import pytest

from kuma.policies.meshfaultinjection import model
from tests.kit import rules

HTTP = "spec.rules[0].default.http"


def faults(*found: str) -> str:
    return f"{{rules: [{{default: {{http: [{', '.join(found)}]}}}}]}}"


def bandwidth(limit: str) -> str:
    return f"{{responseBandwidth: {{limit: '{limit}', percentage: 1}}}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (faults(bandwidth("10 Mbps"), bandwidth("1Gbps"), bandwidth("5kbps")), []),
        (
            faults(bandwidth(""), bandwidth("50 mbps"), bandwidth("Mbps")),
            [
                f"{HTTP}.responseBandwidth[0].limit: must be defined",
                f"{HTTP}.responseBandwidth[1].limit: must be in kbps/Mbps/Gbps units",
                f"{HTTP}.responseBandwidth[2].limit: must be in kbps/Mbps/Gbps units",
            ],
        ),
        (
            faults("{delay: {value: -1s, percentage: 101}}", "{abort: {httpStatus: 99, percentage: '-0.1'}}"),
            [
                f"{HTTP}.delay[0].value: must not be negative when defined",
                f"{HTTP}.delay[0].percentage: must be in inclusive range [0.0, 100.0]",
                f"{HTTP}.abort[1].httpStatus: must be in inclusive range [100, 599]",
                f"{HTTP}.abort[1].percentage: must be in inclusive range [0.0, 100.0]",
            ],
        ),
        (
            "{targetRef: {kind: Mesh, proxyTypes: [Sidecar]}, to: [{targetRef: {kind: Mesh}}]}",
            ["spec.to: must not be defined"],
        ),
        (
            "{targetRef: {kind: Dataplane}, rules: [{default: {}}], from: [{targetRef: {kind: Mesh}}]}",
            ["spec: field 'from' must be empty when 'rules' is defined"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_warnings() -> None:
    spec = "{targetRef: {kind: MeshService, name: a}, from: [{targetRef: {kind: Mesh}}]}"
    assert rules.warnings(model.KIND, spec) == [
        "MeshService value for 'targetRef.kind' is deprecated, use Dataplane with labels instead",
        "'from' field is deprecated, use 'rules' with SPIFFE-based 'matches' instead",
    ]
