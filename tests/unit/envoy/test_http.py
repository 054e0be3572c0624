"""Tests of headers: whatever is asked for, Envoy takes it."""

import pytest

from kuma.envoy import constraints, http


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("Exact", "a", 'string_match { exact: "a" }'),
        ("Prefix", "a", 'string_match { prefix: "a" }'),
        ("Prefix", "", "present_match: true"),
        ("RegularExpression", "a+", 'string_match { safe_regex { regex: "a+" } }'),
        ("Present", "", "present_match: true"),
        ("Absent", "", "present_match: false"),
    ],
)
def test_a_header_is_tested(kind, value, expected):
    made = http.header_matcher(kind, "x-a", value)
    assert " ".join(str(made).split()) == f'name: "x-a" {expected}'
    assert constraints.first_violation(made) == ""
