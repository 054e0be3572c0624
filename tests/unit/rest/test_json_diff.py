"""Differences of JSON documents, written as JSON Patch."""

from typing import Any

import pytest

from kuma.servers.rest.inspecting import json_diff
from tests.kit import json_patches


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({}, {"a/b~c": 1}, [("add", "/a~1b~0c", 1)]),
        ({"a": 1}, {}, [("test", "/a", 1), ("remove", "/a", 1)]),
        ({"a": 1}, {"a": [2]}, [("test", "/a", 1), ("remove", "/a", 1), ("add", "/a", [2])]),
        ([1, 3], [1, 2, 3], [("add", "/1", 2)]),
        ([1, 2, 3], [1, 3], [("test", "/1", 2), ("remove", "/1", 2)]),
        ([{"a": 1}, 9], [{"a": 1, "b": 2}, 9], [("add", "/0/b", 2)]),
        ([], [1, 2], [("add", "/0", 2), ("add", "/0", 1)]),
        ("ab", "ac", [("test", "", "ab"), ("remove", "", "ab"), ("add", "", "ac")]),
    ],
)
def test_operations(before: Any, after: Any, expected: list[tuple[str, str, Any]]) -> None:
    assert json_diff.patch(before, after) == [
        dict(zip(("op", "path", "value"), each, strict=True)) for each in expected
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, 2, 3, 4], [4, 3, 2, 1]),
        ([1, 1, 1], [1]),
        ([1], [1, 1, 1]),
        ({"l": [{"x": 1}, {"y": [1, 2]}]}, {"l": [{"y": [2]}, {"x": 2}, {"z": 0}]}),
        ({"a": {"b": {"c": 1}}, "d": [[]]}, {"a": {"b": {}}, "d": [[1], []]}),
    ],
)
def test_operations_lead_from_one_to_the_other(before: Any, after: Any) -> None:
    for one, other in ((before, after), (after, before)):
        assert json_patches.applied(one, json_diff.patch(one, other)) == other
