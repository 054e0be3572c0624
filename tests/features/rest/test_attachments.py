"""Which policies take hold where in a proxy, in the form of older clients."""

import json
from typing import Any

import pytest

from tests.kit import api as kit

ANY = [{"match": {"kuma.io/service": "*"}}]
MESH = {"type": "Mesh", "name": "shop"}
WEB = {
    "type": "Dataplane",
    "mesh": "shop",
    "name": "web-1",
    "networking": {
        "address": "192.168.0.1",
        "inbound": [{"port": 8080, "servicePort": 80, "tags": {"kuma.io/service": "web", "version": "1"}}],
        "outbound": [{"port": 10001, "tags": {"kuma.io/service": "db"}}],
    },
}
EDGE = {
    "type": "Dataplane",
    "mesh": "shop",
    "name": "edge",
    "networking": {
        "address": "192.168.0.2",
        "gateway": {"type": "BUILTIN", "tags": {"kuma.io/service": "edge"}},
    },
}
FRONT = {
    "type": "MeshGateway",
    "mesh": "shop",
    "name": "front",
    "selectors": [{"match": {"kuma.io/service": "edge"}}],
    "conf": {"listeners": [{"port": 80, "protocol": "HTTP"}]},
}


def to_all(name: str, **target: Any) -> dict[str, Any]:
    conf = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "1s"}}
    spec = {"targetRef": {"kind": "Mesh", **target}, "to": [conf]}
    return {"type": "MeshTimeout", "mesh": "shop", "name": name, "spec": spec}


def connection(kind: str, name: str, to: dict[str, str], **conf: Any) -> dict[str, Any]:
    return {"type": kind, "mesh": "shop", "name": name, "sources": ANY, "destinations": [{"match": to}], **conf}


async def loaded(*documents: dict[str, Any]) -> kit.Api:
    api = kit.build(plain=True)
    for each in (MESH, WEB, EDGE, FRONT, *documents):
        await api.load(each)
    return api


def policies(view: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Names of policies by kind, by place."""
    return {
        f"{item['type']} {item.get('name', '')}".strip(): {
            kind: [each["name"] for each in several] for kind, several in item["matchedPolicies"].items()
        }
        for item in view["items"]
    }


async def of_web(*documents: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    view = await (await loaded(*documents)).get("/meshes/shop/dataplanes/web-1/policies")
    assert view["kind"] == "SidecarDataplane"
    assert view["total"] == len(view["items"])
    return policies(view)


async def test_policies_of_the_whole_proxy_stand_by_importance() -> None:
    shadow = {**to_all("shadow"), "labels": {"kuma.io/effect": "shadow"}}
    gateways = to_all("gateways", proxyTypes=["Gateway"])
    assert await of_web(to_all("a"), to_all("b"), shadow, gateways) == {"dataplane": {"MeshTimeout": ["b", "a"]}}


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("TrafficPermission", "inbound 192.168.0.1:8080:80"),
        ("RateLimit", "inbound 192.168.0.1:8080:80"),
        ("FaultInjection", "inbound 192.168.0.1:8080:80"),
    ],
)
async def test_old_policies_of_servers_hold_at_inbounds(kind: str, place: str) -> None:
    named, other = (
        connection(kind, "named", {"kuma.io/service": "web"}),
        connection(kind, "x", {"kuma.io/service": "y"}),
    )
    assert await of_web(named, other) == {place: {kind: ["named"]}}


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("Timeout", "outbound 127.0.0.1:10001"),
        ("TrafficRoute", "outbound 127.0.0.1:10001"),
        ("CircuitBreaker", "service db"),
        ("HealthCheck", "service db"),
        ("Retry", "service db"),
        ("TrafficLog", "service db"),
    ],
)
async def test_old_policies_of_clients_hold_at_what_they_call_the_best_one_alone(kind: str, place: str) -> None:
    general, best = (connection(kind, name, {"kuma.io/service": to}) for name, to in (("general", "*"), ("best", "db")))
    assert await of_web(general, best) == {place: {kind: ["best"]}}


async def test_a_subset_of_a_service_is_no_destination_of_an_old_policy() -> None:
    subset = connection("Timeout", "subset", {"kuma.io/service": "db", "version": "1"})
    called = {**WEB["networking"], "outbound": [{"port": 10001, "tags": {"kuma.io/service": "db", "version": "1"}}]}
    general = connection("Timeout", "general", {"kuma.io/service": "db"})
    assert await of_web(subset, general, {**WEB, "networking": called}) == {
        "outbound 127.0.0.1:10001": {"Timeout": ["general"]}
    }


async def test_of_old_policies_that_hold_together_the_one_about_fewer_clients_comes_first() -> None:
    several = [connection("RateLimit", name, {"kuma.io/service": "web"}) for name in ("a", "b")]
    several[1]["sources"] = [{"match": {"kuma.io/service": "api"}}]
    assert await of_web(*several) == {"inbound 192.168.0.1:8080:80": {"RateLimit": ["b", "a"]}}


@pytest.mark.parametrize("selectors", [[], [{"match": {}}], ANY])
async def test_an_old_policy_without_selectors_is_about_every_proxy(selectors: list[Any]) -> None:
    trace = {"type": "TrafficTrace", "mesh": "shop", "name": "t", "selectors": selectors, "conf": {}}
    assert await of_web(trace) == {"dataplane": {"TrafficTrace": ["t"]}}


async def test_one_permission_holds_but_every_rate_limit() -> None:
    found = await of_web(
        connection("TrafficPermission", "general", {"kuma.io/service": "*"}),
        connection("TrafficPermission", "best", {"kuma.io/service": "web", "version": "1"}),
        connection("RateLimit", "general", {"kuma.io/service": "*"}),
        connection("RateLimit", "best", {"kuma.io/service": "web"}),
    )
    inbound = found["inbound 192.168.0.1:8080:80"]
    assert inbound == {"RateLimit": ["best", "general"], "TrafficPermission": ["best"]}


async def test_a_gateway_shows_the_policies_of_the_whole_proxy() -> None:
    api = await loaded(to_all("a"), to_all("b"))
    view = await api.get("/meshes/shop/dataplanes/edge/policies")
    assert (view["kind"], view["gateway"]) == ("MeshGatewayDataplane", {"mesh": "shop", "name": "front"})
    assert {kind: each["name"] for kind, each in view["policies"].items()} == {"MeshTimeout": "a"}


async def test_a_policy_names_its_proxies_and_the_places_within() -> None:
    api = await loaded(to_all("a"), connection("Retry", "r", {"kuma.io/service": "db"}))
    view = await api.get("/meshes/shop/meshtimeouts/a/dataplanes")
    assert [(each["dataplane"]["name"], each["attachments"]) for each in view["items"]] == [
        ("edge", [{"type": "dataplane"}]),
        ("web-1", [{"type": "dataplane"}]),
    ]
    view = await api.get("/meshes/shop/retries/r/dataplanes")
    assert view["items"] == [
        {
            "kind": "SidecarDataplane",
            "dataplane": {"mesh": "shop", "name": "web-1"},
            "attachments": [{"type": "service", "name": "db", "service": "db"}],
        }
    ]
    assert await api.get("/meshes/shop/retries/unknown/dataplanes") == {"total": 0, "items": []}


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/meshes/shop/dataplanes/nope/policies", "Could not get MatchedPolicies"),
        ("/meshes/none/dataplanes/web-1/policies", "Could not get MatchedPolicies"),
        ("/meshes/none/meshtimeouts/a/dataplanes", "Could not list Dataplanes"),
    ],
)
async def test_what_is_not_there(path: str, title: str) -> None:
    answer = await (await loaded()).call("GET", path)
    assert (answer.status, json.loads(answer.body)["title"]) == (404, title)
