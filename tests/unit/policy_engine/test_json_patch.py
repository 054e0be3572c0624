"""Applying JSON Patch: the RFC's operations, and where Kuma's are more lenient."""

import contextlib
import copy
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from kuma.policy_engine.writing import json_patch

POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "-1", "-", "7", ""]), max_size=3).map(
    lambda tokens: "".join(f"/{each}" for each in tokens)
)
VALUES = st.sampled_from([None, 1, "x", [], {}, [1], {"a": [1]}])
BLOCKS = st.builds(
    json_patch.Block, op=st.sampled_from(json_patch.OPERATIONS), path=POINTERS, from_=POINTERS, value=VALUES
)


def block(op: str, path: str, value: Any = None, source: str | None = None) -> json_patch.Block:
    return json_patch.Block(op=op, path=path, value=value, from_=source)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([block("add", "/b", 2)], {"a": [1, 2], "b": 2}),
        ([block("add", "/a/0", 0)], {"a": [0, 1, 2]}),
        ([block("add", "/a/-", 3)], {"a": [1, 2, 3]}),
        ([block("add", "/a/-1", 3)], {"a": [1, 2, 3]}),
        ([block("add", "/b/c/d", 1)], {"a": [1, 2], "b": {"c": {"d": 1}}}),
        ([block("add", "/b/1/c", 1)], {"a": [1, 2], "b": [None, {"c": 1}]}),
        ([block("add", "/b/-", 1)], {"a": [1, 2], "b": [1]}),
        ([block("add", "", {"c": 1})], {"c": 1}),
        ([block("replace", "/a/1", 5)], {"a": [1, 5]}),
        ([block("replace", "/a/-1", 5)], {"a": [1, 5]}),
        ([block("remove", "/a/0")], {"a": [2]}),
        ([block("remove", "/nothing/here")], {"a": [1, 2]}),
        ([block("remove", "/a/7")], {"a": [1, 2]}),
        ([block("move", "/b", source="/a/0")], {"a": [2], "b": 1}),
        ([block("copy", "/b", source="/a")], {"a": [1, 2], "b": [1, 2]}),
        ([block("add", "/x~1y~0z", 1)], {"a": [1, 2], "x/y~z": 1}),
        ([block("add", "/b", {}), block("add", "/b/c", 1)], {"a": [1, 2], "b": {"c": 1}}),
    ],
)
def test_operations(blocks: list[json_patch.Block], expected: Any) -> None:
    document = {"a": [1, 2]}
    assert json_patch.apply(document, blocks) == expected
    assert document == {"a": [1, 2]}, "the document was changed"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (block("replace", "/b", 1), 'there is no "/b"'),
        (block("replace", "/a/2", 1), 'there is no "/a/2"'),
        (block("add", "/a/4", 1), "the list has 2 elements"),
        (block("add", "/a/x", 1), '"x" is no index'),
        (block("add", "/a/0/b", 1), '"/a/0" has no members'),
        (block("add", "/b/1000000000/c", 1), "at most"),
        (block("move", "/b", source="/c/d"), 'there is no "/c"'),
        (block("add", "b", 1), "has to begin with /"),
        (block("move", "/b", source=""), "cannot be removed"),
    ],
)
def test_what_cannot_be_done(written: json_patch.Block, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        json_patch.apply({"a": [1, 2]}, [written])


@hypothesis.given(VALUES, st.lists(BLOCKS, max_size=4))
def test_whatever_is_written_is_applied_or_refused(document: Any, blocks: list[json_patch.Block]) -> None:
    before = copy.deepcopy(document)
    with contextlib.suppress(ValueError):
        json_patch.apply(document, blocks)
    assert document == before
