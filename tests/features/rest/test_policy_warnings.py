"""A policy that can have no effect is taken, and told of: in the answer of the write, in a view, in the MeshInsight."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from kuma.services.insights import insight_loop
from kuma.services.rules import role as roles
from tests.kit import api as kit

TIMEOUT = "/meshes/shop/meshtimeouts/t"
NOBODY = "spec.targetRef: no Dataplane of the mesh is selected"
NO_API = 'spec.to[0].targetRef: there is no MeshService "api"'


async def shop(*services: str) -> kit.Api:
    """Mesh `shop` with a proxy of HTTP for each service."""
    api = kit.build()
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop"})
    for each in services:
        await put_proxy(api, each)
    return api


async def put_proxy(api: kit.Api, service: str, protocol: str = "http", name: str = "") -> None:
    tags = {"kuma.io/service": service, "kuma.io/protocol": protocol}
    networking = {"address": "192.168.0.1", "inbound": [{"port": 80, "tags": tags}]}
    name = name or f"{service}-1"
    document = {"type": "Dataplane", "mesh": "shop", "name": name, "labels": {"app": service}, "networking": networking}
    await api.put(f"/meshes/shop/dataplanes/{name}", document)


def a_timeout(service: str = "", app: str = "") -> dict[str, Any]:
    target = {"kind": "MeshService", "name": service} if service else {"kind": "Mesh"}
    spec: dict[str, Any] = {"to": [{"targetRef": target, "default": {"http": {"requestTimeout": "1s"}}}]}
    if app:
        spec["targetRef"] = {"kind": "Dataplane", "labels": {"app": app}}
    return {"type": "MeshTimeout", "mesh": "shop", "name": "t", "spec": spec}


async def told(api: kit.Api, path: str, document: dict[str, Any]) -> list[str]:
    """The warnings of a write, which the view has as well."""
    answer = json.loads((await api.put(path, document)).body)
    assert answer.keys() <= {"warnings"}
    found = (await api.get(f"{path}/_warnings"))["warnings"]
    warnings: list[str] = answer.get("warnings", [])
    assert [f"{each['field']}: {each['reason']}" for each in found] == warnings
    return warnings


async def test_a_write_tells_what_has_no_effect_and_what_has_again() -> None:
    api = await shop("web")
    assert await told(api, TIMEOUT, a_timeout()) == []
    assert await told(api, TIMEOUT, a_timeout("web", "web")) == []
    assert await told(api, TIMEOUT, a_timeout("api", "none")) == [NOBODY, NO_API]
    await put_proxy(api, "api", protocol="tcp")
    (warning,) = await told(api, TIMEOUT, a_timeout("api", "api"))
    expected = 'the MeshService "api" speaks tcp, and this is about grpc, http, http2'
    assert warning == f"spec.to[0].default.http: {expected}"
    await put_proxy(api, "api")
    assert await told(api, TIMEOUT, a_timeout("api", "api")) == []


async def test_services_of_other_zones_and_outside_the_mesh_are_there() -> None:
    api = await shop()
    networking = {"address": "example.com:80"}
    tags = {"kuma.io/service": "far", "kuma.io/protocol": "http"}
    external = {"type": "ExternalService", "mesh": "shop", "name": "far", "tags": tags, "networking": networking}
    await api.put("/meshes/shop/external-services/far", external)
    assert await told(api, TIMEOUT, a_timeout("far")) == []
    offered = [{"mesh": "shop", "instances": 1, "tags": {**tags, "kuma.io/service": "away"}}]
    address = {"address": "10.0.0.1", "port": 1, "advertisedAddress": "10.0.0.1", "advertisedPort": 1}
    ingress = {"type": "ZoneIngress", "name": "in", "zone": "z", "networking": address, "availableServices": offered}
    await api.load(ingress)
    assert await told(api, TIMEOUT, a_timeout("away")) == []


async def test_a_global_control_plane_says_nothing_of_zones_that_have_told_nothing() -> None:
    api = kit.build(roles.Role(mode=roles.Mode.GLOBAL, zone=""))
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop"})
    assert await told(api, TIMEOUT, a_timeout("api", "none")) == []
    assert await api.advice.of_mesh("shop") == ()
    inbound = {"port": 80, "tags": {"kuma.io/service": "web"}}
    networking = {"address": "192.168.0.1", "inbound": [inbound]}
    await api.load({"type": "Dataplane", "mesh": "shop", "name": "web-1", "networking": networking})
    assert await told(api, TIMEOUT, a_timeout("api", "none")) == [NOBODY, NO_API]
    assert len(await api.advice.of_mesh("shop")) == 2


async def test_what_is_no_policy_is_not_judged() -> None:
    api = await shop("web")
    document = {"type": "Secret", "mesh": "shop", "name": "s", "data": "dGVzdA=="}
    assert json.loads((await api.put("/meshes/shop/secrets/s", document)).body) == {}


# Patches


def a_patch(*changes: dict[str, Any]) -> dict[str, Any]:
    spec = {
        "targetRef": {"kind": "Dataplane", "labels": {"app": "web"}},
        "default": {"appendModifications": list(changes)},
    }
    return {"type": "MeshProxyPatch", "mesh": "shop", "name": "p", "spec": spec}


def cluster(operation: str, name: str | None, value: str = "connectTimeout: 1s") -> dict[str, Any]:
    change = {"operation": operation, **({"match": {"name": name}} if name else {})}
    return {"cluster": {**change, **({"value": value} if operation != "Remove" else {})}}


def http_filter(operation: str, name: str) -> dict[str, Any]:
    return {"httpFilter": {"operation": operation, "match": {"name": name}, "value": "name: x"}}


PATCH = "/meshes/shop/meshproxypatches/p"
CHANGES = (
    cluster("Patch", "localhost:80"),
    cluster("Remove", "outbound:none"),
    cluster("Add", None, "name: new\nconnectTimeout: 1s"),
    cluster("Patch", "new"),
    cluster("Patch", "other-patch"),
    http_filter("AddBefore", "envoy.filters.http.router"),
    http_filter("AddBefore", "envoy.filters.http.none"),
    {"virtualHost": {"operation": "Patch", "match": {"routeConfigurationName": "none"}, "value": "name: x"}},
)


async def connected(api: kit.Api, name: str) -> None:
    await api.load({"type": "DataplaneInsight", "mesh": "shop", "name": name, "metadata": {}})


async def test_a_patch_that_matches_nothing_is_told() -> None:
    api = await shop("web", "api")
    await connected(api, "api-1")
    assert await told(api, PATCH, a_patch(*CHANGES)) == []  # nothing is known of proxies that never connected
    await connected(api, "web-1")
    other = a_patch(cluster("Add", None, "name: other-patch\nconnectTimeout: 1s"))
    assert await told(api, PATCH.replace("/p", "/other"), {**other, "name": "other"}) == []
    place, reason = "spec.default.appendModifications", "matches nothing of the Dataplane web-1"
    assert await told(api, PATCH, a_patch(*CHANGES)) == [
        f"{place}[1].cluster: {reason}",
        f"{place}[6].httpFilter: {reason}",
        f"{place}[7].virtualHost: {reason}",
    ]
    await put_proxy(api, "web", protocol="tcp", name="web-2")
    await connected(api, "web-2")
    assert (await told(api, PATCH, a_patch(CHANGES[1]))) == [
        f"{place}[0].cluster: matches nothing of the 2 Dataplanes that were looked at"
    ]


# The insight


async def insight_of(api: kit.Api) -> Any:
    return await api.get("/mesh-insights/shop")


async def test_the_mesh_insight_names_policies_without_effect() -> None:
    api = await shop("web")
    loop = insight_loop.InsightLoop(api.store, api.catalog, advise=api.advice.of_mesh)
    await loop.write_all()
    assert "warnings" not in await insight_of(api)
    await told(api, TIMEOUT, a_timeout("api", "web"))
    await loop.write_all()
    field, _, reason = NO_API.partition(": ")
    warning = {"type": "MeshTimeout", "name": "t", "field": field, "reason": reason}
    assert (await insight_of(api))["warnings"] == [warning]
    await put_proxy(api, "api")
    await loop.write_all()
    assert "warnings" not in await insight_of(api)


async def test_the_mesh_insight_follows_what_policies_are_about() -> None:
    api = await shop("web")
    await told(api, TIMEOUT, a_timeout("web", "web"))
    loop = insight_loop.InsightLoop(
        api.store, api.catalog, interval=0.01, advise=api.advice.of_mesh, advice_interval=0.01
    )
    await loop.write_all()
    running = asyncio.create_task(loop.run())
    steps: Sequence[tuple[Callable[[], Any], int]] = (
        (lambda: api.put(TIMEOUT, a_timeout("api", "web")), 1),
        (lambda: api.put(TIMEOUT, a_timeout("api", "none")), 2),
        (lambda: put_proxy(api, "api"), 1),
        (lambda: api.call("DELETE", TIMEOUT), 0),
    )
    for act, count in steps:
        changes = api.store.watch()
        await act()
        async with asyncio.timeout(5):
            async for change in changes:
                if change.resource.kind.name == "MeshInsight" and len(change.resource.spec.warnings) == count:
                    break
    running.cancel()


async def test_what_an_insight_said_stands_until_policies_are_judged_again() -> None:
    api = await shop("web")
    await told(api, TIMEOUT, a_timeout("api"))
    await insight_loop.InsightLoop(api.store, api.catalog, advise=api.advice.of_mesh).write_all()
    shown = await insight_of(api)
    assert len(shown["warnings"]) == 1
    await put_proxy(api, "db")
    await insight_loop.InsightLoop(api.store, api.catalog).write_all()  # one that does not judge at all
    assert (await insight_of(api))["warnings"] == shown["warnings"]
