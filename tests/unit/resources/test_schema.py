"""Schema checks of new kinds, in the words of Kubernetes' validator."""

from typing import Annotated, Any

import pytest

from kuma.base import errors
from kuma.policies.meshtrafficpermission import model as mtp
from kuma.resources import codec, schema, values
from kuma.resources import kind as kinds


class Inner(kinds.Spec, frozen=True):
    need: Annotated[str, values.Required] = ""
    port: Annotated[int, values.bounded(1, 65535)] = 1
    word: Annotated[str, values.sized(1, 3), values.matching("^a")] = "a"


class Spec(kinds.Spec, frozen=True):
    inner: Inner | None = None
    many: Annotated[tuple[Inner, ...], values.sized(1)] = ()
    tags: dict[str, str] | None = None
    share: float = 0.0
    on: bool = False
    wait: values.GoDuration | None = None
    free: Any = None


KIND = kinds.Kind("Thing", "things", kinds.Scope.MESH, Spec, envelope=kinds.Envelope.SPEC)


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({}, "", ".spec in body is required"),
        ({"spec": "x"}, "", 'spec in body must be of type object: "string"'),
        ({"labels": "x", "spec": {}}, "", 'labels in body must be of type object: "string"'),
        ({"type": "Other", "spec": {}}, "", "type in body should be one of [Thing]"),
        ({"spec": {"inner": {}}}, "spec.inner.need", "in body is required"),
        ({"spec": {"inner": {"need": 5}}}, "spec.inner.need", 'in body must be of type string: "number"'),
        ({"spec": {"inner": {"need": None}}}, "spec.inner.need", 'in body must be of type string: "null"'),
        ({"spec": {"many": [{"need": "x", "port": 0}]}}, "spec.many[0].port", "in body should be greater than or equal to 1"),
        ({"spec": {"many": [{"need": "x", "port": 70000}]}}, "spec.many[0].port", "in body should be less than or equal to 65535"),
        ({"spec": {"many": [{"need": "x", "port": 1.5}]}}, "spec.many[0].port", 'in body must be of type integer: "number"'),
        ({"spec": {"many": []}}, "spec.many", "in body should have at least 1 items"),
        ({"spec": {"many": {}}}, "spec.many", 'in body must be of type array: "object"'),
        ({"spec": {"inner": {"need": "x", "word": ""}}}, "spec.inner.word", "in body should be at least 1 chars long"),
        ({"spec": {"inner": {"need": "x", "word": "abcd"}}}, "spec.inner.word", "in body should be at most 3 chars long"),
        ({"spec": {"inner": {"need": "x", "word": "b"}}}, "spec.inner.word", "in body should match '^a'"),
        ({"spec": {"tags": {"a": 1}}}, "spec.tags.a", 'in body must be of type string: "number"'),
        ({"spec": {"share": "x"}}, "spec.share", 'in body must be of type number: "string"'),
        ({"spec": {"on": 1}}, "spec.on", 'in body must be of type boolean: "number"'),
        ({"spec": {"wait": 5}}, "spec.wait", 'in body must be of type string: "number"'),
    ],
)  # fmt: skip
def test_a_broken_document_gets_this_violation(document: dict[str, Any], field: str, message: str) -> None:
    found = schema.envelope_violations(KIND, document)
    assert (field, message) in [(each.field, each.message) for each in found]


def test_a_sound_document_gets_none() -> None:
    spec = {"inner": {"need": "x"}, "tags": {}, "free": [1], "wait": "5s", "unknown": 1}
    assert schema.envelope_violations(KIND, {"type": "Thing", "name": "n", "spec": spec}) == []


def test_decoding_a_permission_with_an_unknown_action_stops_at_the_schema() -> None:
    spec = {"from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Shrug"}}]}
    with pytest.raises(errors.InvalidResource) as refusal:
        codec.decode(mtp.KIND, {"type": "MeshTrafficPermission", "mesh": "default", "name": "n", "spec": spec})
    assert refusal.value.violations == (
        errors.Violation("spec.from[0].default.action", "in body should be one of [Allow Deny AllowWithShadowDeny]"),
    )
