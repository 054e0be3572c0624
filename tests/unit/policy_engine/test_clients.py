"""Clients by SPIFFE ID: which text Envoy is to look for, and in which certificates it finds it."""

import re

import pytest

from kuma.policy_engine import clients
from kuma.resources import targetref

ALONE = "spiffe://m/web"
JOINED = "spiffe://m/other,spiffe://m/web,kuma://version/v1"


def spiffe(kind: str, value: str) -> targetref.SpiffeIdMatch:
    return targetref.SpiffeIdMatch(type=kind, value=value)


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("Exact", "spiffe://m/web", True),
        ("Exact", "spiffe://m/we", False),
        ("Exact", "spiffe://m/w.b", False),
        ("Prefix", "spiffe://m/we", True),
        ("Prefix", "spiffe://m/w.", False),
        ("Prefix", "spiffe://m", True),
        ("Prefix", "spiffe://", True),
    ],
)
def test_an_id_of_the_mesh_is_found_among_others(kind: str, value: str, fits: bool) -> None:
    text = clients.expression(spiffe(kind, value), "m")
    assert [re.fullmatch(text, shown) is not None for shown in (ALONE, JOINED)] == [fits, fits]


@pytest.mark.parametrize("kind", ["Exact", "Prefix"])
@pytest.mark.parametrize("value", ["spiffe://m.zone.mesh.local/ns/a", "spiffe://other/web"])
def test_an_id_of_another_trust_domain_is_compared_as_it_is(kind: str, value: str) -> None:
    match = targetref.Match(spiffe_id=spiffe(kind, value))
    wanted = clients.predicate(match, "m").single_predicate.value_match
    assert getattr(wanted, kind.lower()) == value


def test_all_members_of_a_match_have_to_fit() -> None:
    sni = targetref.SniMatch(type="Exact", value="api")
    both = clients.predicate(targetref.Match(spiffe("Exact", "spiffe://x/a"), sni), "m")
    values = [each.single_predicate.value_match.exact for each in both.and_matcher.predicate]
    assert values == ["spiffe://x/a", "api"]
    assert clients.predicate(targetref.Match(sni=sni), "m").single_predicate.input.name.endswith("server_name")


def test_one_of_several_matches_has_to_fit() -> None:
    one = clients.predicate(targetref.Match(spiffe("Exact", "spiffe://x/a")), "m")
    assert clients.any_of([one]) == one
    assert list(clients.any_of([one, one]).or_matcher.predicate) == [one, one]
