"""Zones and their proxies over REST: overviews, who may be deleted, and what each control plane starts with."""

import json
from typing import Any

import pytest

from kuma.resources.kinds import hostnamegenerator
from kuma.services.defaults import starting as defaults
from kuma.services.rules import role as roles
from tests.kit import api as kit

OPEN = {"id": "1", "connectTime": "2026-01-02T03:04:05Z", "status": {"total": {"responsesSent": "4"}}}
CLOSED = OPEN | {"disconnectTime": "2026-01-02T03:05:05Z"}
GLOBAL = roles.Role(mode=roles.Mode.GLOBAL)


async def east(*subscriptions: dict[str, Any]) -> kit.Api:
    """A global control plane with zone `east`, whose control plane connected like that."""
    api = kit.build(GLOBAL)
    await api.put("/zones/east", {"type": "Zone", "name": "east"})
    await api.load({"type": "ZoneInsight", "name": "east", "subscriptions": list(subscriptions)})
    return api


@pytest.mark.parametrize("path", ["zones/_overview", "zones+insights"])
async def test_overviews_of_zones(path: str) -> None:
    api = await east(OPEN)
    await api.put("/zones/west", {"type": "Zone", "name": "west", "enabled": False})
    first, second = (await api.get(f"/{path}"))["items"]
    assert (first["type"], first["name"], first["kri"]) == ("ZoneOverview", "east", "kri_z____east_")
    assert first["zone"] == {}
    assert first["zoneInsight"]["subscriptions"][0]["status"]["total"] == {"responsesSent": "4"}
    assert second["zone"] == {"enabled": False}
    assert "zoneInsight" not in second
    single = path.replace("/_overview", "/west/_overview").replace("+insights", "+insights/west")
    assert (await api.get(f"/{single}"))["zoneInsight"] == {}


@pytest.mark.parametrize(
    ("kind", "paths", "field"),
    [
        (
            "ZoneIngress",
            ["zoneingresses/_overview", "zone-ingresses/_overview", "zoneingresses+insights"],
            "zoneIngress",
        ),
        ("ZoneEgress", ["zoneegresses/_overview", "zoneegressoverviews"], "zoneEgress"),
    ],
)
async def test_overviews_of_zone_proxies(kind: str, paths: list[str], field: str) -> None:
    api = kit.build()
    networking = {"address": "192.0.2.1", "port": 10001}
    await api.put(f"/{paths[0].partition('/')[0]}/one", {"type": kind, "name": "one", "networking": networking})
    await api.load({"type": f"{kind}Insight", "name": "one", "subscriptions": [OPEN]})
    for path in paths:
        (found,) = (await api.get(f"/{path}"))["items"]
        assert (found["type"], found["labels"]["kuma.io/proxy-type"]) == (f"{kind}Overview", kind.lower())
        assert found[field] == {"networking": networking}
        assert found[f"{field}Insight"]["subscriptions"][0]["id"] == "1"


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("ZoneIngress", "zoneingresses", "zone ingress"),
        ("ZoneIngress", "zone-ingresses", "zone ingress"),
        ("ZoneEgress", "zoneegresses", "zone egress"),
    ],
)
async def test_what_the_envoy_of_a_zone_proxy_says(kind: str, path: str, words: str) -> None:
    api = kit.build()
    networking = {"address": "192.0.2.1", "port": 10001}
    for name, zone in (("one", "default"), ("off", "default"), ("far", "east")):
        await api.load({"type": kind, "name": name, "zone": zone, "networking": networking})
    seen = {"subscriptions": [OPEN], "metadata": {"dataplane.admin.port": "9902"}}
    await api.load({"type": f"{kind}Insight", "name": "one", **seen})
    assert await api.get(f"/{path}/one/xds?include_eds=true") == {"name": "one", "eds": True, "port": 9902}
    stats = await api.call("GET", f"/{path}/one/stats")
    assert (stats.text, stats.headers["content-type"]) == ("stats of one, json False, used only True", "text/plain")
    assert (await api.call("GET", f"/{path}/one/clusters")).text == "clusters of one, json False"
    for name, operation, status, title, detail in (
        ("off", "xds", 503, "Could not execute admin operation", 'proxy "off" is offline'),
        ("none", "stats", 404, f"Could not get {words} resource", "Not found"),
        ("one", "odd", 404, "Could not execute admin operation", "Not found"),
        ("far", "clusters", 400, f"Could not connect to {words} that resides in another zone",
         '"far" is a proxy of zone "east"'),
    ):  # fmt: skip
        answer = await api.call("GET", f"/{path}/{name}/{operation}")
        found = json.loads(answer.body)
        assert (answer.status, found["title"], found["detail"]) == (status, title, detail)


async def test_a_connected_zone_cannot_be_deleted() -> None:
    api = await east(CLOSED, OPEN)
    answer = await api.call("DELETE", "/zones/east")
    assert answer.status == 400
    (problem,) = json.loads(answer.body)["invalid_parameters"]
    assert problem["field"] == "zone"
    assert problem["reason"] == "unable to delete Zone, Zone CP is still connected, please shut it down first"


async def test_a_zone_that_left_can_be_deleted() -> None:
    api = await east(CLOSED)
    assert (await api.call("DELETE", "/zones/east")).status == 200
    assert (await api.get("/zones"))["total"] == 0


async def test_sums_count_zones_that_ever_connected() -> None:
    api = await east(OPEN)
    await api.put("/zones/west", {"type": "Zone", "name": "west"})
    assert (await api.get("/global-insight"))["zones"]["controlPlanes"] == {"online": 1, "total": 1}
    assert (await api.get("/global-insights"))["resources"]["Zone"] == {"total": 2}


async def test_a_zone_lists_itself_alone() -> None:
    api = kit.build(roles.Role(zone="east"))
    await api.load({"type": "Zone", "name": "before"})
    await api.defaults.ensure_started()
    (found,) = (await api.get("/zones"))["items"]
    assert (found["name"], found["kri"], "labels" in found) == ("east", "kri_z____east_", False)


async def test_a_global_control_plane_keeps_its_zones() -> None:
    api = await east()
    await api.defaults.ensure_started()
    assert [each["name"] for each in (await api.get("/zones"))["items"]] == ["east"]


@pytest.mark.parametrize(
    ("role", "wanted", "expected"),
    [
        (
            roles.Role(),
            defaults.Settings(),
            {
                "local-mesh-external-service": "{{ .DisplayName }}.extsvc.mesh.local",
                "local-universal-mesh-service": "{{ .DisplayName }}.svc.mesh.local",
            },
        ),
        (
            roles.Role(environment="kubernetes"),
            defaults.Settings(),
            {"local-mesh-external-service": "{{ .DisplayName }}.extsvc.mesh.local"},
        ),
        (
            GLOBAL,
            defaults.Settings(),
            {
                "synced-headless-kube-mesh-service": '{{ label "statefulset.kubernetes.io/pod-name" }}.'
                '{{ label "k8s.kuma.io/service-name" }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local',
                "synced-kube-mesh-service": "{{ .DisplayName }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local",
                "synced-mesh-external-service": "{{ .DisplayName }}.extsvc.mesh.local",
                "synced-mesh-multi-zone-service": "{{ .DisplayName }}.mzsvc.mesh.local",
                "synced-universal-mesh-service": "{{ .DisplayName }}.svc.{{ .Zone }}.mesh.local",
            },
        ),
        (roles.Role(), defaults.Settings(skip_hostname_generators=True), {}),
    ],
)
async def test_hostname_generators_to_start_with(
    role: roles.Role, wanted: defaults.Settings, expected: dict[str, str]
) -> None:
    api = kit.build(role, wanted=wanted)
    await api.defaults.ensure_started()
    found = (await api.get("/hostnamegenerators"))["items"]
    assert {each["name"]: each["spec"]["template"] for each in found} == expected
    own = None if role.is_global else {"kuma.io/origin": "zone"}
    assert [each.get("labels") for each in found] == [own] * len(found)
    stored = await api.store.list(hostnamegenerator.KIND)
    assert not [problem for each in stored for problem in hostnamegenerator.KIND.validate(each)]


async def test_a_destination_that_no_proxy_can_ask_for_is_warned_of() -> None:
    api = kit.build()
    await api.load({"type": "Mesh", "name": "shop"})
    ports = [{"port": 80, "name": "web.http"}, {"port": 81}]
    document = {"type": "MeshService", "mesh": "shop", "name": "web", "spec": {"ports": ports}}
    answer = await api.put("/meshes/shop/meshservices/web", document)
    assert json.loads(answer.body)["warnings"] == [
        'Invalid MeshService SNI (port "web.http"): sectionName "web.http" does not conform to RFC 1123: '
        "must not contain dots. This is deprecated."
    ]
    found = await api.get("/meshes/shop/meshservices/web")
    assert found["snis"] == [{"port": 81, "sni": "sni.msvc.shop.default.web.81"}]


async def test_a_status_that_a_user_sends_is_dropped() -> None:
    api = kit.build()
    await api.load({"type": "Mesh", "name": "shop"})
    document = {
        "type": "MeshService",
        "mesh": "shop",
        "name": "web",
        "spec": {},
        "status": {"vips": [{"ip": "10.0.0.2"}]},
    }
    await api.put("/meshes/shop/meshservices/web", document)
    assert (await api.get("/meshes/shop/meshservices/web"))["status"] == {"tls": {}, "dataplaneProxies": {}}
