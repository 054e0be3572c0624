"""The state behind the stores where the contract suite cannot look: cycles of owners, undoing, repeating."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kuma.base import errors
from kuma.resources import kind
from kuma.resources import resource as res
from kuma.store import image, protocol


class NoteSpec(kind.Spec, frozen=True):
    text: str = ""


NOTE = kind.Kind("Note", "notes", kind.Scope.MESH, NoteSpec)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def note(name: str, text: str = "") -> res.Resource[Any]:
    return res.Resource(NOTE, res.Meta("m", name), NoteSpec(text))


def key(name: str) -> res.Key:
    return res.Key("Note", "m", name)


def put(name: str, text: str = "", owner: str = "") -> protocol.Change:
    return protocol.Change(protocol.Op.CREATED, note(name, text), owner=key(owner) if owner else None)


@pytest.fixture
def state() -> image.Image:
    return image.Image(lambda: NOW)


def names(state: image.Image) -> list[str]:
    return [each.meta.name for each in state.listing("Note", None)]


def test_owners_in_a_circle_go_together(state: image.Image) -> None:
    state.apply([put("a"), put("b", owner="a"), put("c", owner="b"), put("a", "again", owner="c"), put("d")])
    removed = [change.resource.meta.name for change in state.delete(key("b"))]
    assert (sorted(removed), removed[-1]) == (["a", "b", "c"], "b")
    assert names(state) == ["d"]


def test_an_owner_can_be_changed_by_apply_and_is_kept_where_none_is_given(state: image.Image) -> None:
    state.apply([put("a"), put("b"), put("child", owner="a")])
    state.apply([put("child", owner="b")])
    state.delete(key("a"))
    state.apply([put("child", "new text")])
    state.delete(key("b"))
    assert names(state) == []


def test_a_failed_apply_restores_resources_owners_and_the_revision(state: image.Image) -> None:
    state.apply([put("root"), put("kept", owner="root"), put("free")])
    before = state.listing("Note", None), state.revision
    deleted = protocol.Change(protocol.Op.DELETED, note("root"))
    with pytest.raises(errors.NotFound):
        state.apply([put("free", "x", owner="root"), deleted, put("kept", "y"), put("bad", owner="absent")])
    assert (state.listing("Note", None), state.revision) == before
    assert [each.resource.meta.name for each in state.delete(key("root"))] == ["kept", "root"]
    assert names(state) == ["free"]


def test_a_copy_goes_its_own_way_and_catches_up_by_repeating_changes(state: image.Image) -> None:
    state.apply([put("a"), put("b", owner="a")])
    twin = state.copy()
    changes = [*state.create(note("c"), None), *state.delete(key("a"))]
    assert names(twin) == ["a", "b"]
    twin.replay(changes)
    assert (names(twin), twin.revision) == (["c"], state.revision)
    assert twin.get(key("c")) is state.get(key("c"))
