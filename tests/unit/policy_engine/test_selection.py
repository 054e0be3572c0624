"""Which proxies, and which of their places, a policy is about."""

import dataclasses
from typing import Any

import pytest

from kuma.policy_engine.matching import matching, places, selection, surroundings
from tests.kit import policies

WEB = {"kuma.io/service": "web", "version": "v1"}
API = {"kuma.io/service": "api", "version": "v1"}
GATEWAY = {"type": "BUILTIN", "tags": {"kuma.io/service": "edge"}}
LISTENERS = [
    {"port": 80, "protocol": "HTTP", "tags": {"at": "one"}},
    {"port": 81, "protocol": "HTTP", "hostname": "a.io", "tags": {"at": "two"}},
]
EDGE = policies.a_resource(
    "MeshGateway", "edge", selectors=[{"match": {"kuma.io/service": "edge"}}], conf={"listeners": LISTENERS}
)
ROUTE = policies.a_policy("MeshHTTPRoute", "route", {"kind": "MeshSubset", "tags": {"kuma.io/service": "api"}}, to=[])
AROUND = surroundings.Surroundings(routes=[ROUTE], gateways=[EDGE])


def chosen(subject: Any, target: dict[str, Any], labels: dict[str, str] | None = None) -> tuple[int, ...]:
    policy = policies.a_timeout("p", 1, target, labels=labels)
    found = selection.selected(policy, places.places_of(subject.resource, AROUND.gateways), AROUND)
    assert matching.selects(policy, subject, AROUND) is bool(found)
    return found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"kind": "Mesh"}, (0, 1, 2)),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, (0, 1, 2)),
        ({"kind": "Mesh", "proxyTypes": ["Gateway"]}, ()),
        ({"kind": "MeshSubset", "tags": {"version": "v1"}}, (0, 1)),
        ({"kind": "MeshSubset", "tags": {"version": "*"}}, (0, 1)),
        ({"kind": "MeshSubset", "tags": {"version": "v2"}}, ()),
        ({"kind": "MeshSubset"}, (0, 1)),
        ({"kind": "MeshService", "name": "api"}, (1,)),
        ({"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v1"}}, (1,)),
        ({"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v2"}}, ()),
        ({"kind": "Dataplane"}, (0, 1, 2)),
        ({"kind": "Dataplane", "name": "dp"}, (0, 1, 2)),
        ({"kind": "Dataplane", "name": "other"}, ()),
        ({"kind": "Dataplane", "name": "dp", "namespace": "n"}, ()),
        ({"kind": "Dataplane", "labels": {"app": "x"}}, (0, 1, 2)),
        ({"kind": "Dataplane", "labels": {"app": "y"}}, ()),
        ({"kind": "Dataplane", "labels": {"app": "*"}}, ()),
        ({"kind": "Dataplane", "namespace": "n"}, ()),
        ({"kind": "Dataplane", "sectionName": "in-1"}, (1,)),
        ({"kind": "Dataplane", "sectionName": "8002"}, (1,)),
        ({"kind": "Dataplane", "sectionName": "egress"}, (2,)),
        ({"kind": "Dataplane", "sectionName": "other"}, ()),
        ({"kind": "MeshGateway", "name": "edge"}, ()),
        ({"kind": "MeshHTTPRoute", "name": "route"}, (1,)),
        ({"kind": "MeshHTTPRoute", "name": "other"}, ()),
        ({"kind": "MeshExternalService", "name": "web"}, ()),
    ],
)
def test_places_of_a_sidecar(target: dict[str, Any], expected: tuple[int, ...]) -> None:
    egress = {"type": "ZoneEgress", "address": "10.0.0.1", "port": 10002, "name": "egress"}
    subject = policies.a_subject(WEB, API, labels={"app": "x"}, listeners=[egress])
    assert chosen(subject, target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"kind": "Mesh"}, (0, 1)),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, ()),
        ({"kind": "MeshSubset", "tags": {"at": "two"}}, (1,)),
        ({"kind": "MeshService", "name": "edge"}, (0, 1)),
        ({"kind": "MeshGateway", "name": "edge"}, (0, 1)),
        ({"kind": "MeshGateway", "name": "edge", "tags": {"at": "one"}}, (0,)),
        ({"kind": "MeshGateway", "name": "other"}, ()),
        ({"kind": "Dataplane"}, ()),
        ({"kind": "Dataplane", "name": "dp"}, ()),
    ],
)
def test_listeners_of_a_builtin_gateway(target: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert chosen(policies.a_subject(gateway=GATEWAY), target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"kind": "Mesh"}, (0,)),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, ()),
        ({"kind": "MeshService", "name": "edge"}, (0,)),
        ({"kind": "MeshService", "name": "web"}, ()),
        ({"kind": "Dataplane", "labels": {"app": "x"}}, (0,)),
        ({"kind": "Dataplane", "sectionName": "http"}, (0,)),
        ({"kind": "MeshGateway", "name": "edge"}, ()),
    ],
)
def test_a_delegated_gateway_is_one_place(target: dict[str, Any], expected: tuple[int, ...]) -> None:
    gateway = {"type": "DELEGATED", "tags": {"kuma.io/service": "edge"}}
    assert chosen(policies.a_subject(gateway=gateway, labels={"app": "x"}), target) == expected


ZONE = {"kuma.io/origin": "zone", "kuma.io/zone": "east"}
SPACE = {"k8s.kuma.io/namespace": "a"}


@pytest.mark.parametrize(
    ("own", "its", "is_about"),
    [
        (ZONE, ZONE, True),
        (ZONE, {**ZONE, "kuma.io/zone": "west"}, False),
        (ZONE, {**ZONE, "kuma.io/zone": "west", "kuma.io/policy-role": "producer"}, True),
        (ZONE, {"kuma.io/origin": "zone"}, True),
        (ZONE, {"kuma.io/origin": "global"}, True),
        ({}, ZONE, True),
        ({"kuma.io/origin": "zone"}, ZONE, True),
        ({"kuma.io/origin": "global"}, ZONE, True),
        (SPACE, {**SPACE, "kuma.io/policy-role": "consumer"}, True),
        ({}, {**SPACE, "kuma.io/policy-role": "consumer"}, False),
        ({}, {"kuma.io/policy-role": "consumer"}, False),
        (SPACE, {"k8s.kuma.io/namespace": "b", "kuma.io/policy-role": "workload-owner"}, False),
        (SPACE, {"k8s.kuma.io/namespace": "b", "kuma.io/policy-role": "system"}, True),
    ],
)
def test_zone_and_namespace_bound_the_reach_of_a_policy(
    own: dict[str, str], its: dict[str, str], is_about: bool
) -> None:
    assert chosen(policies.a_subject(WEB, labels=own), {"kind": "Mesh"}, its) == ((0,) if is_about else ())


@pytest.mark.parametrize(
    ("its", "is_about"), [(ZONE, True), ({**ZONE, "kuma.io/zone": "west", "kuma.io/policy-role": "producer"}, False), ({}, False)]
)  # fmt: skip
def test_a_name_means_the_dataplane_of_the_policys_own_zone(its: dict[str, str], is_about: bool) -> None:
    subject = policies.a_subject(WEB, labels=ZONE)
    assert chosen(subject, {"kind": "Dataplane", "name": "dp"}, its) == ((0,) if is_about else ())


def test_an_inbound_that_is_to_be_ignored_is_no_place() -> None:
    inbounds = [{"port": 8001, "state": "Ignored", "tags": WEB}, {"port": 8002, "tags": API}]
    subject = policies.a_subject(inbound=inbounds)
    found = places.places_of(subject.resource, ())
    assert [each.port for each in found.all] == [8002]
    assert chosen(subject, {"kind": "MeshService", "name": "web"}) == ()


@pytest.mark.parametrize(
    ("gateway", "proxy", "serves"),
    [
        (ZONE, ZONE, True),
        (ZONE, {**ZONE, "kuma.io/zone": "west"}, False),
        (ZONE, {}, True),
        ({"kuma.io/origin": "zone"}, ZONE, True),
        ({"kuma.io/origin": "global"}, ZONE, True),
        ({"kuma.io/origin": "global", "kuma.io/zone": "west"}, ZONE, True),
        ({}, ZONE, True),
    ],
)
def test_a_gateway_serves_no_meshgateway_of_another_zone(
    gateway: dict[str, str], proxy: dict[str, str], serves: bool
) -> None:
    edge = dataclasses.replace(EDGE, meta=dataclasses.replace(EDGE.meta, labels=gateway))
    subject = policies.a_subject(gateway=GATEWAY, labels=proxy)
    assert (places.gateway_of(subject.resource, [edge]) is edge) is serves


@pytest.mark.parametrize(
    ("gateway", "zone", "is_about"),
    [
        (ZONE, "east", True),
        (ZONE, "west", False),
        ({"kuma.io/origin": "zone"}, "west", True),
        ({"kuma.io/origin": "global"}, "west", True),
        ({}, "west", True),
    ],
)
def test_policies_are_held_to_the_zone_of_the_meshgateway(gateway: dict[str, str], zone: str, is_about: bool) -> None:
    edge = dataclasses.replace(EDGE, meta=dataclasses.replace(EDGE.meta, labels=gateway))
    policy = policies.a_timeout("p", 1, labels={**ZONE, "kuma.io/zone": zone})
    found = places.places_of(policies.a_subject(gateway=GATEWAY, labels=ZONE).resource, [edge])
    assert bool(selection.selected(policy, found, AROUND)) is is_about


def test_of_meshgateways_alike_the_first_by_name_is_served() -> None:
    other = dataclasses.replace(EDGE, meta=dataclasses.replace(EDGE.meta, name="a-edge"))
    subject = policies.a_subject(gateway=GATEWAY)
    assert places.gateway_of(subject.resource, [EDGE, other]) is other
