"""The layout of YAML and JSON output."""

import pytest

from kuma.apps.kumactl import documents


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("true", 'k: "true"\n'),
        ("1.0", 'k: "1.0"\n'),
        ("2026-01-31T12:00:00Z", 'k: "2026-01-31T12:00:00Z"\n'),
        ("*", "k: '*'\n"),
        ("plain", "k: plain\n"),
        ("1h0m0s", "k: 1h0m0s\n"),
        ("a\nb\n", "k: |\n  a\n  b\n"),
        ("", 'k: ""\n'),
        ("n", 'k: "n"\n'),
        ("word " * 40 + "end", "k: " + "word " * 40 + "end\n"),
    ],
)
def test_strings_are_quoted_only_where_they_would_be_read_as_something_else(value: str, line: str) -> None:
    assert documents.to_yaml({"k": value}) == line
    assert documents.from_yaml(line) == {"k": value}


def test_older_kinds_print_the_envelope_first() -> None:
    text = documents.resource_to_yaml(
        {"type": "Dataplane", "name": "d", "networking": {"address": "1.1.1.1"}, "kri": "k"}
    )
    assert text == "kri: k\nname: d\ntype: Dataplane\nnetworking:\n  address: 1.1.1.1\n"


def test_kinds_with_a_spec_are_sorted_as_a_whole() -> None:
    text = documents.resource_to_yaml({"type": "MeshRetry", "name": "r", "spec": {"targetRef": {"kind": "Mesh"}}})
    assert text == "name: r\nspec:\n  targetRef:\n    kind: Mesh\ntype: MeshRetry\n"


def test_timestamps_stay_text() -> None:
    assert documents.from_yaml("creationTime: 2026-01-31T12:00:00Z") == {"creationTime": "2026-01-31T12:00:00Z"}


def test_json_keeps_the_order_of_keys() -> None:
    assert documents.to_json({"type": "Mesh", "name": "ü"}) == '{\n  "type": "Mesh",\n  "name": "ü"\n}\n'
