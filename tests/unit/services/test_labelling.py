"""Which labels a resource is stored with, by where it is written."""

import pytest

from kuma.resources import codec
from kuma.services.rules import labelling
from kuma.services.rules import role as roles
from tests.kit import api as kit

CATALOG = kit.known_kinds()
ALL = {"kuma.io/env": "universal", "kuma.io/mesh": "m", "kuma.io/origin": "zone", "kuma.io/zone": "east"}
ZONE = roles.Role(zone="east")
GLOBAL = roles.Role(mode=roles.Mode.GLOBAL, zone="")
PROXY = {"networking": {"address": "192.168.0.1", "inbound": [{"port": 1, "tags": {"kuma.io/service": "a"}}]}}
BUILTIN = {"networking": {"address": "192.168.0.1", "gateway": {"type": "BUILTIN", "tags": {"kuma.io/service": "a"}}}}
INGRESS = {"networking": {"address": "192.168.0.1", "listeners": [{"type": "ZoneIngress", "port": 1}]}}


@pytest.mark.parametrize(
    ("kind", "content", "own", "role", "expected"),
    [
        ("Dataplane", PROXY, {}, ZONE, ALL | {"kuma.io/proxy-type": "sidecar"}),
        ("Dataplane", PROXY, {"a": "b"}, ZONE, ALL | {"kuma.io/proxy-type": "sidecar", "a": "b"}),
        ("Dataplane", BUILTIN, {}, ZONE, ALL | {"kuma.io/proxy-type": "gateway"}),
        ("Dataplane", PROXY, {"kuma.io/proxy-type": "x"}, ZONE, ALL | {"kuma.io/proxy-type": "sidecar"}),
        (
            "Dataplane",
            INGRESS,
            {"kuma.io/listener-zoneegress": "enabled"},
            ZONE,
            ALL | {"kuma.io/proxy-type": "sidecar", "kuma.io/listener-zoneingress": "enabled"},
        ),
        ("Secret", {"data": "YQ=="}, {}, ZONE, ALL),
        ("Secret", {"data": "YQ=="}, {"kuma.io/env": "x"}, ZONE, ALL | {"kuma.io/env": "x"}),
        ("GlobalSecret", {"data": "YQ=="}, {}, ZONE, {k: v for k, v in ALL.items() if k != "kuma.io/mesh"}),
        ("Mesh", {}, {}, ZONE, {}),
        ("TrafficPermission", {}, {}, ZONE, {"kuma.io/mesh": "m"}),
        (
            "Secret",
            {"data": "YQ=="},
            {"kuma.io/origin": "global"},
            ZONE,
            {"kuma.io/mesh": "m", "kuma.io/origin": "global"},
        ),
        ("Secret", {"data": "YQ=="}, {}, GLOBAL, {"kuma.io/mesh": "m"}),
        ("GlobalSecret", {"data": "YQ=="}, {}, GLOBAL, {}),
    ],
)
def test_computed(
    kind: str, content: dict[str, object], own: dict[str, str], role: roles.Role, expected: dict[str, str]
) -> None:
    declared = CATALOG.find(kind)
    assert declared is not None
    found = codec.decode(declared, {"type": kind, "mesh": "m", "name": "n", **content})
    assert labelling.computed(declared, "m", own, found.spec, role) == expected
