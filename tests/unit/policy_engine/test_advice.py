"""What is said of policies that can have no effect, one row a rule; and of what is left unsaid."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.policy_engine.advice import advice, scene
from kuma.policy_engine.matching import surroundings
from kuma.resources import codec
from kuma.resources import resource as res
from tests.kit import api as kit

CATALOG = kit.known_kinds()
MESH = {"kind": "Mesh"}
WEB = {"kind": "Dataplane", "labels": {"app": "web"}}
DB = {"kind": "Dataplane", "labels": {"app": "db"}}
HTTP_TIMEOUT = {"http": {"requestTimeout": "1s"}}
NOBODY = "no Dataplane of the mesh is selected"


def made(kind: str, name: str, labels: Mapping[str, str] | None = None, **fields: Any) -> res.Resource[Any]:
    found = CATALOG.find(kind)
    assert found is not None
    return codec.decode(found, {"type": kind, "mesh": "m", "name": name, "labels": dict(labels or {}), **fields})


def a_proxy(name: str, service: str, protocol: str | None) -> res.Resource[Any]:
    tags = {"kuma.io/service": service, **({"kuma.io/protocol": protocol} if protocol else {})}
    networking = {"address": "10.0.0.1", "inbound": [{"port": 80, "name": "main", "tags": tags}]}
    return made("Dataplane", name, {"app": service}, networking=networking)


PROXIES = (a_proxy("web-1", "web", "http"), a_proxy("web-2", "web", "http"), a_proxy("db-1", "db", None))
SERVICES = (
    made("MeshService", "api", spec={"ports": [{"port": 80, "name": "http", "appProtocol": "http"}, {"port": 81}]}),
    made("MeshService", "plain", spec={"ports": [{"port": 1}]}),
)
EXTERNAL = (
    made("MeshExternalService", "far", spec={"match": {"type": "HostnameGenerator", "port": 9, "protocol": "tcp"}}),
)
GATEWAY = made("MeshGateway", "edge", selectors=[{"match": {"kuma.io/service": "edge"}}], conf={"listeners": []})
OUTSIDE = ({"kuma.io/service": "outside", "kuma.io/protocol": "grpc"},)


def said(policy: res.Resource[Any], mode: str = "Everywhere") -> list[tuple[str, str]]:
    around = surroundings.Surroundings(
        gateways=[GATEWAY],
        services=SERVICES,
        external_services=EXTERNAL,
        mesh=made("Mesh", "m", meshServices={"mode": mode}),
    )
    return [(each.field, each.message) for each in advice.on(policy, scene.Scene(PROXIES, around, OUTSIDE))]


def a_policy(kind: str, spec: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> res.Resource[Any]:
    return made(kind, "p", labels, spec=dict(spec))


@pytest.mark.parametrize(
    ("target", "field", "reason"),
    [
        (None, None, ""),
        (MESH, None, ""),
        ({**MESH, "proxyTypes": ["Gateway"]}, None, ""),  # a rule for whatever may come
        (WEB, None, ""),
        ({"kind": "Dataplane", "labels": {"app": "none"}}, "", NOBODY),
        ({"kind": "Dataplane", "name": "web-2"}, None, ""),
        ({"kind": "Dataplane", "name": "web-3"}, "", NOBODY),
        ({**WEB, "sectionName": "main"}, None, ""),
        ({**WEB, "sectionName": "80"}, None, ""),
        ({**WEB, "sectionName": "x"}, ".sectionName", 'no Dataplane that is selected has an inbound "x"'),
        ({"kind": "Dataplane", "labels": {"app": "none"}, "sectionName": "x"}, "", NOBODY),
        ({"kind": "MeshService", "name": "web"}, None, ""),
        ({"kind": "MeshService", "name": "api"}, "", NOBODY),
        ({"kind": "MeshSubset", "tags": {"kuma.io/service": "db"}}, None, ""),
        ({"kind": "MeshSubset", "tags": {"version": "2"}}, "", NOBODY),
        ({"kind": "MeshGateway", "name": "none"}, "", 'there is no MeshGateway "none"'),
        ({"kind": "MeshGateway", "name": "edge"}, "", NOBODY),
        ({"kind": "MeshHTTPRoute", "name": "none"}, "", 'there is no MeshHTTPRoute "none"'),
    ],
)
def test_whom_a_policy_selects(target: dict[str, Any] | None, field: str | None, reason: str) -> None:
    spec = {"rules": [{"default": {"idleTimeout": "1s"}}], **({"targetRef": target} if target else {})}
    expected = [] if field is None else [(f"spec.targetRef{field}", reason)]
    assert said(a_policy("MeshTimeout", spec)) == expected
    assert said(a_policy("MeshTimeout", spec, {"kuma.io/effect": "shadow"})) == expected


@pytest.mark.parametrize(
    ("kind", "conf", "protocols"),
    [
        ("MeshTimeout", HTTP_TIMEOUT, {"http": "grpc, http, http2"}),
        ("MeshTimeout", {"connectionTimeout": "1s", **HTTP_TIMEOUT}, {"http": "grpc, http, http2"}),
        ("MeshTimeout", {"connectionTimeout": "1s"}, {}),
        ("MeshRetry", {"http": {"numRetries": 1}, "grpc": {"numRetries": 1}}, {"http": "http", "grpc": "grpc"}),
        ("MeshRetry", {"http": {"numRetries": 1}, "tcp": {"maxConnectAttempt": 1}}, {}),
        ("MeshHealthCheck", {"http": {"path": "/"}}, {"http": "http, http2"}),
        ("MeshHealthCheck", {"tcp": {}, "http": {"path": "/"}}, {}),
        ("MeshLoadBalancingStrategy", {"hashPolicies": [{"type": "Header", "header": {"name": "x"}}]},
         {"hashPolicies[0].header": "grpc, http, http2"}),
        ("MeshLoadBalancingStrategy", {"loadBalancer": {"type": "RingHash", "ringHash": {"hashPolicies": [
            {"type": "SourceIP"}, {"type": "Cookie", "cookie": {"name": "x"}}]}}},
         {"loadBalancer.ringHash.hashPolicies[1].cookie": "grpc, http, http2"}),
        ("MeshCircuitBreaker", {"connectionLimits": {"maxRequests": 1}}, {}),
    ],
)  # fmt: skip
def test_requests_at_a_destination_without_any(kind: str, conf: dict[str, Any], protocols: dict[str, str]) -> None:
    db = {"targetRef": {"kind": "MeshService", "name": "db"}, "default": conf}
    web = {"targetRef": {"kind": "MeshService", "name": "web"}, "default": conf}
    reason = 'the MeshService "db" speaks tcp, and this is about'
    expected = [(f"spec.to[1].default.{path}", f"{reason} {about}") for path, about in protocols.items()]
    assert said(a_policy(kind, {"to": [web, db, {"targetRef": MESH, "default": conf}]})) == expected


@pytest.mark.parametrize(
    ("mode", "target", "spoken"),
    [
        ("Everywhere", {"kind": "MeshService", "name": "outside"}, ""),
        ("Everywhere", {"kind": "MeshService", "name": "api"}, ""),
        ("Everywhere", {"kind": "MeshService", "name": "api", "sectionName": "http"}, ""),
        ("Everywhere", {"kind": "MeshService", "name": "api", "sectionName": "81"}, "tcp"),
        ("Everywhere", {"kind": "MeshServiceSubset", "name": "db", "tags": {"a": "b"}}, "tcp"),
        ("Exclusive", {"kind": "MeshService", "name": "plain"}, "tcp"),
        ("Everywhere", {"kind": "MeshExternalService", "name": "far"}, "tcp"),
    ],
)
def test_what_a_destination_speaks(mode: str, target: dict[str, Any], spoken: str) -> None:
    policy = a_policy("MeshTimeout", {"to": [{"targetRef": target, "default": HTTP_TIMEOUT}]})
    found = said(policy, mode)
    assert [field for field, _ in found] == (["spec.to[0].default.http"] if spoken else [])
    assert all(f" speaks {spoken}, and" in reason for _, reason in found)
    route = a_policy("MeshHTTPRoute", {"to": [{"targetRef": target, "rules": []}]})
    routed = said(route, mode)
    assert [field for field, _ in routed] == (["spec.to[0].targetRef"] if spoken else [])
    assert all(reason.endswith(f" speaks {spoken}, which has no requests to route") for _, reason in routed)


@pytest.mark.parametrize("mode", ["Exclusive", "Everywhere"])
@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ({"kind": "MeshService", "name": "none"}, 'MeshService "none"'),
        ({"kind": "MeshService", "name": "api", "sectionName": "x"}, 'MeshService "api" with a port "x"'),
        ({"kind": "MeshService", "labels": {"c": "d", "a": "b"}}, "MeshService with the labels a=b, c=d"),
        ({"kind": "MeshExternalService", "name": "near"}, 'MeshExternalService "near"'),
        ({"kind": "MeshMultiZoneService", "name": "all"}, 'MeshMultiZoneService "all"'),
        ({"kind": "MeshHTTPRoute", "name": "r"}, 'MeshHTTPRoute "r"'),
    ],
)
def test_destinations_that_do_not_exist(mode: str, target: dict[str, Any], missing: str) -> None:
    policy = a_policy("MeshTimeout", {"to": [{"targetRef": target, "default": HTTP_TIMEOUT}]})
    assert said(policy, mode) == [("spec.to[0].targetRef", f"there is no {missing}")]


@pytest.mark.parametrize(
    ("target", "labels", "is_told"),
    [
        ({"name": "all"}, {"kuma.io/zone": "east"}, True),
        ({"labels": {"a": "b"}}, {"kuma.io/zone": "east"}, False),
        ({"name": "all"}, {}, False),  # of the global control plane, as MeshMultiZoneServices are
    ],
)
def test_what_is_of_no_zone_has_no_name_in_zones(target: dict[str, Any], labels: dict[str, str], is_told: bool) -> None:
    several = {"kind": "MeshMultiZoneService", **target}
    routed = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "default": {"backendRefs": [several]}}
    for kind, entry in (("MeshTimeout", {"default": HTTP_TIMEOUT}), ("MeshHTTPRoute", {"rules": [routed]})):
        found = said(a_policy(kind, {"to": [{"targetRef": several, **entry}]}, labels))
        assert [reason.endswith("name them by labels") for _, reason in found] == [is_told] * len(found)
        assert len(found) == (1 if kind == "MeshTimeout" else 2)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (MESH, ""),
        ({"kind": "MeshService", "name": "web"}, ""),
        ({"kind": "MeshService", "name": "outside"}, ""),
        ({"kind": "MeshService", "name": "wbe"}, 'there is no MeshService "wbe"'),
        ({"kind": "MeshSubset", "tags": {"kuma.io/protocol": "*"}}, ""),
        ({"kind": "MeshSubset", "tags": {"b": "2", "a": "1"}}, "no Dataplane has the tags a=1, b=2"),
        ({"kind": "MeshServiceSubset", "name": "web", "tags": {"a": "1"}},
         "no Dataplane has the tags a=1, kuma.io/service=web"),
    ],
)  # fmt: skip
def test_clients_that_do_not_exist(client: dict[str, Any], reason: str) -> None:
    policy = a_policy("MeshTrafficPermission", {"from": [{"targetRef": client, "default": {"action": "Deny"}}]})
    assert said(policy) == ([("spec.from[0].targetRef", reason)] if reason else [])


@pytest.mark.parametrize(
    ("target", "is_told"),
    [(MESH, False), (WEB, False), (DB, True), ({"kind": "MeshSubset", "tags": {"kuma.io/service": "db"}}, True)],
)
@pytest.mark.parametrize(
    ("kind", "conf", "part"),
    [
        ("MeshTimeout", HTTP_TIMEOUT, "http"),
        ("MeshFaultInjection", {"http": [{"abort": {"httpStatus": 500, "percentage": 1}}]}, "http"),
        ("MeshRateLimit", {"local": {"http": {"requestRate": {"num": 1, "interval": "1s"}}}}, "local.http"),
    ],
)
def test_requests_at_inbounds_without_any(
    target: dict[str, Any], is_told: bool, kind: str, conf: dict[str, Any], part: str
) -> None:
    found = said(a_policy(kind, {"targetRef": target, "rules": [{"default": conf}]}))
    assert [field for field, _ in found] == ([f"spec.rules[0].default.{part}"] if is_told else [])
    older = said(a_policy(kind, {"targetRef": target, "from": [{"targetRef": MESH, "default": conf}]}))
    assert [field for field, _ in older] == ([f"spec.from[0].default.{part}"] if is_told else [])
    assert all(reason.startswith("the inbounds that are selected speak tcp, ") for _, reason in (*found, *older))


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ({"kind": "MeshService", "name": "web"}, ""),
        ({"kind": "MeshService", "name": "outside"}, ""),
        ({"kind": "MeshService", "name": "api", "port": 80}, ""),
        ({"kind": "MeshService", "name": "api", "sectionName": "http"}, ""),
        ({"kind": "MeshService", "name": "none"}, 'there is no MeshService "none"'),
        ({"kind": "MeshService", "name": "api"},
         'there is no kuma.io/service "api"; the MeshService "api" is meant only with a port'),
        ({"kind": "MeshService", "name": "api", "port": 82}, 'there is no MeshService "api" with a port "82"'),
        ({"kind": "MeshService", "name": "api", "port": 81},
         'the MeshService "api" with a port "81" speaks tcp, which takes no requests'),
        ({"kind": "MeshServiceSubset", "name": "none", "tags": {"a": "b"}}, 'there is no MeshServiceSubset "none"'),
        ({"kind": "MeshService", "name": "db"}, 'the MeshService "db" speaks tcp, which takes no requests'),
        ({"kind": "MeshExternalService", "name": "far"},
         'the MeshExternalService "far" speaks tcp, which takes no requests'),
        ({"kind": "MeshExternalService", "name": "near"}, 'there is no MeshExternalService "near"'),
        ({"kind": "MeshService", "name": "kuma.io/unresolved-backend"}, ""),
    ],
)  # fmt: skip
def test_backends(backend: dict[str, Any], reason: str) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": backend}}
    rules = [{"matches": [{}], "default": {"filters": [mirror], "backendRefs": [backend]}}]
    target = {"kind": "MeshService", "name": "web"}
    place = "spec.to[0].rules[0].default"
    found = said(a_policy("MeshHTTPRoute", {"to": [{"targetRef": target, "rules": rules}]}))
    places = [f"{place}.backendRefs[0]", f"{place}.filters[0].requestMirror.backendRef"]
    assert found == ([(each, reason) for each in places] if reason else [])
    plain = [{"default": {"backendRefs": [backend]}}]
    of_tcp = said(a_policy("MeshTCPRoute", {"to": [{"targetRef": target, "rules": plain}]}))
    assert of_tcp == ([(places[0], reason)] if reason.startswith("there is no") else [])


def test_replicas_are_one_sort_until_a_section_is_named() -> None:
    inbound = {"port": 90, "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"}}
    other = made("Dataplane", "web-3", {"app": "web"}, networking={"address": "10.0.0.3", "inbound": [inbound]})
    found = scene.Scene((*PROXIES, other), surroundings.Surroundings())
    assert [each.names for each in found.sorts] == [("web-1", "web-2", "web-3"), ("db-1",)]
    on_port = a_policy("MeshTimeout", {"targetRef": {**WEB, "sectionName": "90"}, "rules": []})
    assert [sort.names for sort, _ in found.selected(on_port)] == [("web-3",)]


def test_the_default_policies_of_a_mesh_are_never_told() -> None:
    to = [{"targetRef": MESH, "default": HTTP_TIMEOUT}]
    rules = [{"default": HTTP_TIMEOUT}]
    empty = scene.Scene((), surroundings.Surroundings())
    assert list(advice.on(a_policy("MeshTimeout", {"targetRef": MESH, "to": to, "rules": rules}), empty)) == []
