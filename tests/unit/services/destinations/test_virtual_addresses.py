"""Addresses in the order of a network."""

from typing import Any

import pytest

from kuma.resources import resource as res
from kuma.services.destinations import virtual_addresses as vips
from tests.kit import destinations as kit


def test_addresses_are_given_out_one_after_the_other_from_the_first() -> None:
    pool = vips.AddressPool("241.0.0.0/8")
    assert [pool.address_of(name) for name in "abcab"] == [
        "241.0.0.0",
        "241.0.0.1",
        "241.0.0.2",
        "241.0.0.0",
        "241.0.0.1",
    ]


def test_what_is_held_is_not_given_again() -> None:
    pool = vips.AddressPool("241.0.0.0/30")
    pool.hold("old", "241.0.0.0")
    pool.hold("other", "241.0.0.2")
    pool.hold("outside", "10.0.0.1")
    assert [pool.address_of(name) for name in ("a", "b", "c", "old")] == ["241.0.0.1", "241.0.0.3", None, "241.0.0.0"]


def test_a_free_address_waits_until_all_others_had_their_turn() -> None:
    pool = vips.AddressPool("241.0.0.0/30")
    pool.address_of("a")
    pool.release("a")
    pool.release("a")
    assert [pool.address_of(name) for name in "bcdef"] == ["241.0.0.1", "241.0.0.2", "241.0.0.3", "241.0.0.0", None]


def test_an_address_that_two_have_is_free_when_both_let_go() -> None:
    pool = vips.AddressPool("241.0.0.0/31")
    pool.hold("a", "241.0.0.1")
    pool.hold("b", "241.0.0.1")
    pool.hold("a", "241.0.0.0")
    assert pool.address_of("c") is None
    pool.release("b")
    assert pool.address_of("c") == "241.0.0.1"


def test_a_network_of_version_6() -> None:
    pool = vips.AddressPool("fd00::/64")
    assert [pool.address_of(name) for name in "ab"] == ["fd00::", "fd00::1"]
    assert pool.covers("fd00::99")
    assert not pool.covers("241.0.0.1")
    assert not pool.covers("")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("MeshService", {}),
        ("MeshExternalService", {"match": {"port": 80}}),
        ("MeshMultiZoneService", {"selector": {"meshService": {"matchLabels": {"a": "b"}}}, "ports": [{"port": 1}]}),
    ],
)
def test_where_a_service_keeps_its_address(kind: str, spec: Any) -> None:
    found = kit.resource(kind, "web", {"spec": spec})
    assert vips.vip_of(found) == ""
    assert found.kind.status is not None
    blank = res.Resource(found.kind, found.meta, found.spec, found.kind.status())
    assert vips.vip_of(blank) == ""
    assert vips.vip_of(vips.with_vip(blank, "241.0.0.7")) == "241.0.0.7"
