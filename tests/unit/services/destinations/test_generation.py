"""Which MeshServices a Universal zone makes of its proxies."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from kuma.base import gotext, labels
from kuma.resources import resource as res
from kuma.services.destinations import generation, members, propagation
from tests.kit import destinations as kit

KEY = res.Key("MeshService", "m", "web")
SETTINGS = generation.Settings("east")
UNTAGGED = generation.Settings("east", untagged=True)


def made(
    *serving: members.Member, stored: Any = None, now: Any = kit.START, settings: generation.Settings = SETTINGS
) -> generation.Outcome:
    return generation.desired(KEY, serving, stored, now, settings)


def ports_of(outcome: generation.Outcome) -> list[tuple[Any, ...]]:
    assert outcome.service is not None
    return [msgspec.structs.astuple(each) for each in outcome.service.spec.ports]


@pytest.mark.parametrize(
    ("inbounds", "expected"),
    [
        ([kit.inbound()], [("8080", 8080, 8080, "tcp")]),
        ([kit.inbound(name="main", protocol="http")], [("main", 8080, 8080, "http")]),
        ([kit.inbound(tags={"kuma.io/protocol": "grpc"})], [("8080", 8080, 8080, "grpc")]),
        ([kit.inbound(protocol="mysql")], [("8080", 8080, 8080, "tcp")]),
        ([kit.inbound(servicePort=80)], [("8080", 8080, 8080, "tcp")]),
        ([kit.inbound(port=2), kit.inbound(port=1)], [("2", 2, 2, "tcp"), ("1", 1, 1, "tcp")]),
        ([kit.inbound(), kit.inbound(address="10.0.0.2", name="again")], [("8080", 8080, 8080, "tcp")]),
        ([kit.inbound(), kit.inbound("admin", 9000)], [("8080", 8080, 8080, "tcp")]),
    ],
)
def test_ports(inbounds: list[Any], expected: list[tuple[Any, ...]]) -> None:
    assert ports_of(made(kit.member("web-1", *inbounds))) == expected


def test_a_new_one_says_who_made_it() -> None:
    outcome = made(kit.member("web-1", kit.inbound()))
    assert outcome.service is not None
    assert outcome.service.meta.labels == {
        "kuma.io/display-name": "web",
        "kuma.io/env": "universal",
        "kuma.io/managed-by": "meshservice-generator",
        "kuma.io/mesh": "m",
        "kuma.io/origin": "zone",
        "kuma.io/zone": "east",
    }
    assert outcome.service.spec.selector.dataplane_tags == {"kuma.io/service": "web"}


def test_proxies_that_disagree_are_named_and_what_is_stored_holds() -> None:
    one, two = kit.member("a", kit.inbound(port=1)), kit.member("b", kit.inbound(port=2))
    first = made(two, one)
    assert (ports_of(first)[0][1], first.conflicting) == (1, ("b",))
    stored = made(two).service
    kept = made(one, two, stored=stored)
    assert (ports_of(kept)[0][1], kept.conflicting) == (2, ("a",))
    gone = made(one, stored=stored)
    assert (ports_of(gone)[0][1], gone.conflicting) == (1, ())


def test_one_without_proxies_outlives_them_for_a_while() -> None:
    proxy = kit.member("web-1", kit.inbound())
    stored = made(proxy).service
    waning = made(stored=stored).service
    assert waning is not None
    assert waning.meta.labels[labels.DELETION_GRACE] == "2026-01-01T00:00:00Z"
    assert generation.waned_at(waning, SETTINGS.grace) == kit.START + timedelta(hours=1)
    assert made(stored=waning, now=kit.START + timedelta(minutes=59)).service == waning
    assert made(stored=waning, now=kit.START + timedelta(hours=1)).service is None
    assert made(proxy, stored=waning).service == stored


def test_a_grace_that_cannot_be_read_begins_anew() -> None:
    stored = made(kit.member("web-1", kit.inbound())).service
    assert stored is not None
    odd = kit.service({}, **{**stored.meta.labels, labels.DELETION_GRACE: "soon"})
    waning = made(stored=odd).service
    assert waning is not None
    assert waning.meta.labels[labels.DELETION_GRACE] == "2026-01-01T00:00:00Z"


def test_what_users_wrote_is_left_alone() -> None:
    own = kit.service({"ports": [{"port": 1}]})
    assert made(kit.member("web-1", kit.inbound()), stored=own).service is own
    assert made(stored=own).service is own


@pytest.mark.parametrize(
    ("proxy", "untagged", "expected"),
    [
        (kit.member("a", kit.inbound()), False, {"web"}),
        (kit.member("a", kit.inbound(), kit.inbound("api", 1)), False, {"web", "api"}),
        (kit.member("a", kit.inbound("Not_a_name")), False, set()),
        (kit.member("a", kit.inbound("web.shop")), False, set()),
        (kit.member("a", kit.inbound("")), False, set()),
        (kit.member("a", kit.inbound(""), labels={"kuma.io/workload": "job"}), False, set()),
        (kit.member("a", kit.inbound(""), labels={"kuma.io/workload": "job"}), True, {"job"}),
        (kit.member("a", kit.inbound(), labels={"kuma.io/workload": "job"}), True, {"web"}),
        (kit.member("a", gateway={"tags": {"kuma.io/service": "edge"}}), False, set()),
    ],
)
def test_names(proxy: members.Member, untagged: bool, expected: set[str]) -> None:
    assert set(generation.names_of(proxy, untagged=untagged)) == expected


def test_inbounds_without_tags_belong_to_their_workload() -> None:
    outcome = made(kit.member("a", kit.inbound(""), labels={"kuma.io/workload": "web"}), settings=UNTAGGED)
    assert outcome.service is not None
    selector = outcome.service.spec.selector
    assert selector.dataplane_tags is None
    assert selector.dataplane_labels.match_labels == {"kuma.io/workload": "web"}


def voter(day: int, name: str, **labels: str) -> members.Member:
    return replace(kit.member(name, kit.inbound(), labels=labels), created=kit.START + timedelta(days=day))


def taken(own: dict[str, str], *serving: members.Member, allowed: frozenset[str] = frozenset()) -> dict[str, str]:
    settings = propagation.Settings(enabled=True, allowed=allowed)
    return propagation.with_labels(own, ((each, each.inbounds) for each in serving), settings)


def without_marks(found: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in found.items() if not key.startswith("kuma.io/pkey-")}


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        ([voter(1, "a", team="x"), voter(2, "b", team="y"), voter(1, "c", team="x")], {"team": "x"}),
        ([voter(1, "a", team="x"), voter(2, "b", team="y")], {"team": "y"}),
        ([voter(1, "a", team="y"), voter(1, "b", team="x")], {"team": "x"}),
        ([voter(1, "a", **{"kuma.io/zone": "z", "sub.kuma.io/a": "b", "other.io/a": "b"})], {"other.io/a": "b"}),
    ],
)
def test_labels_that_most_proxies_carry_are_taken_over(serving: Any, expected: dict[str, str]) -> None:
    assert without_marks(taken({}, *serving)) == expected


def tagged(*sets: dict[str, str], **labels: str) -> members.Member:
    return kit.member("a", *(kit.inbound(port=at, tags=each) for at, each in enumerate(sets, 1)), labels=labels)


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        (tagged({"team": "x"}), {"team": "x"}),
        (tagged({"team": "x"}, {"team": "x"}), {"team": "x"}),
        (tagged({"team": "x"}, {}), {"team": "x"}),
        (tagged({"team": "x"}, {"team": "y"}), {}),
        (tagged({"team": "x"}, {"team": "y"}, team="z"), {"team": "z"}),
        (tagged({"team": "x", "kuma.io/zone": "here"}, app="web"), {"team": "x", "app": "web"}),
        (tagged({"team": "no:label", "no:key": "x"}), {}),
    ],
)
def test_tags_on_which_inbounds_agree_are_taken_over_as_labels(proxy: members.Member, expected: dict[str, str]) -> None:
    assert without_marks(taken({}, proxy)) == expected


def test_tags_of_other_services_are_not_taken_over() -> None:
    proxy = kit.member("a", kit.inbound(tags={"team": "x"}), kit.inbound("admin", 1, tags={"team": "y"}))
    wanted = generation.Settings("east", propagated=propagation.Settings(enabled=True))
    stored = made(proxy, settings=wanted).service
    assert stored is not None
    assert stored.meta.labels["team"] == "x"


@pytest.mark.parametrize("age", [timedelta(), timedelta(hours=2)])
def test_a_generated_service_of_another_zone_is_theirs(age: timedelta) -> None:
    far = {"kuma.io/managed-by": generation.MANAGER, "kuma.io/origin": "global", "kuma.io/zone": "west"}
    far[labels.DELETION_GRACE] = gotext.format_time(kit.START - age)
    stored = kit.service({"ports": [{"port": 1}]}, **far)
    assert made(stored=stored).service is stored
    assert made(kit.member("web-1", kit.inbound()), stored=stored).service is stored


def test_labels_that_were_taken_over_go_with_their_proxies_and_others_stay() -> None:
    first = taken({"mine": "1", "team": "mine"}, voter(1, "a", team="x", app="web"))
    assert without_marks(first) == {"mine": "1", "team": "mine", "app": "web"}
    assert taken(first, voter(1, "a", app="api"))["app"] == "api"
    assert taken(first, voter(1, "a")) == {"mine": "1", "team": "mine"}
    assert without_marks(taken({}, voter(1, "a", team="x", app="web"), allowed=frozenset({"app"}))) == {"app": "web"}


def test_labels_are_taken_over_only_where_that_is_wanted() -> None:
    proxy = kit.member("a", kit.inbound(), labels={"team": "x"})
    assert made(proxy).service.meta.labels.get("team") is None  # type: ignore[union-attr]
    wanted = generation.Settings("east", propagated=propagation.Settings(enabled=True))
    stored = made(proxy, settings=wanted).service
    assert stored is not None
    assert stored.meta.labels["team"] == "x"
    assert "team" not in made(kit.member("a", kit.inbound()), stored=stored, settings=wanted).service.meta.labels  # type: ignore[union-attr]
