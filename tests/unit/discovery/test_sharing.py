"""What streams share: differences, members, versions and names are worked out once."""

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from kuma.discovery import resources as res
from kuma.discovery import sharing, wire


def members(**versions: int) -> dict[str, res.Rendered]:
    return {name: res.Rendered(res.CLUSTER, name, f"{name}{version}".encode()) for name, version in versions.items()}


def spelled(difference: sharing.Difference) -> tuple[list[str], list[str]]:
    return sorted(r.value.decode() for r in difference.changed), sorted(difference.removed)


@pytest.mark.parametrize(
    ("old", "new", "changed", "removed"),
    [
        (({"a": 1}, {}), ({"a": 1}, {}), [], []),
        (({"a": 1}, {}), ({"a": 2, "b": 1}, {}), ["a2", "b1"], []),
        (({"a": 1, "b": 1}, {}), ({"b": 1}, {}), [], ["a"]),
        (({}, {"a": 1}), ({}, {"a": 2}), ["a2"], []),
        (({}, {"a": 1}), ({}, {}), [], ["a"]),
        (({"a": 1}, {"b": 1}), ({"b": 1}, {"a": 1}), ["b1"], []),
        (({"a": 1}, {"b": 1}), ({}, {"b": 1, "a": 2}), ["a2"], []),
    ],
)
def test_differences(old, new, changed, removed):
    shared = sharing.Sharing()
    before, after = (res.ResourceSet(members(**s), members(**o)) for s, o in (old, new))
    assert spelled(shared.difference(before, after)) == (changed, removed)


def test_streams_that_move_together_get_one_difference():
    shared = sharing.Sharing()
    old, new = members(a=1, b=1), members(a=2, b=1)
    first = shared.difference(res.ResourceSet(old, members(x=1)), res.ResourceSet(new, members(x=1)))
    assert shared.difference(res.ResourceSet(old), res.ResourceSet(new)) is first


def test_old_entries_are_forgotten_and_never_mistaken_for_new_ones():
    shared = sharing.Sharing(limit=2)
    for version in range(50):
        step = shared.difference(res.ResourceSet(members(a=version)), res.ResourceSet(members(a=version + 1)))
        assert spelled(step) == ([f"a{version + 1}"], [])
        assert [r.value for r in shared.members(res.ResourceSet(members(a=version)))[0]] == [f"a{version}".encode()]


def test_versions_tell_sets_apart_by_content():
    shared = sharing.Sharing()
    one, other = res.ResourceSet(members(a=1), members(b=1)), res.ResourceSet(members(a=1), members(b=1))
    assert shared.version(one) == shared.version(other)
    assert shared.version(one) != shared.version(res.ResourceSet(members(a=1), members(b=2)))
    assert shared.version(one) != shared.version(res.ResourceSet(members(a=1)))


def test_equal_names_are_one_object():
    shared = sharing.Sharing()
    assert shared.names(frozenset({"a", "b"})) is shared.names(frozenset({"b", "a"}))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32])
def test_varints_are_protobufs(number):
    raw = wire.delimited(15, b"") + wire.varint(number)
    assert raw[:2] == b"\x7a\x00"
    value, shift = 0, 0
    for byte in raw[2:]:
        value |= (byte & 127) << shift
        shift += 7
    assert value == number


def test_framing_is_read_by_protobuf():
    big = res.Rendered(res.LISTENER, "n" * 200, b"v" * 70_000)
    state = discovery_pb2.DiscoveryResponse.FromString(big.sotw)
    assert (state.resources[0].type_url, state.resources[0].value) == (res.LISTENER, big.value)
    delta = discovery_pb2.DeltaDiscoveryResponse.FromString(big.delta_head + big.sotw)
    [found] = delta.resources
    assert (found.name, found.version, found.resource.value) == (big.name, big.version, big.value)
