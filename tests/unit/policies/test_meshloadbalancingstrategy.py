"""Rules of MeshLoadBalancingStrategy that are easily lost, and its older spellings."""

import pytest

from kuma.policies.meshloadbalancingstrategy import model
from tests.kit import rules

RING = "loadBalancer: {type: RingHash, ringHash: {hashPolicies: [{type: SourceIP, connection: {sourceIP: true}}]}}"
BALANCER = "spec.to[0].default.loadBalancer"


def to(conf: str, ref: str = "{kind: MeshService, name: b}", top: str = "{kind: Mesh}") -> str:
    return f"{{targetRef: {top}, to: [{{targetRef: {ref}, default: {{{conf}}}}}]}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            to("loadBalancer: {type: Random}", top="{kind: MeshGateway, name: edge}"),
            [
                "spec.to[0].targetRef.kind: value 'MeshGateway' is not supported, "
                "only Mesh is allowed if loadBalancer is set"
            ],
        ),
        (
            to(f"{RING}, hashPolicies: []"),
            [f"{BALANCER}.ringHash.hashPolicies: hashPolicies already specified in the root level"],
        ),
        (to("loadBalancer: {type: Random, ringHash: {hashPolicies: [{type: Header}]}}"), []),
        (
            to("loadBalancer: {type: LeastRequest, leastRequest: {choiceCount: 1}}"),
            [f"{BALANCER}.leastRequest.choiceCount: in body should be greater than or equal to 2"],
        ),
        (
            to("loadBalancer: {type: LeastRequest, leastRequest: {activeRequestBias: a}}"),
            [f"{BALANCER}.leastRequest.activeRequestBias: string must be a valid number"],
        ),
        (
            to("localityAwareness: {crossZone: {failoverThreshold: {percentage: '0.0'}}}"),
            ["spec.to[0].default.localityAwareness.crossZone.failoverThreshold.percentage: must be greater than 0"],
        ),
        (
            to("localityAwareness: {crossZone: {}}", ref="{kind: MeshService, labels: {app: b}}"),
            ["spec.to[0].default.localityAwareness.crossZone: must not be set: MeshService traffic is local"],
        ),
        (
            to("hashPolicies: [{type: Cookie, cookie: {name: c, path: ''}}]"),
            ["spec.to[0].default.hashPolicies[0].cookie.path: must be an absolute path"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_deprecations() -> None:
    assert rules.warnings(model.KIND, to(RING)) == [
        "configuration 'spec.to[0].default.loadBalancer.ringHash.hashPolicies' is deprecated, "
        "use 'spec.to[0].default.hashPolicies' instead",
        "SourceIP type for 'spec.to[0].default.loadBalancer.ringHash.hashPolicies[0].type' is deprecated, "
        "use Connection instead",
    ]
