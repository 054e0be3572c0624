"""What policies say of proxies: `_rules`, `rules`, `_policies` of a proxy and its parts, `_routes`, `_layout`."""

import json
from typing import Any

import pytest

from tests.kit import api as kit

WEB = "/meshes/shop/dataplanes/web-1"
BACKEND = "kri_msvc_shop_default__backend_http"
INBOUND = "kri_dp_shop_default__web-1_main"


async def shop(mode: str = "Exclusive") -> kit.Api:
    """Mesh `shop` without policies, with proxy web-1 and MeshService `backend` of the ports http and 81."""
    api = kit.build()
    await api.put(
        "/meshes/shop",
        {"type": "Mesh", "name": "shop", "skipCreatingInitialPolicies": ["*"], "meshServices": {"mode": mode}},
    )
    inbounds = [
        {"port": 8080, "name": "main", "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"}},
        {"port": 80, "tags": {"kuma.io/service": "old"}},
    ]
    outbounds = [{"port": 10001, "tags": {"kuma.io/service": "backend"}}]
    networking = {"address": "192.168.0.1", "inbound": inbounds, "outbound": outbounds if mode != "Exclusive" else []}
    await put(api, "Dataplane", "web-1", labels={"app": "web"}, networking=networking)
    ports = [{"port": 80, "name": "http", "appProtocol": "http"}, {"port": 81}]
    await put(api, "MeshService", "backend", spec={"selector": {"dataplaneTags": {"app": "b"}}, "ports": ports})
    return api


async def put(api: kit.Api, kind: str, name: str, **fields: Any) -> None:
    found = api.catalog.find(kind)
    assert found is not None
    document = {"type": kind, "mesh": "shop", "name": name, **fields}
    await api.put(f"/meshes/shop/{found.plural}/{name}", document)


async def put_timeout(api: kit.Api, name: str, seconds: int, target: Any = None, **lists: Any) -> None:
    """A MeshTimeout with `to` or `rules`, about that many seconds."""
    spec = {
        key: [{**each, "default": {"idleTimeout": f"{seconds}s"}} for each in value] for key, value in lists.items()
    }
    await put(api, "MeshTimeout", name, spec={**({"targetRef": target} if target else {}), **spec})


def to(kind: str, **fields: Any) -> dict[str, Any]:
    return {"targetRef": {"kind": kind, **fields}}


async def test_rules_name_their_inbound_and_the_entry_they_come_from() -> None:
    api = await shop()
    await put_timeout(api, "all", 7, rules=[{}])
    await put_timeout(api, "one", 8, target={"kind": "Dataplane", "sectionName": "main"}, rules=[{}])
    found = await api.get(f"{WEB}/_rules")
    assert (found["resource"]["name"], found["httpMatches"]) == ("web-1", [])
    (timeouts,) = found["rules"]
    assert (timeouts["type"], timeouts["toRules"], timeouts["fromRules"]) == ("MeshTimeout", [], [])
    old, main = timeouts["inboundRules"]
    assert old["inbound"] == {"port": 80, "tags": {"kuma.io/service": "old", "kuma.io/zone": "default"}}
    assert main["inbound"]["name"] == "main"
    assert [(each["conf"], each["origin"][0]["resourceMeta"]["name"]) for each in main["rules"]] == [
        ([{"idleTimeout": "7s"}], "all"),
        ([{"idleTimeout": "8s"}], "one"),
    ]
    assert [each["origin"][0]["ruleIndex"] for each in old["rules"]] == [0]


@pytest.mark.parametrize(("mode", "by_tags"), [("Exclusive", 0), ("Everywhere", 1)])
async def test_destinations_by_tags_are_shown_where_there_are_some(mode: str, by_tags: int) -> None:
    api = await shop(mode)
    await put_timeout(api, "all", 7, to=[to("Mesh")])
    (timeouts,) = (await api.get(f"{WEB}/_rules"))["rules"]
    assert len(timeouts["toRules"]) == by_tags
    (of_mesh,) = timeouts["toResourceRules"]
    assert of_mesh["resourceMeta"] == {"labels": {}, "mesh": "", "name": "shop", "type": "Mesh"}


async def test_rules_of_destinations_stand_by_their_names() -> None:
    api = await shop()
    await put_timeout(api, "all", 7, to=[to("Mesh"), to("MeshService", name="backend")])
    (timeouts,) = (await api.get(f"{WEB}/_rules"))["rules"]
    assert [each["resourceMeta"]["name"] for each in timeouts["toResourceRules"]] == ["backend", "shop"]


async def test_shadow_policies_say_nothing() -> None:
    api = await shop()
    spec = {"rules": [{"default": {"idleTimeout": "7s"}}]}
    await put(api, "MeshTimeout", "trial", labels={"kuma.io/effect": "shadow"}, spec=spec)
    assert (await api.get(f"{WEB}/_rules"))["rules"] == []


async def test_rules_of_a_gateway_are_those_of_the_proxies_that_serve_it() -> None:
    api = await shop()
    conf = {"listeners": [{"port": 8080, "protocol": "HTTP", "tags": {"port": "main"}}]}
    selectors = [{"match": {"kuma.io/service": "edge"}}]
    await put(api, "MeshGateway", "edge", selectors=selectors, conf=conf)
    await put_timeout(api, "all", 1, to=[to("Mesh")])
    await put_timeout(api, "edge", 2, target={"kind": "MeshGateway", "name": "edge"}, to=[to("Mesh")])
    await put_timeout(api, "other", 3, target={"kind": "MeshGateway", "name": "other"}, to=[to("Mesh")])
    found = await api.get("/meshes/shop/meshgateways/edge/_rules")
    assert found["resource"]["type"] == "MeshGateway"
    (of_mesh,) = found["rules"][0]["toResourceRules"]
    assert of_mesh["conf"] == [{"idleTimeout": "2s"}]
    assert [each["resourceMeta"]["name"] for each in of_mesh["origin"]] == ["all", "edge"]


async def test_listeners_of_a_gateway_proxy_stand_where_inbounds_do() -> None:
    api = await shop()
    listeners = [{"port": 8090, "protocol": "HTTP"}, {"port": 8080, "protocol": "HTTP", "tags": {"port": "main"}}]
    selectors = [{"match": {"kuma.io/service": "edge"}}]
    await put(api, "MeshGateway", "edge", selectors=selectors, conf={"listeners": listeners})
    gateway = {"type": "BUILTIN", "tags": {"kuma.io/service": "edge"}}
    await put(api, "Dataplane", "edge-1", networking={"address": "192.168.0.9", "gateway": gateway})
    await put_timeout(api, "all", 1, rules=[{}])
    for path in ("dataplanes/edge-1", "meshgateways/edge"):
        (timeouts,) = (await api.get(f"/meshes/shop/{path}/_rules"))["rules"]
        inbounds = [each["inbound"] for each in timeouts["inboundRules"]]
        assert [each["port"] for each in inbounds] == [8080, 8090]
        assert all(each["tags"]["kuma.io/service"] == "edge" and "port" not in each["tags"] for each in inbounds)


async def test_parts_of_a_proxy() -> None:
    api = await shop()
    listeners = [{"type": "ZoneEgress", "address": "192.168.0.2", "port": 10002, "name": "out"}]
    await put(api, "Dataplane", "egress", networking={"address": "192.168.0.2", "listeners": listeners})
    found = await api.get(f"{WEB}/_layout")
    assert found["kri"] == "kri_dp_shop_default__web-1_"
    assert found["inbounds"] == [
        {"kri": INBOUND, "port": 8080, "protocol": "http", "proxyResourceName": "self_inbound_dp_main"},
        {
            "kri": "kri_dp_shop_default__web-1_80",
            "port": 80,
            "protocol": "tcp",
            "proxyResourceName": "self_inbound_dp_80",
        },
    ]
    assert [(each["kri"], each["protocol"]) for each in found["outbounds"]] == [
        ("kri_msvc_shop_default__backend_81", "tcp"),
        (BACKEND, "http"),
    ]
    egress = await api.get("/meshes/shop/dataplanes/egress/_layout")
    assert egress["outbounds"] == []
    assert egress["listeners"] == [
        {
            "kri": "kri_dp_shop_default__egress_out",
            "type": "ZoneEgress",
            "port": 10002,
            "proxyResourceName": "self_zoneegress_dp_out",
        }
    ]


async def test_layout_tells_the_identity_that_a_proxy_has_or_will_have() -> None:
    api = await shop()
    assert "spiffeId" not in await api.get(f"{WEB}/_layout")
    selector = {"dataplane": {"matchLabels": {"app": "web"}}}
    spiffe_id = {"trustDomain": "{{ .Mesh }}.example", "path": '/{{ label "app" }}'}
    await put(api, "MeshIdentity", "web", spec={"selector": selector, "spiffeID": spiffe_id})
    assert (await api.get(f"{WEB}/_layout"))["spiffeId"] == "spiffe://shop.example/web"


async def test_outbounds_are_those_within_reach() -> None:
    api = await shop()
    limits = {"reachableBackends": {"refs": [{"kind": "MeshService", "name": "backend", "port": 81}]}}
    limits = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001, **limits}
    inbounds = [{"port": 80, "tags": {"kuma.io/service": "web"}}]
    networking = {"address": "192.168.0.3", "inbound": inbounds, "transparentProxying": limits}
    await put(api, "Dataplane", "web-2", networking=networking)
    found = await api.get("/meshes/shop/dataplanes/web-2/_layout")
    assert [each["port"] for each in found["outbounds"]] == [81]


async def test_policies_of_the_whole_proxy() -> None:
    api = await shop()
    backends = [{"type": "Zipkin", "zipkin": {"url": "http://zipkin:9411/api/v2/spans"}}]
    await put(api, "MeshTrace", "traces", spec={"default": {"backends": backends}})
    await put_timeout(api, "all", 7, to=[to("Mesh")])
    (only,) = (await api.get(f"{WEB}/_policies"))["policies"]
    assert (only["kind"], only["origins"]) == ("MeshTrace", [{"kri": "kri_mtr_shop_default__traces_"}])
    assert only["conf"]["backends"][0]["type"] == "Zipkin"


async def test_policies_of_an_inbound() -> None:
    api = await shop()
    await put_timeout(api, "all", 7, rules=[{}])
    allow = [{"default": {"allow": [{"spiffeID": {"type": "Prefix", "value": "spiffe://shop/web"}}]}}]
    await put(api, "MeshTrafficPermission", "clients", spec={"rules": allow})
    found = (await api.get(f"{WEB}/_inbounds/{INBOUND}/_policies"))["policies"]
    assert [each["kind"] for each in found] == ["MeshTimeout", "MeshTrafficPermission"]
    assert found[0] == {
        "kind": "MeshTimeout",
        "rules": [{"kri": "kri_mt_shop_default__all_", "conf": {"idleTimeout": "7s"}}],
        "origins": [{"kri": "kri_mt_shop_default__all_"}],
    }
    unknown = await api.call("GET", f"{WEB}/_inbounds/kri_dp_shop_default__web-1_none/_policies")
    assert unknown.status == 404


async def test_policies_of_outbounds_and_their_routes() -> None:
    api = await shop()
    path = {"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}], "default": {}}
    own = [{**to("MeshService", name="backend"), "rules": [path]}]
    await put(api, "MeshHTTPRoute", "r", spec={"to": own})
    backend = {"backendRefs": [{"kind": "MeshService", "name": "backend", "port": 81, "weight": 1}]}
    connections = [{**to("MeshService", name="backend"), "rules": [{"default": backend}]}]
    await put(api, "MeshTCPRoute", "t", spec={"to": connections})
    await put_timeout(api, "all", 1, to=[to("Mesh")])
    await put_timeout(api, "port", 2, to=[to("MeshService", name="backend", sectionName="http")])
    route = "kri_mhttpr_shop_default__r_"

    async def confs(path: str) -> Any:
        return [
            (each["kind"], each["conf"]) for each in (await api.get(f"{WEB}/_outbounds/{path}/_policies"))["policies"]
        ]

    assert await confs(BACKEND) == [("MeshTimeout", [{"idleTimeout": "2s"}])]
    assert await confs("kri_msvc_shop_default__backend_81") == [("MeshTimeout", [{"idleTimeout": "1s"}])]
    assert await confs("kri_msvc_shop_default__nothing_81") == []
    assert await confs(f"{BACKEND}/_routes/{route}") == [("MeshTimeout", [{"idleTimeout": "2s"}])]
    await put_timeout(api, "route", 3, to=[to("MeshHTTPRoute", name="r")])
    assert await confs(f"{BACKEND}/_routes/{route}") == [("MeshTimeout", [{"idleTimeout": "3s"}])]

    http, tcp = (await api.get(f"{WEB}/_outbounds/{BACKEND}/_routes"))["routes"]
    assert (http["kind"], http["origins"]) == ("MeshHTTPRoute", [{"kri": route}])
    assert http["rules"] == [{"kri": route, "matches": path["matches"], "conf": {}}]
    assert (tcp["kind"], tcp["rules"]) == ("MeshTCPRoute", [{"kri": "", "matches": None, "conf": backend}])


@pytest.mark.parametrize(
    ("mode", "path", "status", "title", "detail"),
    [
        (
            "Everywhere",
            "_layout",
            400,
            "Bad Request",
            "bad request: can't use _layout endpoint without meshService enabled",
        ),
        (
            "Everywhere",
            "_policies",
            400,
            "Bad Request",
            "bad request: can't use _policies endpoint without meshService enabled",
        ),
        ("Exclusive", "_outbounds/x/_policies", 400, "Bad Request", 'bad request: invalid identifier string: "x"'),
        ("Exclusive", "_inbounds/x/_policies", 400, "Bad Request", 'bad request: invalid identifier string: "x"'),
    ],
)
async def test_refusals(mode: str, path: str, status: int, title: str, detail: str) -> None:
    api = await shop(mode)
    answer = await api.call("GET", f"{WEB}/{path}")
    found = json.loads(answer.body)
    assert (answer.status, found["title"], found["detail"]) == (status, title, detail)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/meshes/shop/dataplanes/none/_rules", "Could not retrieve Dataplane"),
        ("/meshes/shop/meshgateways/none/_rules", "Could not retrieve MeshGateway"),
        ("/meshes/shop/dataplanes/none/_layout", "Failed to retrieve Dataplane"),
        ("/meshes/none/dataplanes/web-1/_policies", "Failed to retrieve Mesh"),
        ("/meshes/shop/dataplanes/none/rules", "Could not get MatchedPolicies"),
    ],
)
async def test_what_does_not_exist(path: str, title: str) -> None:
    answer = await (await shop()).call("GET", path)
    assert (answer.status, json.loads(answer.body)["title"]) == (404, title)


async def test_rules_by_place_for_older_clients() -> None:
    api = await shop("Everywhere")
    await put(api, "MeshTrace", "traces", spec={"default": {"backends": []}})
    await put_timeout(api, "calls", 1, to=[to("Mesh")])
    entries = [{**to("MeshSubset", tags={"version": "v1"}), "default": {"action": "Deny"}}]
    await put(api, "MeshTrafficPermission", "clients", spec={"targetRef": {"kind": "Mesh"}, "from": entries})
    found = await api.get(f"{WEB}/rules")
    assert found["total"] == len(found["items"]) == 4
    whole, called, *clients = found["items"]
    assert (whole["type"], whole["policyType"], whole["subset"]) == ("SingleItem", "MeshTrace", {})
    assert called == {
        "type": "DestinationSubset",
        "name": "backend",
        "addresses": ["127.0.0.1:10001"],
        "service": "backend",
        "tags": {"kuma.io/service": "backend"},
        "policyType": "MeshTimeout",
        "subset": {},
        "conf": {"idleTimeout": "1s"},
        "origins": [{"mesh": "shop", "name": "calls"}],
    }
    assert {each["service"] for each in clients} == {"web", "old"}
    assert {each["type"] for each in clients} == {"ClientSubset"}
    assert [each["subset"] for each in clients] == [{"version": "v1"}] * 2


@pytest.mark.parametrize(
    ("mode", "target", "warning"),
    [
        ("Exclusive", {"kind": "MeshService", "name": "backend"}, None),
        ("Exclusive", {"kind": "Mesh"}, None),
        ("Exclusive", {"kind": "MeshService", "name": "none"}, 'there is no MeshService "none"'),
        ("Everywhere", {"kind": "MeshService", "name": "none"}, 'there is no MeshService "none"'),
        (
            "Everywhere",
            {"kind": "MeshService", "name": "backend", "sectionName": "x"},
            'there is no MeshService "backend" with a port "x"',
        ),
        (
            "Everywhere",
            {"kind": "MeshService", "labels": {"a": "b", "c": "d"}},
            "there is no MeshService with the labels a=b, c=d",
        ),
        ("Everywhere", {"kind": "MeshHTTPRoute", "name": "r"}, 'there is no MeshHTTPRoute "r"'),
    ],
)
async def test_a_destination_that_does_not_exist_is_told(mode: str, target: Any, warning: str | None) -> None:
    api = await shop(mode)
    await put_timeout(api, "calls", 1, to=[{"targetRef": target}])
    found = await api.get("/meshes/shop/meshtimeouts/calls/_warnings")
    expected = [{"field": "spec.to[0].targetRef", "reason": warning}] if warning is not None else []
    assert found == {"warnings": expected}


@pytest.mark.parametrize(("section", "is_told"), [("81", True), ("http", False), ("", False)])
async def test_requests_cannot_be_routed_where_there_are_none(section: str, is_told: bool) -> None:
    api = await shop()
    target = {"name": "backend", **({"sectionName": section} if section else {})}
    path = {"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}], "default": {}}
    await put(api, "MeshHTTPRoute", "r", spec={"to": [{**to("MeshService", **target), "rules": [path]}]})
    found = (await api.get("/meshes/shop/meshhttproutes/r/_warnings"))["warnings"]
    reason = 'the MeshService "backend" with a port "81" speaks tcp, which has no requests to route'
    assert found == ([{"field": "spec.to[0].targetRef", "reason": reason}] if is_told else [])


async def test_a_policy_that_selects_nobody_is_told() -> None:
    api = await shop()
    await put_timeout(api, "nobody", 1, target={"kind": "Dataplane", "labels": {"app": "none"}}, rules=[{}])
    found = await api.get("/meshes/shop/meshtimeouts/nobody/_warnings")
    assert found == {"warnings": [{"field": "spec.targetRef", "reason": "no Dataplane of the mesh is selected"}]}
    unknown = await api.call("GET", "/meshes/shop/meshtimeouts/none/_warnings")
    assert (unknown.status, json.loads(unknown.body)["title"]) == (404, "Could not retrieve policy")
