"""Rules and warnings of both permission policies, one row a rule."""

from typing import Any

import pytest

from kuma.legacy_policies.trafficpermission import model as tp
from kuma.policies.meshtrafficpermission import model as mtp
from kuma.resources import codec

MESH = {"kind": "Mesh"}
FROM = {"targetRef": MESH, "default": {"action": "Allow"}}
SPIFFE = {"spiffeID": {"type": "Exact", "value": "spiffe://default/backend"}}


def mesh_permission(**spec: Any) -> Any:
    return codec.decode_unchecked(mtp.KIND, {"type": "MeshTrafficPermission", "mesh": "m", "name": "n", "spec": spec})


def rule(**conf: Any) -> dict[str, Any]:
    return {"rules": [{"default": conf}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [("spec", "at least one of 'from' or 'rules' has to be defined")]),
        ({"from": [FROM], **rule(allow=[SPIFFE])}, [("spec", "field 'from' must be empty when 'rules' is defined")]),
        ({"targetRef": {"kind": "MeshGateway", "name": "g"}, "from": [FROM]}, [("spec.targetRef.kind", "value 'MeshGateway' is not supported")]),
        ({"from": [{"targetRef": {"kind": "Dataplane"}, "default": {"action": "Deny"}}]}, [("spec.from[0].targetRef.kind", "value 'Dataplane' is not supported")]),
        ({"from": [{"targetRef": MESH}]}, [("spec.from[0].default.action", "must be defined")]),
        ({"from": [{"default": {"action": "Deny"}}]}, [("spec.from[0].targetRef.kind", "must be defined")]),
        (rule(), [("spec.rules[0]", "at least one of 'allow', 'allowWithShadowDeny', 'deny' has to be defined")]),
        (rule(deny=[{}]), [("spec.rules[0].deny[0]", "must specify at least one of 'spiffeID' or 'sni'")]),
        (rule(allow=[{"spiffeID": {"value": "x"}}]), [("spec.rules[0].allow[0].spiffeID", "must be a valid Spiffe ID: scheme is missing or invalid")]),
        (rule(allow=[{"sni": {"value": "a.b"}}]), [("spec.rules[0].allow[0].sni.type", "must be set")]),
        (rule(allow=[{"sni": {"type": "Prefix", "value": "a.b"}}]), [("spec.rules[0].allow[0].sni.type", 'unrecognized type "Prefix", supported values are: Exact')]),
        (rule(allow=[{"sni": {"type": "Exact"}}]), [("spec.rules[0].allow[0].sni.value", "must be set")]),
        ({"targetRef": {"kind": "Dataplane", "sectionName": "http"}, **rule(allow=[SPIFFE])}, []),
        ({"from": [FROM]}, []),
    ],
)  # fmt: skip
def test_rules_of_a_mesh_traffic_permission(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(each.field, each.message) for each in mtp.KIND.validate(mesh_permission(**spec))] == expected


@pytest.mark.parametrize(
    ("spec", "beginnings"),
    [
        (rule(allow=[SPIFFE]), []),
        ({"from": [FROM]}, ["'from' field is deprecated"]),
        ({"targetRef": {"kind": "MeshSubset"}, **rule(allow=[SPIFFE])}, ["MeshSubset value for 'targetRef.kind' is deprecated"]),
        ({"from": [{**FROM, "targetRef": {"kind": "MeshService", "name": "a"}}]}, ["'from' field is deprecated", "MeshService value for 'from[].targetRef.kind'"]),
        ({"targetRef": {"kind": "MeshSubset"}, "from": [FROM]}, ["'from' field is deprecated", "MeshSubset value for 'targetRef.kind' is deprecated"]),
    ],
)  # fmt: skip
def test_warnings_of_a_mesh_traffic_permission(spec: dict[str, Any], beginnings: list[str]) -> None:
    assert mtp.KIND.deprecations is not None
    found = list(mtp.KIND.deprecations(mesh_permission(**spec)))
    assert [each[: len(start)] for each, start in zip(found, beginnings, strict=True)] == beginnings


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [("sources", "must have at least one element"), ("destinations", "must have at least one element")]),
        ({"sources": [{}], "destinations": [{"match": {"a": "*"}}]}, [("sources[0].match", "must have at least one tag")]),
        ({"sources": [{"match": {"a": ""}}], "destinations": [{"match": {"a": "*"}}]}, [('sources[0].match["a"]', "tag value must be non-empty")]),
        ({"sources": [{"match": {"a": "*"}}], "destinations": [{"match": {"a": "b/c"}}]}, []),
    ],
)  # fmt: skip
def test_rules_of_a_traffic_permission(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    resource = codec.decode(tp.KIND, {"type": "TrafficPermission", "mesh": "m", "name": "n", **spec})
    assert [(each.field, each.message) for each in tp.KIND.validate(resource)] == expected
