"""Matches are made once for proxies that policies cannot tell apart, and not kept for ever."""

from typing import Any

import pytest

from kuma.base import kri
from kuma.policies.meshtimeout import model
from kuma.policy_engine.matching import matcher, surroundings
from kuma.policy_engine.merging import rules
from tests.kit import policies

WEB = {"kuma.io/service": "web"}
AROUND = surroundings.Surroundings(services=[policies.a_service("a", http=80), policies.a_service("b", http=80)])
TO_A, TO_B = (kri.Kri("msvc", "m", "", "", name, "http") for name in "ab")
POLICIES = tuple(policies.a_timeout(name, 1, to={"kind": "MeshService", "name": name}) for name in "ab")


def match(
    asked: matcher.Matcher, of: tuple[Any, ...] = POLICIES, around: Any = AROUND, **proxy: Any
) -> rules.ProxyRules:
    return asked.match(model.KIND, of, policies.a_subject(WEB, **proxy), around)


def test_replicas_share_what_is_said_of_them_under_their_own_addresses() -> None:
    asked = matcher.Matcher()
    one, other = match(asked, name="web-1"), match(asked, name="web-2", address="10.0.0.2")
    assert one.to is other.to
    assert one.inbounds["10.0.0.1", 8001] is other.inbounds["10.0.0.2", 8001]
    assert match(asked, name="web-3", labels={"app": "x"}).to is one.to


def test_a_policy_about_one_name_is_not_taken_for_one_about_its_replicas() -> None:
    asked = matcher.Matcher()
    named = (*POLICIES, policies.a_timeout("c", 2, {"kind": "Dataplane", "name": "web-1"}))
    assert len(match(asked, named, name="web-1").policies) == 3
    assert len(match(asked, named, name="web-2").policies) == 2


@pytest.mark.parametrize("first", ["web-1", "web-2"])
def test_a_policy_on_a_route_of_one_name_is_not_taken_for_one_about_its_replicas(first: str) -> None:
    asked = matcher.Matcher()
    route = policies.a_policy("MeshHTTPRoute", "r", {"kind": "Dataplane", "name": "web-1"}, to=[])
    around = surroundings.Surroundings(routes=[route])
    on_route = (policies.a_timeout("t", 1, {"kind": "MeshHTTPRoute", "name": "r"}),)
    match(asked, on_route, around, name=first)
    assert len(match(asked, on_route, around, name="web-1").policies) == 1
    assert not match(asked, on_route, around, name="web-2").policies


def test_a_change_of_one_policy_leaves_the_confs_of_others_the_same_objects() -> None:
    asked = matcher.Matcher()
    before = match(asked).to
    at_a, at_b = before.of(TO_A), before.of(TO_B)
    after = match(asked, (policies.a_timeout("a", 2, to={"kind": "MeshService", "name": "a"}), POLICIES[1])).to
    assert after.of(TO_A) is not at_a
    assert after.of(TO_B) is at_b


def test_a_destination_that_comes_is_seen_and_the_others_stay_the_same_objects() -> None:
    asked = matcher.Matcher()
    alone = surroundings.Surroundings(services=AROUND.services[:1])
    before = match(asked, around=alone).to
    at_a = before.of(TO_A)
    assert before.of(TO_B) is None
    after = match(asked).to
    assert after.of(TO_A) is at_a
    assert after.of(TO_B) is not None


def test_shadow_policies_have_answers_of_their_own() -> None:
    asked, subject = matcher.Matcher(), policies.a_subject(WEB)
    shadow = (*POLICIES, policies.a_timeout("s", 3, labels={"kuma.io/effect": "shadow"}))
    assert len(asked.match(model.KIND, shadow, subject, AROUND).policies) == 2
    assert len(asked.match(model.KIND, shadow, subject, AROUND, with_shadow=True).policies) == 3


@pytest.mark.parametrize(
    "target",
    [{"kind": "Dataplane", "labels": {"a": "1", "b": "1"}}, {"kind": "MeshSubset", "tags": {"a": "1", "b": "1"}}],
)
def test_all_of_what_a_policy_asks_for_counts_not_only_what_it_is_found_by(target: dict[str, Any]) -> None:
    asked = matcher.Matcher()
    of = (policies.a_timeout("p", 1, target),)
    for pairs, expected in (({"a": "1"}, 0), ({"b": "1"}, 0), ({"a": "1", "b": "1"}, 1), ({"a": "1", "b": "2"}, 0)):
        subject = policies.a_subject({**WEB, **pairs}, labels=pairs)
        assert len(asked.match(model.KIND, of, subject, AROUND).policies) == expected


def test_proxies_that_come_and_go_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher, "LARGEST_TABLE", 3)
    asked = matcher.Matcher()
    for number in range(5):
        match(asked, labels={"pod": str(number)})
    [table] = asked._tables.values()
    assert len(table.answers) == 3
