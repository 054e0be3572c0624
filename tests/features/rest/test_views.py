"""Views that are made of more than one resource: overviews, insights, inspection, the control plane itself."""

import json
from typing import Any

import pytest

from kuma.services.insights import insight_loop
from kuma.services.rules import role as roles
from tests.kit import api as kit
from tests.kit import json_patches

CONNECTED = {
    "subscriptions": [
        {
            "id": "1",
            "controlPlaneInstanceId": "cp-1",
            "connectTime": "2026-01-02T03:04:05Z",
            "status": {"total": {"responsesSent": "4"}, "cds": {}, "eds": {}, "lds": {}, "rds": {}},
            "version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2"}},
        }
    ],
    "mTLS": {"issuedBackend": "ca-1", "supportedBackends": ["ca-1"]},
    "metadata": {"dataplane.admin.port": "9901"},
}


async def shop() -> kit.Api:
    """Mesh `shop` with web-1 (connected), web-2 (never connected) and a delegated gateway (connected)."""
    api = kit.build()
    await api.load({"type": "Mesh", "name": "shop"})
    inbound = [{"port": 80, "tags": {"kuma.io/service": "web"}}]
    for name in ("web-1", "web-2"):
        networking: dict[str, Any] = {"address": "192.168.0.1", "inbound": inbound}
        document = {"type": "Dataplane", "mesh": "shop", "name": name, "networking": networking}
        await api.put(f"/meshes/shop/dataplanes/{name}", document)
    networking = {"address": "192.168.0.3", "gateway": {"tags": {"kuma.io/service": "edge"}}}
    await api.put(
        "/meshes/shop/dataplanes/gate",
        {"type": "Dataplane", "mesh": "shop", "name": "gate", "networking": networking},
    )
    for name in ("web-1", "gate"):
        await api.load({"type": "DataplaneInsight", "mesh": "shop", "name": name, **CONNECTED})
    return api


async def with_insights() -> kit.Api:
    api = await shop()
    loop = insight_loop.InsightLoop(api.store, api.catalog)
    await loop.write_all()
    return api


@pytest.mark.parametrize("path", ["dataplanes/_overview", "dataplanes+insights"])
async def test_overviews(path: str) -> None:
    api = await shop()
    found = await api.get(f"/meshes/shop/{path}?gateway=false")
    first, second = found["items"]
    assert (first["type"], first["name"], first["kri"]) == ("DataplaneOverview", "web-1", "kri_dp_shop_default__web-1_")
    assert first["dataplane"]["networking"]["address"] == "192.168.0.1"
    assert first["dataplaneInsight"]["subscriptions"][0]["status"]["total"] == {"responsesSent": "4"}
    assert "dataplaneInsight" not in second
    single = path.replace("/_overview", "/web-2/_overview").replace("+insights", "+insights/web-2")
    assert (await api.get(f"/meshes/shop/{single}"))["dataplaneInsight"] == {}
    assert (await api.get(f"/{path}"))["total"] == 3


async def test_an_overview_follows_its_insight() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/_overview?name=web-1"
    await api.get(path)
    await api.load({"type": "DataplaneInsight", "mesh": "shop", "name": "web-1", "metadata": {"a": "b"}})
    assert (await api.get(path))["items"][0]["dataplaneInsight"] == {"metadata": {"a": "b"}}


async def test_service_insights() -> None:
    api = await with_insights()
    found = await api.get("/meshes/shop/service-insights")
    assert [each["name"] for each in found["items"]] == ["edge", "web"]
    edge, web = found["items"]
    assert list(web) == [
        "type", "mesh", "name", "creationTime", "modificationTime", "status", "dataplanes", "issuedBackends",
        "addressPort", "zones",
    ]  # fmt: skip
    assert (web["status"], web["dataplanes"]) == ("partially_degraded", {"total": 2, "online": 1, "offline": 1})
    assert (web["addressPort"], web["zones"], web["issuedBackends"]) == ("web.mesh:80", ["default"], {"ca-1": 1})
    assert (edge["serviceType"], "addressPort" in edge) == ("gateway_delegated", False)
    assert [each["name"] for each in (await api.get("/service-insights?type=internal"))["items"]] == ["web"]
    assert (await api.get("/service-insights?size=1"))["next"].endswith("/service-insights?offset=1&size=1")
    single = await api.get("/meshes/shop/service-insights/web")
    assert single == web
    unknown = await api.get("/meshes/shop/service-insights/none")
    assert (unknown["dataplanes"], unknown["addressPort"], "status" in unknown) == ({}, "none.mesh:80", False)


async def test_service_insights_without_any() -> None:
    api = await shop()
    assert (await api.call("GET", "/meshes/shop/service-insights/web")).status == 404
    assert (await api.get("/meshes/shop/service-insights"))["items"] == []
    answer = await api.call("GET", "/meshes/shop/service-insights?size=0")
    assert json.loads(answer.body)["title"] == "Could not paginate resources"
    answer = await api.call("GET", "/meshes/shop/service-insights?type=odd")
    assert json.loads(answer.body)["detail"] == "bad request: unsupported service type"


async def test_services_outside_of_the_mesh() -> None:
    api = await shop()
    outside = {"networking": {"address": "a.example:443"}, "tags": {"kuma.io/service": "es"}}
    await api.put(
        "/meshes/shop/external-services/es", {"type": "ExternalService", "mesh": "shop", "name": "es", **outside}
    )
    await insight_loop.InsightLoop(api.store, api.catalog).write_all()
    (found,) = (await api.get("/meshes/shop/service-insights?type=external"))["items"]
    assert {key: found[key] for key in ("status", "dataplanes", "serviceType", "addressPort")} == {
        "status": "not_available",
        "dataplanes": {},
        "serviceType": "external",
        "addressPort": "a.example:443",
    }
    assert (await api.get("/mesh-insights/shop"))["services"] == {"total": 3, "internal": 2, "external": 1}
    assert (await api.get("/global-insight"))["services"]["external"] == {"total": 1}


async def test_mesh_insight() -> None:
    api = await with_insights()
    found = await api.get("/mesh-insights/shop")
    assert found["dataplanes"] == {"total": 3, "online": 2, "offline": 1}
    assert found["dpVersions"]["kumaDp"] == {"2.14.3": {"total": 2, "online": 2}, "unknown": {"total": 1, "offline": 1}}
    assert found["mTLS"]["issuedBackends"] == {"ca-1": {"total": 2, "online": 2}}
    assert found["services"] == {"total": 2, "internal": 2}
    assert found["dataplanesByType"] == {
        "standard": {"total": 2, "online": 1, "offline": 1},
        "gateway": {"total": 1, "online": 1},
        "gatewayBuiltin": {},
        "gatewayDelegated": {"total": 1, "online": 1},
    }
    assert found["resources"] == {"Dataplane": {"total": 3}}
    assert "policies" not in found


async def test_sums_over_all_meshes() -> None:
    api = await with_insights()
    found = await api.get("/global-insight")
    assert found["meshes"] == {"total": 1}
    assert found["dataplanes"]["standard"] == {"offline": 1, "online": 1, "partiallyDegraded": 0, "total": 2}
    assert found["services"]["internal"] == {"offline": 0, "online": 0, "partiallyDegraded": 1, "total": 1}
    assert found["services"]["external"] == {"total": 0}
    assert found["resources"] == {"Dataplane": {"total": 3}}
    legacy = await api.get("/global-insights")
    assert legacy["resources"]["Mesh"] == {"total": 1}


async def test_what_envoy_says() -> None:
    api = await shop()
    base = "/meshes/shop/dataplanes"
    dump = await api.get(f"{base}/web-1/xds?include_eds=true")
    assert dump == {"name": "web-1", "eds": True, "port": 9901}
    stats = await api.call("GET", f"{base}/web-1/stats")
    assert (stats.text, stats.headers["content-type"]) == ("stats of web-1, json False, used only True", "text/plain")
    clusters = await api.call("GET", f"{base}/web-1/clusters?format=json")
    assert clusters.headers["content-type"] == "application/json"
    offline = await api.call("GET", f"{base}/web-2/xds")
    assert offline.status == 503
    found = json.loads(offline.body)
    assert (found["title"], found["detail"]) == ("Could not execute admin operation", 'proxy "web-2" is offline')
    unknown = await api.call("GET", f"{base}/none/xds")
    assert (unknown.status, json.loads(unknown.body)["title"]) == (404, "Could not get dataplane resource")
    odd = await api.call("GET", f"{base}/web-1/odd")
    assert (odd.status, json.loads(odd.body)["title"]) == (404, "Could not execute admin operation")


async def test_configuration_of_a_proxy() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/web-1/_config"
    for name in ("dataplanes/web-2", "dataplanes/nobody", "meshgateways/nobody"):
        unknown = await api.call("GET", f"/meshes/shop/{name}/_config")
        assert (unknown.status, json.loads(unknown.body)["title"]) == (404, "Failed to fetch dataplane insight")
    trial = {"targetRef": {"kind": "Mesh"}, "rules": [{"default": {"idleTimeout": "322s"}}]}
    await api.put(
        "/meshes/shop/meshtimeouts/trial",
        {"type": "MeshTimeout", "mesh": "shop", "name": "trial", "labels": {"kuma.io/effect": "shadow"}, "spec": trial},
    )
    current, wanted = await api.get(path), await api.get(f"{path}?shadow=true&include=diff")
    assert await api.get("/meshes/shop/meshgateways/web-1/_config") == current
    listener = current["xds"]["type.googleapis.com/envoy.config.listener.v3.Listener"]["inbound:192.168.0.1:80"]
    assert listener["filterChains"][0]["filters"][0]["typedConfig"]["idleTimeout"] == "3600s"
    assert json_patches.applied(current["xds"], wanted["diff"]) == wanted["xds"]
    timeout = (
        "/type.googleapis.com~1envoy.config.listener.v3.Listener/inbound:192.168.0.1:80"
        "/filterChains/0/filters/0/typedConfig/idleTimeout"
    )
    assert [each for each in wanted["diff"] if each["path"] == timeout] == [
        {"op": "test", "path": timeout, "value": "3600s"},
        {"op": "remove", "path": timeout, "value": "3600s"},
        {"op": "add", "path": timeout, "value": "322s"},
    ]
    for query in ("shadow=maybe", "include=all"):
        answer = await api.call("GET", f"{path}?{query}")
        name = query.partition("=")[0]
        detail = json.loads(answer.body)["detail"]
        assert detail == f"bad request: unsupported value for query parameter '{name}'"


async def test_configuration_holds_no_secret() -> None:
    api = await shop()
    backends = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop", "mtls": backends})
    found = await api.get("/meshes/shop/dataplanes/web-1/_config")
    secrets = found["xds"]["type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"]
    assert secrets["identity_cert:secret:shop"]["tlsCertificate"] == {
        "certificateChain": {"inlineBytes": "Q0VSVA=="},
        "privateKey": {"inlineBytes": "S0VZ"},
    }


async def test_global_control_plane_configures_no_proxy() -> None:
    api = kit.build(roles.Role(mode=roles.Mode.GLOBAL))
    answer = await api.call("GET", "/meshes/shop/dataplanes/web-1/_config")
    assert (answer.status, json.loads(answer.body)["detail"]) == (405, "Not allowed on global CP")


async def test_views_of_mesh_services_need_them() -> None:
    api = await shop()
    answer = await api.call("GET", "/meshes/shop/dataplanes/none/_layout")
    assert (answer.status, json.loads(answer.body)["detail"]) == (
        400,
        "bad request: can't use _layout endpoint without meshService enabled",
    )


async def test_the_control_plane_itself() -> None:
    api = await shop()
    assert (await api.call("GET", "/")).text == (
        '{\n "clusterId": "cluster-1",\n "gui": "/gui",\n "hostname": "host",\n "instanceId": "host-1",\n'
        ' "product": "Kuma",\n "version": "2.14.3"\n}\n'
    )
    assert await api.get("/config") == {"mode": "zone"}
    kinds = {each["name"]: each for each in (await api.get("/_resources"))["resources"]}
    assert kinds["Dataplane"] == {
        "includeInFederation": False,
        "name": "Dataplane",
        "path": "dataplanes",
        "pluralDisplayName": "Dataplanes",
        "readOnly": False,
        "scope": "Mesh",
        "shortName": "dp",
        "singularDisplayName": "Dataplane",
    }
    assert kinds["MeshInsight"]["readOnly"]
    assert "Config" not in kinds
    policies = {each["name"]: each for each in (await api.get("/policies"))["policies"]}
    assert (policies["MeshTrafficPermission"]["isInbound"], policies["MeshTrafficPermission"]["isOutbound"]) == (
        True,
        False,
    )
