"""What a targetRef may say, per kind, and how matches are checked."""

from typing import Any

import pytest

from kuma.resources import reader, targetref

ALL = targetref.Allowed(targetref.KINDS)
NAME_OR_LABELS = "either labels or name and namespace must be specified"


def check(allowed: targetref.Allowed, **fields: Any) -> list[tuple[str, str]]:
    ref = reader.read_struct(targetref.TargetRef, fields, proto=False)
    return [(each.field, each.message) for each in targetref.check("t", ref, allowed)]


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({}, "t.kind", "must be defined"),
        ({"kind": "Alien"}, "t.kind", "value 'Alien' is not supported"),
        ({"kind": "Mesh", "name": "x"}, "t.name", "using name with kind Mesh is not yet supported"),
        ({"kind": "Mesh", "mesh": "x"}, "t.mesh", "must not be set with kind Mesh"),
        ({"kind": "Mesh", "proxyTypes": []}, "t.proxyTypes", "must be undefined or have at least one element"),
        ({"kind": "MeshSubset", "name": "x"}, "t.name", "must not be set with kind MeshSubset"),
        ({"kind": "MeshSubset", "tags": {"a": ""}}, 't.tags["a"]', "tag value must be non-empty"),
        ({"kind": "MeshSubset", "proxyTypes": []}, "t.proxyTypes", "must be undefined or have at least one element"),
        ({"kind": "MeshService"}, "t", "name or labels must be set when kind is MeshService"),
        ({"kind": "MeshService", "name": "*"}, "t.name", "invalid characters: must consist of lower case alphanumeric characters, '-', '.' and '_'."),
        ({"kind": "MeshService", "name": "a", "labels": {"x": "y"}}, "t.labels", NAME_OR_LABELS),
        ({"kind": "MeshService", "name": "a", "tags": {"x": "y"}}, "t.tags", "must not be set with kind MeshService"),
        ({"kind": "MeshService", "name": "a", "proxyTypes": ["Sidecar"]}, "t.proxyTypes", "must not be set with kind MeshService"),
        ({"kind": "MeshHTTPRoute", "name": "a", "sectionName": "b"}, "t.sectionName", "must not be set with kind MeshHTTPRoute"),
        ({"kind": "MeshExternalService", "name": "a", "labels": {"x": "y"}}, "t.labels", "either labels or name must be specified"),
        ({"kind": "MeshExternalService", "name": "a", "sectionName": "b"}, "t.sectionName", "must not be set with kind MeshExternalService"),
        ({"kind": "MeshServiceSubset"}, "t.name", "must be set when kind is MeshServiceSubset"),
        ({"kind": "MeshServiceSubset", "name": "a", "labels": {"x": "y"}}, "t.labels", "must not be set with kind MeshServiceSubset"),
        ({"kind": "MeshGateway", "name": "a", "tags": {"x": "y"}}, "t.tags", "must not be set with kind MeshGateway"),
        ({"kind": "MeshGateway", "name": "a", "namespace": "x"}, "t.namespace", "must not be set with kind MeshGateway"),
        ({"kind": "Dataplane", "name": "a", "labels": {"x": "y"}}, "t.labels", NAME_OR_LABELS),
        ({"kind": "Dataplane", "proxyTypes": ["Sidecar"]}, "t.proxyTypes", "must not be set with kind Dataplane"),
        ({"kind": "Dataplane", "sectionName": "http"}, "t.sectionName", "can only be used with inbound policies"),
    ],
)  # fmt: skip
def test_each_kind_has_its_rules(fields: dict[str, Any], field: str, message: str) -> None:
    assert check(ALL, **fields) == [(field, message)]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "Mesh", "proxyTypes": ["Gateway"]},
        {"kind": "MeshSubset", "tags": {"a": "b/c"}},
        {"kind": "MeshService", "name": "a_b.c", "namespace": "n", "sectionName": "http"},
        {"kind": "MeshService", "labels": {"a": "b"}},
        {"kind": "MeshMultiZoneService", "tags": {"x": "y"}},
        {"kind": "Dataplane"},
    ],
)
def test_what_is_fine(fields: dict[str, Any]) -> None:
    assert check(ALL, **fields) == []


def test_what_a_place_allows() -> None:
    gateway = {"kind": "MeshGateway", "name": "a", "tags": {"port": "http/443"}}
    assert check(targetref.Allowed(["MeshGateway"], gateway_tags=True), **gateway) == []
    assert check(targetref.Allowed(["Mesh"], unsupported="not here"), **gateway) == [("t.kind", "not here")]
    assert check(targetref.Allowed(["MeshService"], invalid_names=["*"]), kind="MeshService", name="*") == []
    inbound = targetref.Allowed(["Dataplane"], inbound_policy=True)
    assert check(inbound, kind="Dataplane", sectionName="http") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("spiffe://default/ns/a/sa/b", ""),
        ("spiffe://default", ""),
        ("", "cannot be empty"),
        ("service", "scheme is missing or invalid"),
        ("spiffe://", "trust domain is missing"),
        ("spiffe://Big/x", "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"),
        ("spiffe://d/", "path cannot have a trailing slash"),
        ("spiffe://d/a/", "path cannot have a trailing slash"),
        ("spiffe://d//a", "path cannot contain empty segments"),
        ("spiffe://d/../a", "path cannot contain dot segments"),
        ("spiffe://d/a b", "path segment characters are limited to letters, numbers, dots, dashes, and underscores"),
    ],
)  # fmt: skip
def test_spiffe_ids(text: str, problem: str) -> None:
    assert targetref.spiffe_id_problem(text) == problem


@pytest.mark.parametrize(
    ("ref", "includes"),
    [
        ({"kind": "Mesh"}, True),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, False),
        ({"kind": "MeshSubset", "proxyTypes": ["Gateway"]}, True),
        ({"kind": "MeshGateway", "name": "g"}, True),
        ({"kind": "Dataplane"}, False),
    ],
)
def test_gateways_in_scope(ref: dict[str, Any], includes: bool) -> None:
    assert reader.read_struct(targetref.TargetRef, ref, proto=False).includes_gateways is includes
