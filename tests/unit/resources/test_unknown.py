"""Fields that no type knows are named, with the nearest that one does; what is known in any spelling is not."""

import pathlib
from typing import Any

import pytest
import yaml

from kuma.apps.kumactl import kinds
from kuma.resources import unknown

ROOT = pathlib.Path(__file__).parents[3]
EXAMPLES = sorted(ROOT.glob("src/kuma/*policies/*/examples/*.yaml"))


def warnings(text: str) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(text)
    kind = kinds.catalog().find(document["type"])
    assert kind is not None
    return list(unknown.warnings(kind, document))


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ("{type: Mesh, name: a, mtl: {enabledBackend: x}}", "mtl", "mtls"),
        ("{type: Mesh, name: a, mtls: {backends: [{name: a, typ: builtin}]}}", "mtls.backends[0].typ", "type"),
        ("{type: Mesh, nam: a}", "nam", "name"),
        ("{type: MeshTrafficPermission, name: a, spec: {targetReff: {kind: Mesh}}}", "spec.targetReff", "targetRef"),
        ("{type: MeshTrafficPermission, name: a, spec: {from: [{}, {defaults: {action: Deny}}]}}",
         "spec.from[1].defaults", "default"),
        ("{type: MeshTrafficPermission, name: a, spc: {}}", "spc", "spec"),
        ("{type: MeshTrafficPermission, name: a, spec: {target_ref: {kind: Mesh}}}", "spec.target_ref", "targetRef"),
        ("{type: Dataplane, name: a, networking: {gateway: {tag: {a: b}}}}", "networking.gateway.tag", "tags"),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_named_with_the_nearest(text: str, path: str, nearest: str) -> None:
    assert warnings(text) == [f'unknown field "{path}" was ignored, did you mean "{nearest}"?']


@pytest.mark.parametrize(
    "text",
    [
        "{type: Dataplane, name: a, networking: {advertised_address: 10.0.0.1, advertisedAddress: 10.0.0.1}}",
        "{type: Dataplane, name: a, kri: x, creationTime: x, labels: {any: thing}}",
        "{type: Dataplane, name: a, networking: {inbound: [{port: 1, tags: {any: thing}}]}}",
        "{type: Mesh, name: a, mesh: b, mtls: {backends: [{name: a, conf: {anything: {goes: here}}}]}}",
        "{type: MeshService, name: a, spec: {}, status: {whatever: 1}}",
    ],
)
def test_what_is_known_or_free_is_not_named(text: str) -> None:
    assert warnings(text) == []


def test_a_field_like_no_other_is_named_alone() -> None:
    assert warnings("{type: Mesh, name: a, zzzzzz: 1}") == ['unknown field "zzzzzz" was ignored']


def test_many_unknown_fields_are_counted() -> None:
    many = ", ".join(f"x{number}: 1" for number in range(unknown.MOST_WARNINGS + 5))
    found = warnings(f"{{type: Mesh, name: a, {many}}}")
    assert len(found) == unknown.MOST_WARNINGS + 1
    assert found[-1] == "5 more unknown fields were ignored"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_the_examples_hold_no_unknown_field(path: pathlib.Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        kind = kinds.catalog().find(document["type"])
        assert kind is not None
        assert list(unknown.warnings(kind, document)) == []
