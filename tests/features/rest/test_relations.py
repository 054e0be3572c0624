"""What belongs together: proxies of a policy, of a service, of a gateway, and the hostnames of services."""

import json
from typing import Any

import pytest

from kuma.services.rules import role as roles
from tests.kit import api as kit

MESH = {"type": "Mesh", "name": "shop"}


def dataplane(name: str, labels: dict[str, str] | None = None, **tags: str) -> dict[str, Any]:
    carried = {"kuma.io/service": name.partition("-")[0], **tags}
    return {
        "type": "Dataplane",
        "mesh": "shop",
        "name": name,
        "labels": labels or {},
        "networking": {"address": "192.168.0.1", "inbound": [{"port": 8080, "name": "main", "tags": carried}]},
    }


def gateway(name: str, kind: str, **tags: str) -> dict[str, Any]:
    carried = {"kuma.io/service": name, **tags}
    networking = {"address": "192.168.0.2", "gateway": {"type": kind, "tags": carried}}
    return {"type": "Dataplane", "mesh": "shop", "name": name, "networking": networking}


PROXIES = [
    dataplane("web-1", {"team": "a"}, version="v1"),
    dataplane("web-2", {"team": "b"}, version="v2"),
    dataplane("db-1", {"team": "b", "kuma.io/origin": "zone", "kuma.io/zone": "east"}),
    gateway("edge", "BUILTIN"),
    gateway("other", "DELEGATED"),
]
GATEWAY = {
    "type": "MeshGateway",
    "mesh": "shop",
    "name": "front",
    "selectors": [{"match": {"kuma.io/service": "edge"}}],
    "conf": {"listeners": [{"port": 80, "protocol": "HTTP", "tags": {"port": "http"}}]},
}
ROUTE = {
    "type": "MeshHTTPRoute",
    "mesh": "shop",
    "name": "route",
    "spec": {"targetRef": {"kind": "MeshSubset", "tags": {"version": "v1"}}},
}


async def loaded(*documents: dict[str, Any], role: roles.Role | None = None) -> kit.Api:
    api = kit.build(role, plain=True)
    for each in (MESH, *PROXIES, GATEWAY, ROUTE, *documents):
        await api.load(each)
    return api


def names(page: dict[str, Any]) -> list[str]:
    return [each["name"] for each in page["items"]]


@pytest.mark.parametrize(
    ("target", "selected"),
    [
        (None, ["db-1", "edge", "other", "web-1", "web-2"]),
        ({"kind": "Mesh"}, ["db-1", "edge", "other", "web-1", "web-2"]),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, ["db-1", "web-1", "web-2"]),
        ({"kind": "Mesh", "proxyTypes": ["Gateway"]}, ["edge", "other"]),
        ({"kind": "MeshSubset", "tags": {"version": "v2"}}, ["web-2"]),
        ({"kind": "MeshSubset", "tags": {"port": "http"}}, ["edge"]),
        ({"kind": "MeshService", "name": "web"}, ["web-1", "web-2"]),
        ({"kind": "MeshService", "name": "other"}, ["other"]),
        ({"kind": "MeshServiceSubset", "name": "web", "tags": {"version": "v1"}}, ["web-1"]),
        ({"kind": "MeshGateway", "name": "front"}, ["edge"]),
        ({"kind": "MeshGateway", "name": "front", "tags": {"port": "https"}}, []),
        ({"kind": "MeshGateway", "name": "back"}, []),
        ({"kind": "MeshHTTPRoute", "name": "route"}, ["web-1"]),
        ({"kind": "MeshHTTPRoute", "name": "nope"}, []),
        ({"kind": "Dataplane"}, ["db-1", "other", "web-1", "web-2"]),
        ({"kind": "Dataplane", "labels": {"team": "b"}}, ["db-1", "web-2"]),
        ({"kind": "Dataplane", "name": "web-1"}, ["web-1"]),
        ({"kind": "Dataplane", "sectionName": "main"}, ["db-1", "other", "web-1", "web-2"]),
        ({"kind": "Dataplane", "sectionName": "9090"}, ["other"]),
    ],
)
async def test_a_target_ref_selects_proxies(target: dict[str, Any] | None, selected: list[str]) -> None:
    spec: dict[str, Any] = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "1s"}}]}
    spec |= {"targetRef": target} if target else {}
    api = await loaded({"type": "MeshTimeout", "mesh": "shop", "name": "mt", "spec": spec})
    assert names(await api.get("/meshes/shop/meshtimeouts/mt/_resources/dataplanes")) == selected


async def test_a_policy_of_a_zone_is_about_proxies_of_that_zone_alone() -> None:
    labels = {"kuma.io/origin": "zone", "kuma.io/zone": "west"}
    api = await loaded({"type": "MeshTimeout", "mesh": "shop", "name": "mt", "labels": labels, "spec": {}})
    assert "db-1" not in names(await api.get("/meshes/shop/meshtimeouts/mt/_resources/dataplanes"))


@pytest.mark.parametrize(
    ("plural", "kind", "selected"),
    [
        ("timeouts", "Timeout", ["web-1", "web-2"]),
        ("traffic-permissions", "TrafficPermission", ["db-1"]),
        ("rate-limits", "RateLimit", ["db-1", "web-1", "web-2"]),
    ],
)
async def test_an_old_policy_is_about_the_side_that_it_configures(plural: str, kind: str, selected: list[str]) -> None:
    sides = {
        "sources": [{"match": {"kuma.io/service": "web"}}],
        "destinations": [{"match": {"kuma.io/service": "db"}}],
    }
    api = await loaded({"type": kind, "mesh": "shop", "name": "p", **sides})
    assert names(await api.get(f"/meshes/shop/{plural}/p/_resources/dataplanes")) == selected


async def test_pages_of_the_proxies_of_a_policy() -> None:
    api = await loaded({"type": "MeshTimeout", "mesh": "shop", "name": "mt", "spec": {}})
    base = "/meshes/shop/meshtimeouts/mt/_resources/dataplanes"
    page = await api.get(f"{base}?size=2&name=web")
    assert (names(page), page["total"], "next" in page) == (["web-1", "web-2"], 2, False)
    page = await api.get(f"{base}?size=1&name=web")
    assert page["next"].endswith(f"{base}?name=web&offset=1&size=1")
    assert page["items"] == [{"labels": {"team": "a"}, "mesh": "shop", "name": "web-1", "type": "Dataplane"}]


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({"dataplaneTags": {"kuma.io/service": "web"}}, ["web-1", "web-2"]),
        ({"dataplaneTags": {"kuma.io/service": "web", "version": "v1"}}, ["web-1"]),
        ({"dataplaneLabels": {"matchLabels": {"team": "b"}}}, ["db-1", "web-2"]),
        ({"dataplaneRef": {"name": "db-1"}}, ["db-1"]),
        ({}, []),
    ],
)
@pytest.mark.parametrize("view", ["_dataplanes", "_resources/dataplanes"])
async def test_the_proxies_behind_a_service(view: str, selector: dict[str, Any], selected: list[str]) -> None:
    service = {"type": "MeshService", "mesh": "shop", "name": "s", "spec": {"selector": selector, "ports": []}}
    api = await loaded(service)
    assert names(await api.get(f"/meshes/shop/meshservices/s/{view}")) == selected


async def test_the_proxies_of_a_gateway_in_the_form_of_old_clients() -> None:
    route = {
        "type": "MeshGatewayRoute",
        "mesh": "shop",
        "name": "r",
        "selectors": [{"match": {"kuma.io/service": "edge", "port": "http"}}],
    }
    api = await loaded(route)
    expected = {"total": 1, "items": [{"dataplane": {"mesh": "shop", "name": "edge"}}]}
    assert await api.get("/meshes/shop/meshgateways/front/dataplanes") == expected
    assert await api.get("/meshes/shop/meshgatewayroutes/r/dataplanes") == expected


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/meshes/none/meshtimeouts/x/_resources/dataplanes", "Failed to retrieve Mesh"),
        ("/meshes/shop/meshtimeouts/x/_resources/dataplanes", "Could not retrieve policy"),
        ("/meshes/shop/meshservices/x/_dataplanes", "Could not retrieve policy"),
        ("/meshes/shop/meshservices/x/_hostnames", "could not retrieve service"),
        ("/meshes/shop/meshgateways/x/dataplanes", "Could not find MeshGateway"),
        ("/meshes/none/meshgateways/x/dataplanes", "Could not build mesh context"),
    ],
)
async def test_what_is_missing_is_named(path: str, title: str) -> None:
    answer = await (await loaded()).call("GET", path)
    assert (answer.status, json.loads(answer.body)["title"]) == (404, title)


def generator(name: str, template: str, origin: str, zone: str = "") -> dict[str, Any]:
    labels = {"kuma.io/origin": origin} | ({"kuma.io/zone": zone} if zone else {})
    selector = {"meshService": {"matchLabels": {"kuma.io/origin": "zone" if zone else "global"}}}
    return {
        "type": "HostnameGenerator",
        "name": name,
        "labels": labels,
        "spec": {"selector": selector, "template": template},
    }


GENERATORS = (
    generator("synced", "{{ .DisplayName }}.{{ .Zone }}.example", "global"),
    generator("local", "{{ .DisplayName }}.local.example", "zone", "east"),
    generator("elsewhere", "{{ .DisplayName }}.elsewhere.example", "zone", "west"),
    generator("broken", '{{ label "nobody-has-this" }}.example', "global"),
)


@pytest.mark.parametrize(
    ("mode", "origin", "hostnames"),
    [
        (roles.Mode.GLOBAL, "zone", ["web.east.example", "web.local.example"]),
        (roles.Mode.ZONE, "global", ["web.east.example"]),
        (roles.Mode.ZONE, "zone", ["web.elsewhere.example", "web.local.example"]),
    ],
)
async def test_hostnames_as_the_zones_see_the_service(mode: roles.Mode, origin: str, hostnames: list[str]) -> None:
    labels = {"kuma.io/origin": origin, "kuma.io/zone": "east", "kuma.io/display-name": "web"}
    service = {"type": "MeshService", "mesh": "shop", "name": "web-hash", "labels": labels, "spec": {"ports": []}}
    api = await loaded(service, *GENERATORS, role=roles.Role(mode=mode))
    found = await api.get("/meshes/shop/meshservices/web-hash/_hostnames")
    assert found["items"] == [{"hostname": each, "zones": [{"name": "east"}]} for each in hostnames]
    assert found["total"] == len(hostnames)


async def test_only_services_have_hostnames() -> None:
    answer = await (await loaded()).call("GET", "/meshes/shop/nothing/x/_hostnames")
    assert answer.status == 400
    assert json.loads(answer.body)["title"].startswith('only "meshservices,')
