"""Which policy of the older generation counts for an inbound or a proxy."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from kuma.legacy_policies.proxytemplate import model as proxytemplate
from kuma.legacy_policies.trafficpermission import model as trafficpermission
from kuma.policy_engine.matching import sources
from kuma.resources import codec
from kuma.resources import resource as res
from tests.kit import policies

WEB = {"kuma.io/service": "web", "version": "v1"}
ANY = {"kuma.io/service": "*"}


def made(kind: Any, name: str, age: int, **fields: Any) -> res.Resource[Any]:
    """A policy that is so many seconds older than others."""
    found = codec.decode(kind, {"type": kind.name, "mesh": "m", "name": name, **fields})
    created = res.ZERO_TIME + timedelta(seconds=100 - age)
    return dataclasses.replace(found, meta=dataclasses.replace(found.meta, creation_time=created))


@pytest.mark.parametrize(
    ("asked", "winner"),
    [
        ([("a", 0, ANY), ("b", 0, {"kuma.io/service": "web"})], "b"),
        ([("a", 0, {"kuma.io/service": "web"}), ("b", 0, {**ANY, "version": "*"})], "b"),
        ([("a", 0, {**ANY, "version": "v1"}), ("b", 0, {**ANY, "version": "*"})], "a"),
        ([("a", 1, ANY), ("b", 0, ANY)], "b"),
        ([("b", 0, ANY), ("a", 0, ANY)], "a"),
        ([("a", 0, {"kuma.io/service": "api"})], None),
        ([("a", 0, {})], "a"),
    ],
)
def test_the_best_destination_wins_then_the_newest_then_the_first_by_name(
    asked: list[tuple[str, int, dict[str, str]]], winner: str | None
) -> None:
    found = [
        made(trafficpermission.KIND, name, age, sources=[{"match": ANY}], destinations=[{"match": tags}])
        for name, age, tags in asked
    ]
    best = sources.best_by_destination(found, WEB)
    assert (best.meta.name if best else None) == winner


@pytest.mark.parametrize(
    ("asked", "winner"),
    [
        ([("a", []), ("b", [{"match": ANY}])], "b"),
        ([("b", []), ("a", [])], "a"),
        ([("a", [{"match": {"version": "v2"}}])], None),
    ],
)
def test_a_proxy_has_the_template_whose_selector_fits_best(
    asked: list[tuple[str, list[Any]]], winner: str | None
) -> None:
    found = [made(proxytemplate.KIND, name, 0, selectors=written, conf={}) for name, written in asked]
    best = sources.best_by_selectors(found, policies.a_subject(WEB))
    assert (best.meta.name if best else None) == winner
