"""Values that thousands of proxies repeat are one object; what is shared is equal to what was read alone."""

from typing import Any

import pytest

from kuma.resources import reader
from kuma.resources.kinds import dataplane


def outbounds(*items: dict[str, Any]) -> tuple[dataplane.Outbound, ...]:
    networking = {"address": "10.0.0.1", "outbound": list(items)}
    read = reader.read_struct(dataplane.Dataplane, {"networking": networking}, proto=True)
    assert read.networking is not None
    return read.networking.outbound


def test_equal_outbounds_of_two_proxies_are_one() -> None:
    written = {"port": 10001, "tags": {"kuma.io/service": "api"}}
    (first,), (second,) = outbounds(written), outbounds({**written})
    assert first is second


def test_outbounds_that_differ_in_a_port_share_their_tags() -> None:
    first, second = outbounds(
        {"port": 10001, "tags": {"kuma.io/service": "api", "version": "1"}},
        {"port": 10002, "tags": {"kuma.io/service": "api", "version": "1"}},
    )
    assert first.tags is second.tags
    assert first.tags == {"kuma.io/service": "api", "version": "1"}


def test_tags_that_differ_are_not_shared() -> None:
    first, second = outbounds({"port": 1, "tags": {"a": "b"}}, {"port": 1, "tags": {"a": "c"}})
    assert (first.tags, second.tags) == ({"a": "b"}, {"a": "c"})


def test_broken_tags_are_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(reader.Unreadable) as refused:
            outbounds({"port": 1, "tags": {"a": 1}})
        assert refused.value.field.startswith("networking.outbound[0].tags")
