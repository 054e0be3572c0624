"""Tags and selectors: writing rules, matching and rank."""

import pytest

from kuma.resources import selectors

SERVICE = "kuma.io/service"


@pytest.mark.parametrize(
    ("selector", "tags", "fits"),
    [
        ({}, {"a": "1"}, True),
        ({"a": "1"}, {"a": "1", "b": "2"}, True),
        ({"a": "*"}, {"a": "1"}, True),
        ({"a": "*"}, {"b": "1"}, False),
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": "1", "b": "2"}, {"a": "1"}, False),
        ({"a": ""}, {"a": ""}, True),
    ],
)
def test_a_selector_wants_each_of_its_tags(selector: dict[str, str], tags: dict[str, str], fits: bool) -> None:
    assert selectors.matches(selector, tags) is fits


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"a": "*", "b": "*"}, {"a": "1"}),
        ({"a": "1"}, {"a": "*"}),
        ({"a": "1", "b": "*"}, {"a": "*", "b": "*"}),
        ({"a": "*"}, {}),
    ],
)
def test_more_tags_rank_higher_then_more_exact_ones(better: dict[str, str], worse: dict[str, str]) -> None:
    assert selectors.rank(better) > selectors.rank(worse)


def test_ranks_add_up() -> None:
    assert selectors.rank({"a": "1"}).plus(selectors.rank({"b": "*"})) == selectors.Rank(tags=2, exact=1)


BAD_NAME = "tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores"
BAD_TAG = "tag value must consist of alphanumeric characters, dots, dashes and underscores"
BAD_SELECTOR = 'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"'


@pytest.mark.parametrize(
    ("tags", "field", "message"),
    [
        ({"": "x", SERVICE: "a"}, "t", "tag name must be non-empty"),
        ({"a b": "x", SERVICE: "a"}, 't["a b"]', BAD_NAME),
        ({"a": "", SERVICE: "a"}, 't["a"]', "tag value must be non-empty"),
        ({"a": "x/y", SERVICE: "a"}, 't["a"]', BAD_TAG),
        ({"a": "*", SERVICE: "a"}, 't["a"]', BAD_TAG),
        ({"a": "x"}, "t", f'mandatory tag "{SERVICE}" is missing'),
    ],
)
def test_rules_of_tags(tags: dict[str, str], field: str, message: str) -> None:
    found = list(selectors.check_tags("t", tags, service=True))
    assert [(each.field, each.message) for each in found] == [(field, message)]


@pytest.mark.parametrize("value", ["a", "a/b", "*", "a.b-c_d:e"])
def test_values_a_selector_may_have(value: str) -> None:
    assert list(selectors.check_selector("s", {"k": value})) == []


@pytest.mark.parametrize(
    ("value", "message"), [("**", BAD_SELECTOR), ("a*", BAD_SELECTOR), ("", "tag value must be non-empty")]
)
def test_values_a_selector_may_not_have(value: str, message: str) -> None:
    assert [each.message for each in selectors.check_selector("s", {"k": value})] == [message]


def test_destinations_of_services_only_name_what_is_too_much() -> None:
    found = selectors.check_selector("s", {"region": "", SERVICE: "a"}, only_service=True)
    assert [(each.field, each.message) for each in found] == [
        ("s", f'must consist of exactly one tag "{SERVICE}"'),
        ('s["region"]', 'tag "region" is not allowed'),
        ('s["region"]', "tag value must be non-empty"),
    ]


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ([], {}, [("l", "must have at least one element")]),
        ([], {"required": False}, []),
        ([{}], {}, [("l[0].match", "must have at least one tag")]),
        ([{}], {"at_least_one_tag": False}, []),
        ([{"a": "1"}, {"a": "1"}], {"at_most_one": True}, [("l", "there can be at most one selector")]),
        ([{"a": "1"}], {"service": True}, [("l[0].match", f'mandatory tag "{SERVICE}" is missing')]),
    ],
)
def test_rules_of_lists(given: list[dict[str, str]], options: dict[str, bool], expected: list[tuple[str, str]]) -> None:
    found = selectors.check_selectors("l", given, **options)
    assert [(each.field, each.message) for each in found] == expected
