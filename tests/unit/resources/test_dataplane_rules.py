"""Rules of a Dataplane, one row a rule."""

from typing import Any

import pytest

from kuma.resources import codec
from kuma.resources.kinds import dataplane

RANGE = "port must be in the range [1, 65535]"
TAGS = {"kuma.io/service": "web"}
INBOUND = {"port": 8080, "tags": TAGS}
LISTENER = {"type": "ZoneIngress", "address": "1.1.1.1", "port": 10001, "name": "zi"}
BAD_KIND = "invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService"


def check(document: dict[str, Any]) -> list[tuple[str, str]]:
    resource = codec.decode(dataplane.KIND, {"type": "Dataplane", "mesh": "default", "name": "dp", **document})
    return [(each.field, each.message) for each in dataplane.KIND.validate(resource)]


def net(**more: Any) -> dict[str, Any]:
    return {"networking": {"address": "192.168.0.1", **more}}


def inbound(**more: Any) -> dict[str, Any]:
    return net(inbound=[{**INBOUND, **more}])


def outbound(**more: Any) -> dict[str, Any]:
    return net(outbound=[{"port": 3333, **more}])


def reachable(**ref: Any) -> dict[str, Any]:
    return net(transparentProxying={"reachableBackends": {"refs": [ref]}})


def gateway(tags: dict[str, str], kind: str = "DELEGATED", **more: Any) -> dict[str, Any]:
    return net(gateway={"type": kind, "tags": tags}, **more)


IN, OUT, REF = (
    "networking.inbound[0]",
    "networking.outbound[0]",
    "networking.transparentProxing.reachableBackends.refs[0]",
)
LIST = "networking.listeners"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, [("networking", "must be defined")]),
        ({"networking": {}}, [("networking.address", "address can't be empty")]),
        (net(admin={"port": 80}, inbound=[{**INBOUND, "port": 80, "address": "127.0.0.1"}]), [("networking.admin.port", "must differ from inbound")]),
        (net(admin={"port": 80}, inbound=[{**INBOUND, "servicePort": 80}]), [("networking.admin.port", "must differ from inbound")]),
        (net(admin={"port": 80}, outbound=[{"port": 80, "tags": TAGS}]), [("networking.admin.port", "must differ from outbound")]),
        (inbound(port=0), [(f"{IN}.port", RANGE)]),
        (inbound(servicePort=65536), [(f"{IN}.servicePort", RANGE)]),
        (inbound(serviceAddress="x"), [(f"{IN}.serviceAddress", "serviceAddress has to be valid IP address")]),
        (inbound(serviceAddress="192.168.0.1"), [(f"{IN}.serviceAddress", "serviceAddress and servicePort has to differ from address and port")]),
        (inbound(address="x"), [(f"{IN}.address", "address has to be valid IP address")]),
        (inbound(tags={"version": "1"}), [(f'{IN}.tags["kuma.io/service"]', "tag has to exist")]),
        (inbound(tags={}), []),
        (inbound(tags={**TAGS, "kuma.io/protocol": "x"}), [(f'{IN}.tags["kuma.io/protocol"]', 'tag "kuma.io/protocol" has an invalid value "x". Allowed values: grpc, http, http2, kafka, tcp')]),
        (inbound(tags={**TAGS, "kuma.io/protocol": "tls"}), []),
        (inbound(protocol="x"), [(f"{IN}.protocol", 'has an invalid value "x". Allowed values: grpc, http, http2, kafka, tcp')]),
        (inbound(serviceProbe={"interval": "0", "timeout": "1s"}), [(f"{IN}.serviceProbe.interval", "must have a positive value")]),
        (inbound(serviceProbe={"timeout": "87660001h"}), [(f"{IN}.serviceProbe.timeout", "must have a valid value")]),
        (inbound(serviceProbe={"healthyThreshold": 0}), [(f"{IN}.serviceProbe.healthyThreshold", "must have a positive value")]),
        (outbound(tags=TAGS, port=0), [(f"{OUT}.port", RANGE)]),
        (outbound(tags=TAGS, address="x"), [(f"{OUT}.address", "address has to be valid IP address")]),
        (outbound(), [(f"{OUT}.tags", 'mandatory tag "kuma.io/service" is missing')]),
        (outbound(backendRef={"kind": "X", "name": "a", "port": 1}), [(f"{OUT}.backendRef.kind", BAD_KIND)]),
        (outbound(backendRef={"kind": "MeshService", "port": 1}), [(f"{OUT}.backendRef", "either 'name' or 'labels' should be specified")]),
        (outbound(backendRef={"kind": "MeshService", "name": "a"}), [(f"{OUT}.backendRef.port", RANGE)]),
        (outbound(backendRef={"kind": "MeshExternalService", "name": "a"}), []),
        (outbound(backendRef={"kind": "MeshService", "name": "a", "port": 1}, tags=TAGS), [(f"{OUT}.backendRef", "both backendRef and tags/service cannot be defined")]),
        (reachable(kind="X", name="a"), [(f"{REF}.kind", BAD_KIND)]),
        (reachable(kind="MeshService"), [(f"{REF}.name", "name or labels are required")]),
        (reachable(kind="MeshService", namespace="n"), [(f"{REF}.name", "name is required, when namespace is defined")]),
        (reachable(kind="MeshService", name="a", labels={"a": "b"}), [(f"{REF}.labels", "labels cannot be defined when name is specified")]),
        (gateway(TAGS, inbound=[INBOUND]), [("networking.inbound", "inbound cannot be defined for delegated gateways")]),
        (gateway(TAGS, "BUILTIN", outbound=[{"port": 1, "tags": TAGS}]), [("networking.outbound", "outbound cannot be defined for builtin gateways")]),
        (gateway(TAGS, listeners=[LISTENER]), [(LIST, "listeners cannot be defined for delegated gateways")]),
        ({**gateway(TAGS, "BUILTIN"), "probes": {"port": 9000}}, [("networking.probes", "probes cannot be defined for builtin gateways")]),
        (gateway({"a": "b"}), [("networking.gateway.tags", 'mandatory tag "kuma.io/service" is missing')]),
        (gateway({}, "BUILTIN"), []),
        (gateway({**TAGS, "kuma.io/protocol": "http"}), [('networking.gateway.tags["kuma.io/protocol"]', 'other values than tcp are not allowed, provided value "http"')]),
        (net(listeners=[{**LISTENER, "type": "Unspecified"}]), [(f"{LIST}[0].type", "type must be ZoneIngress or ZoneEgress")]),
        (net(listeners=[{**LISTENER, "address": ""}]), [(f"{LIST}[0].address", "address can't be empty")]),
        (net(listeners=[{**LISTENER, "port": 0}]), [(f"{LIST}[0].port", RANGE)]),
        (net(listeners=[LISTENER, {**LISTENER, "port": 2}]), [(f"{LIST}[1].name", 'name "zi" must be unique across inbounds and listeners')]),
        (net(listeners=[LISTENER, {**LISTENER, "name": "b"}]), [(f"{LIST}[1]", "address:port 1.1.1.1:10001 is already used by another listener")]),
        (net(listeners=[LISTENER, {**LISTENER, "name": "b", "type": "ZoneEgress"}]), [(f"{LIST}[1]", "address:port 1.1.1.1:10001 is used by listeners of different types")]),
        (net(inbound=[INBOUND], listeners=[{**LISTENER, "address": "192.168.0.1", "port": 8080}]), [(f"{LIST}[0]", "address:port 192.168.0.1:8080 collides with an inbound listener")]),
        ({**net(), "probes": {}}, [("probes.port", RANGE)]),
        ({**net(), "probes": {"port": 1, "endpoints": [{"inboundPort": 1, "inboundPath": "x", "path": "/y"}]}}, [("probes.endpoints[0].inboundPath", "should be a valid URL Path")]),
        ({**net(), "metrics": {"type": "x"}}, [("metrics.type", 'unknown backend type. Available backends: "prometheus"')]),
        (net(), []),
    ],
)  # fmt: skip
def test_rules(document: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert check(document) == expected


@pytest.mark.parametrize(
    ("given", "section", "ready"),
    [
        ({"port": 80}, "80", True),
        ({"port": 80, "name": "http"}, "http", True),
        ({"port": 80, "state": "NotReady"}, "80", False),
        ({"port": 80, "state": "Ignored"}, "80", False),
        ({"port": 80, "health": {}}, "80", False),
        ({"port": 80, "health": {"ready": True}}, "80", True),
    ],
)
def test_what_an_inbound_says_of_itself(given: dict[str, Any], section: str, ready: bool) -> None:
    document = {"type": "Dataplane", "mesh": "m", "name": "dp", **net(inbound=[given])}
    (found,) = codec.decode(dataplane.KIND, document).spec.networking.inbound
    assert (found.section, found.is_ready) == (section, ready)
