"""Rules by tags: whoever asks finds everything that fits, merged in order."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.policy_engine.merging import merge, rules, subset_rules
from kuma.resources import resource as res
from kuma.resources import targetref

KEYS = ("kuma.io/service", "team", "version")
VALUES = ("a", "b")
TAGS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
Arrange = Callable[[Sequence[subset_rules.Item]], list[subset_rules.Numbered]]
CARRIED = st.fixed_dictionaries({key: st.sampled_from((*VALUES, "c")) for key in KEYS})


def items_of(*asked: Mapping[str, str]) -> list[subset_rules.Item]:
    """One entry for each set of tags, numbered by its origin."""
    return [
        (
            subset_rules.subset_of(targetref.TargetRef(kind="MeshSubset", tags=dict(tags))),
            merge.Entry(None, None, res.ResourceRef("K", "m", "p", number)),
        )
        for number, tags in enumerate(asked)
    ]


def numbers(merged: rules.Merged | None) -> list[int]:  # type: ignore[type-arg]
    return [] if merged is None else [each.rule for each in merged.origins]


def merged(entries: tuple[merge.Entry, ...]) -> rules.Merged[None]:
    return rules.Merged(None, tuple(each.origin for each in entries))


def shown(numbered: list[subset_rules.Numbered]) -> list[str]:
    """Rules as text: tags that are asked for, those ruled out behind `!`, and the numbers of the entries."""
    return [
        " ".join("!" * tag.negated + tag.value for tag in subset)
        + " "
        + "".join(str(each.origin.rule) for each in entries)
        for subset, entries in numbered
    ]


@given(st.lists(TAGS, max_size=6), CARRIED)
def test_clients_find_every_entry_that_fits_them_and_no_other(asked: list[dict[str, str]], own: dict[str, str]) -> None:
    found = subset_rules.SubsetRules(lambda: subset_rules.exclusive_rules(items_of(*asked)), merged)
    fitting = [number for number, tags in enumerate(asked) if tags.items() <= own.items()]
    assert numbers(found.find(own)) == fitting


@given(st.lists(TAGS, max_size=5))
def test_kumas_rules_are_left_only_where_they_hide_an_entry(asked: list[dict[str, str]]) -> None:
    items = items_of(*asked)
    found = subset_rules._choice_rules(items)
    if not found and asked:
        with mock.patch.object(subset_rules, "_is_exact", return_value=True):
            left = subset_rules._choice_rules(items)
        every = [dict(zip(KEYS, values, strict=True)) for values in itertools.product((*VALUES, "c"), repeat=len(KEYS))]
        assert any(
            numbers(subset_rules.SubsetRules(lambda: left, merged).find(own))
            != [number for number, tags in enumerate(asked) if tags.items() <= own.items()]
            for own in every
        )


@pytest.mark.parametrize("arrange", [subset_rules._union_rules, subset_rules._last_wins])
@given(st.lists(TAGS, max_size=6), CARRIED)
def test_without_negations_the_most_important_entry_decides_too(
    arrange: Arrange, asked: list[dict[str, str]], own: dict[str, str]
) -> None:
    found = subset_rules.SubsetRules(lambda: arrange(items_of(*asked)), merged)
    fitting = [number for number, tags in enumerate(asked) if tags.items() <= own.items()]
    assert numbers(found.find(own))[-1:] == fitting[-1:]
    if arrange is subset_rules._union_rules:
        assert numbers(found.find(own)) == fitting


def test_a_refusal_is_not_hidden_by_entries_with_other_keys() -> None:
    """Kuma's own arrangement would put service `a` without team `a` before team `b`."""
    asked = [{}, {"team": "b"}, {"kuma.io/service": "a", "team": "a"}]
    found = subset_rules.SubsetRules(lambda: subset_rules.exclusive_rules(items_of(*asked)), merged)
    assert numbers(found.find({"kuma.io/service": "a", "team": "b"})) == [0, 1]


def test_many_keys_do_not_make_rules_without_end() -> None:
    found = subset_rules.exclusive_rules(items_of({}, *({f"key-{each}": "a"} for each in range(40))))
    assert len(found) == 41
    assert shown(found)[0] == "a 040"


def test_many_services_are_no_reason_to_give_up_choices() -> None:
    services = [{"kuma.io/service": f"s-{each}"} for each in range(3000)]
    found = subset_rules.exclusive_rules(items_of({}, *services))
    assert len(found) == 6000
    assert shown(found)[-1].startswith("!s-")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], []),
        ([{}], [" 0"]),
        ([{"k": "a"}], ["a 0"]),
        ([{}, {"k": "a"}], ["a 01", "!a 0"]),
        ([{}, {"k": "a"}, {"k": "b"}], ["b 02", "a 01", "!b 0", "!a 0"]),
        ([{"k": "a"}, {"l": "b"}], ["a b 01", "!a b 1", "a !b 0"]),
        ([{"k": "a", "l": "b"}, {"k": "a"}], ["a b 01", "a !b 1"]),
        (
            [{}, {"l": "a"}, {"k": "x", "l": "a"}, {"l": "b"}],
            ["x a 012", "b 03", "!x a 01", "x !a 0", "!b 0", "!x !a 0"],
        ),
        ([{}, *({"k": str(each)} for each in range(1, 12))], [
            "9 09", "8 08", "7 07", "6 06", "5 05", "4 04", "3 03", "2 02", "11 011", "10 010", "1 01",
            "!9 0", "!8 0", "!7 0", "!6 0", "!5 0", "!4 0", "!3 0", "!2 0", "!11 0", "!10 0", "!1 0",
        ]),
    ],
)  # fmt: skip
def test_rules_and_their_order_are_kumas(asked: list[dict[str, str]], expected: list[str]) -> None:
    assert shown(subset_rules.exclusive_rules(items_of(*asked))) == expected


def test_destinations_of_one_key_need_no_negations() -> None:
    asked = [{"k": "a"}, {}, {"k": "b"}, {"k": "a"}, {}]
    assert shown(subset_rules.destination_rules(items_of(*asked))) == ["a 0134", "b 124", " 14"]


def test_a_destination_that_shares_no_key_with_what_is_ruled_out_is_not_meant() -> None:
    rule = (rules.Tag("k", "a", negated=True),)
    [(_, entry)] = items_of({})
    found = subset_rules.SubsetRules(lambda: [(rule, (entry,))], merged)
    assert numbers(found.find({"k": "b"})) == [0]
    assert numbers(found.find({"k": "a"})) == []
    assert numbers(found.find({"l": "b"})) == []
