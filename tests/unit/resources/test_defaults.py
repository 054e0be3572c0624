"""Defaults of new kinds, and numbers that may be text."""

from typing import Annotated

import pytest

from kuma.base import errors
from kuma.resources import codec, defaults, values
from kuma.resources import kind as kinds


class Item(kinds.Spec, frozen=True):
    name: str = ""
    weight: Annotated[int, values.defaults_to(1)] | None = None


class Spec(kinds.Spec, frozen=True):
    items: tuple[Item, ...] = ()
    by_name: dict[str, Item] | None = None
    one: Item | None = None
    share: values.IntOrString | None = None


class Plain(kinds.Spec, frozen=True):
    name: str = ""


KIND = kinds.Kind(name="Sample", plural="samples", scope=kinds.Scope.GLOBAL, spec=Spec, envelope=kinds.Envelope.SPEC)


def test_defaults_are_filled_in_wherever_the_type_stands() -> None:
    document = {"items": [{"name": "a"}, {"weight": 0}], "byName": {"b": {}}, "one": {}, "share": 5}
    assert defaults.fill(Spec, document) == {
        "items": [{"name": "a", "weight": 1}, {"weight": 0}],
        "byName": {"b": {"weight": 1}},
        "one": {"weight": 1},
        "share": 5,
    }
    assert document["one"] == {}


def test_an_absent_parent_stays_absent() -> None:
    assert defaults.fill(Spec, {}) == {}


def test_a_type_without_defaults_leaves_the_document_alone() -> None:
    document = {"name": "a"}
    assert defaults.fill(Plain, document) is document


@pytest.mark.parametrize("share", [5, -1, "50.5", ""])
def test_a_number_may_be_text(share: int | str) -> None:
    resource = codec.decode(KIND, {"type": "Sample", "name": "n", "spec": {"share": share}})
    assert resource.spec.share == share
    assert codec.encode(resource)["spec"] == {"share": share}


@pytest.mark.parametrize(("share", "found"), [(True, "boolean"), (1.5, "number"), ([], "array")])
def test_what_is_neither_is_refused(share: object, found: str) -> None:
    with pytest.raises(errors.InvalidResource) as refusal:
        codec.decode(KIND, {"type": "Sample", "name": "n", "spec": {"share": share}})
    assert [(each.field, each.message) for each in refusal.value.violations] == [
        ("", '"spec.share" must validate at least one schema (anyOf)'),
        ("spec.share", f'in body must be of type integer: "{found}"'),
    ]


def test_a_number_has_32_bits() -> None:
    with pytest.raises(errors.BadRequest, match="cannot unmarshal number 2147483648 into Go value of type int32"):
        codec.decode(KIND, {"type": "Sample", "name": "n", "spec": {"share": 2**31}})
