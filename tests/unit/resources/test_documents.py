"""YAML as documents: what is split, kept as text, and refused with its line."""

import pytest

from kuma.base import errors
from kuma.resources import documents


def test_documents_are_split_and_empty_ones_left_out() -> None:
    text = 'a: 1\n---\n# nothing\n--- \nb: 2\n---\n{"c": 3}\n'
    assert documents.parse_yaml_documents(text) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_dates_stay_text_and_keys_become_text() -> None:
    assert documents.parse_yaml("when: 2026-01-01\n1: x\ntrue: y") == {"when": "2026-01-01", "1": "x", "true": "y"}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\na: 2", 2, "already set in map"),
        ("a: 1\n---\nb: 1\nb: 2", 4, "already set in map"),
        ("a: [1", 1, "did not find expected"),
        ("a: 1\n---\nb: {", 3, "did not find expected"),
        ("- 1", 1, "a resource has to be a map"),
        ("a: !!python/object:os.system {}", 1, "could not determine a constructor"),
        ("a: *nobody", 1, "undefined alias"),
        ("a: 1\nb: !!bool x", 2, "does not fit its tag tag:yaml.org,2002:bool"),
        ('a: !!int ""', 1, "does not fit its tag"),
        ("a: !!timestamp x", 1, "does not fit its tag"),
        ("a: " + "9" * 5_000, 1, "does not fit its tag"),
        ("a: " + "[" * 200_000, 1, "nested too deeply"),
        ("a: 1\nb: " + "{a: " * 200_000, 2, "nested too deeply"),
        ("- " * 200_000, 1, "nested too deeply"),
        ("? " * 200_000, 1, "nested too deeply"),
    ],
)
def test_broken_text_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(errors.BadRequest, match=reason) as refusal:
        documents.parse_yaml_documents(text)
    assert f"line {line}" in str(refusal.value) or f"line {line + 1}" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n" for last, name in zip("abcdef", "bcdefg", strict=True)
        ),
        "a: &a\n  b: *a",
    ],
    ids=["a bomb", "a circle"],
)  # fmt: skip
def test_aliases_cannot_blow_up(text: str) -> None:
    with pytest.raises(errors.BadRequest, match=r"excessive aliasing|recursive"):
        documents.parse_yaml(text)
