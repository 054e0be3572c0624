"""Resources over REST: the exact form of answers, and every way a write can be refused."""

import asyncio
import json
from typing import Any

import pytest

from kuma.services.rules import role as roles
from tests.kit import api as kit

NAME_RULE = (
    "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)


def dataplane(name: str, service: str = "web", **more: Any) -> dict[str, Any]:
    inbound = {"port": 8080, "tags": {"kuma.io/service": service}}
    networking = {"address": "192.168.0.1", "inbound": [inbound]}
    return {"type": "Dataplane", "mesh": "shop", "name": name, "networking": networking, **more}


async def shop(role: roles.Role | None = None) -> kit.Api:
    """An API whose mesh `shop` exists and is empty."""
    api = kit.build(role)
    await api.load({"type": "Mesh", "name": "shop"})
    return api


async def test_created_then_updated_then_gone() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/web-1"
    created = await api.call("PUT", path, dataplane("web-1"))
    updated = await api.call("PUT", path, dataplane("web-1", "other"))
    assert [created.status, updated.status] == [201, 200]
    assert created.body == b"{}\n"
    assert created.headers["content-type"] == "application/json"
    assert (await api.get(path))["networking"]["inbound"][0]["tags"]["kuma.io/service"] == "other"
    deleted = await api.call("DELETE", path)
    assert (deleted.status, deleted.body) == (200, b"{}\n")
    assert (await api.call("GET", path)).status == 404
    assert (await api.call("DELETE", path)).status == 404


async def test_key_order_and_indentation_of_an_answer() -> None:
    api = await shop()
    await api.put("/meshes/shop/dataplanes/web-1", dataplane("web-1", labels={"team": "a"}))
    text = (await api.call("GET", "/meshes/shop/dataplanes/web-1")).text
    document = json.loads(text)
    assert list(document) == [
        "type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri", "networking",
    ]  # fmt: skip
    assert text == json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    assert document["kri"] == "kri_dp_shop_default__web-1_"
    assert document["labels"] == {
        "kuma.io/env": "universal",
        "kuma.io/mesh": "shop",
        "kuma.io/origin": "zone",
        "kuma.io/proxy-type": "sidecar",
        "kuma.io/zone": "default",
        "team": "a",
    }


async def test_html_is_not_escaped() -> None:
    api = await shop()
    await api.load(dataplane("web-1", labels={"text": "<&>"}))
    assert '"text": "<&>"' in (await api.call("GET", "/meshes/shop/dataplanes/web-1")).text


async def test_a_list_is_its_items_indented() -> None:
    api = await shop()
    assert (
        await api.call("GET", "/meshes/shop/dataplanes")
    ).text == '{\n "total": 0,\n "items": [],\n "next": null\n}\n'
    for name in ("b", "a"):
        await api.put(f"/meshes/shop/dataplanes/{name}", dataplane(name))
    text = (await api.call("GET", "/meshes/shop/dataplanes")).text
    document = json.loads(text)
    assert text == json.dumps(document, indent=1) + "\n"
    assert [each["name"] for each in document["items"]] == ["a", "b"]
    assert document["total"] == 2


async def test_pages() -> None:
    api = await shop()
    for index in range(5):
        await api.put(f"/meshes/shop/dataplanes/web-{index}", dataplane(f"web-{index}"))
    first = await api.get("/meshes/shop/dataplanes?size=2&name=web")
    assert first["next"] == "http://127.0.0.1:5681/meshes/shop/dataplanes?name=web&offset=2&size=2"
    assert first["total"] == 5
    last = await api.get("/meshes/shop/dataplanes?size=2&offset=4")
    assert [each["name"] for each in last["items"]] == ["web-4"]
    assert last["next"] is None
    beyond = await api.get("/dataplanes?offset=9")
    assert (beyond["items"], beyond["next"], beyond["total"]) == ([], None, 5)


@pytest.mark.parametrize(
    ("query", "detail", "field", "reason"),
    [
        ("size=0", "Invalid page size", "size", "must be greater than 0"),
        ("size=-1", "Invalid page size", "size", "must be greater than 0"),
        ("size=abc", "Invalid page size", "size", "invalid format"),
        ("size=2000", "Invalid page size", "size", "invalid page size of 2000. Maximum page size is 1000"),
        ("offset=x", 'invalid: invalid offset: strconv.Atoi: parsing "x": invalid syntax', None, None),
        ("offset=-1", "invalid: invalid offset: must be non-negative", None, None),
        (
            "gateway=Maybe",
            "Resource is not valid",
            "/meshes/{mesh}/dataplanes.gateway",
            "shoud use `true`, `false`, 'builtin' or 'delegated' instead of maybe",
        ),
        (
            "filter[key]=a",
            "Resource is not valid",
            "/meshes/{mesh}/dataplanes.filter[key]",
            "filters are only supported on labels",
        ),
        (
            "filter[labels.a][eq]=b",
            "Resource is not valid",
            "/meshes/{mesh}/dataplanes.filter[labels.a][eq]",
            "advanced filters are not supported",
        ),
    ],
)
async def test_a_bad_query_is_named(query: str, detail: str, field: str | None, reason: str | None) -> None:
    api = await shop()
    answer = await api.call("GET", f"/meshes/shop/dataplanes?{query}")
    document = json.loads(answer.body)
    assert (answer.status, document["title"], document["detail"]) == (400, "Could not retrieve resources", detail)
    expected = [] if field is None else [{"field": field, "reason": reason}]
    assert document.get("invalid_parameters", []) == expected


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=eb-2", ["web-2"]),
        ("filter[labels.team]=a", ["web-1"]),
        ("filter[labels.team]=a&filter[labels.none]=a", []),
        ("tag=kuma.io/service:we", ["web-1", "web-2"]),
        ("tag=bad", ["gate", "web-1", "web-2"]),
        ("tag=kuma.io/service:web&tag=version:2", ["web-2"]),
        ("gateway=true", ["gate"]),
        ("gateway=FALSE", ["web-1", "web-2"]),
        ("gateway=builtin", []),
        ("gateway=delegated", ["gate"]),
        ("filter=", ["gate", "web-1", "web-2"]),
        ("unknown=1", ["gate", "web-1", "web-2"]),
    ],
)
async def test_filters(query: str, names: list[str]) -> None:
    api = await shop()
    second = dataplane("web-2")
    second["networking"]["inbound"][0]["tags"]["version"] = "v2"
    gate = {"address": "192.168.0.9", "gateway": {"tags": {"kuma.io/service": "edge"}}}
    for each in (dataplane("web-1", labels={"team": "a"}), second, dataplane("gate") | {"networking": gate}):
        await api.put(f"/meshes/shop/dataplanes/{each['name']}", each)
    found = await api.get(f"/meshes/shop/dataplanes?{query}")
    assert [each["name"] for each in found["items"]] == names
    assert found["total"] == len(names)


WRONG_WRITES = [
    ("/meshes/shop", b"", 400, "Bad Request", 'invalid Mesh object: "unexpected end of JSON input"', []),
    (
        "/meshes/shop",
        b"{broken",
        400,
        "Bad Request",
        "invalid Mesh object: \"invalid character 'b' looking for beginning of object key string\"",
        [],
    ),
    (
        "/meshes/shop",
        {"type": "Mesh", "name": "shop", "mtls": "text"},
        400,
        "Bad Request",
        'invalid Mesh object: "json: cannot unmarshal string into Go value of type map[string]json.RawMessage"',
        [],
    ),
    (
        "/meshes/shop",
        {"type": "Mesh", "name": 4},
        400,
        "Bad Request",
        'invalid Mesh object: "json: cannot unmarshal number into Go struct field ResourceMeta.name of type string"',
        [],
    ),
    (
        "/meshes/shop",
        {"type": "Dataplane", "name": "shop"},
        400,
        "Could not process a resource",
        "Resource is not valid",
        [("type", "type from the URL has to be the same as in body")],
    ),
    (
        "/meshes/Shop_1",
        {"type": "Mesh", "name": "Shop_1"},
        400,
        "Could not process a resource",
        "Resource is not valid",
        [("name", NAME_RULE)],
    ),
    ("/meshes/none/dataplanes/a", dataplane("a", mesh="none"), 404, "Failed to retrieve Mesh", "Not found", []),
    (
        "/meshes/shop/dataplanes/x",
        {"type": "Alien", "networking": {"address": "192.168.0.1"}},
        400,
        "Could not process a resource",
        "Resource is not valid",
        [
            ("name", "name from the URL has to be the same as in body"),
            ("type", "type from the URL has to be the same as in body"),
            ("mesh", "mesh from the URL has to be the same as in body"),
            ("name", "cannot be empty"),
            ("mesh", "cannot be empty"),
        ],
    ),
    (
        "/meshes/shop/dataplanes/x",
        dataplane("x", labels={"kuma.io/origin": "mars"}),
        400,
        "Could not process a resource",
        "Resource is not valid",
        [('labels["kuma.io/origin"]', 'unknown resource origin "mars"')],
    ),
    (
        "/meshes/shop/dataplanes/x",
        dataplane("x", labels={"kuma.io/mesh": "other", "kuma.io/zone": "other"}),
        400,
        "Could not process a resource",
        "Resource is not valid",
        [
            ('labels["kuma.io/zone"]', "kuma.io/zone label should have default value"),
            ('labels["kuma.io/mesh"]', "kuma.io/mesh label must not differ from mesh set on resource"),
        ],
    ),
    (
        "/meshes/" + "a" * 64,
        {"type": "Mesh", "name": "a" * 64},
        400,
        "Failed to create a resource",
        "Resource is not valid",
        [("name", "cannot be longer than 63 characters")],
    ),
    (
        "/meshes/shop",
        {
            "type": "Mesh",
            "name": "shop",
            "mtls": {"enabledBackend": "x", "backends": [{"name": "x", "type": "alien"}]},
        },
        400,
        "Failed to update a resource",
        "Resource is not valid",
        [("mtls.backends[0].type", "could not find installed plugin for this type")],
    ),
]


@pytest.mark.parametrize(("path", "body", "status", "title", "detail", "fields"), WRONG_WRITES)
async def test_a_refused_write(
    path: str, body: Any, status: int, title: str, detail: str, fields: list[tuple[str, str]]
) -> None:
    api = await shop()
    answer = await api.call("PUT", path, body)
    document: dict[str, Any] = {"type": "/std-errors", "status": status, "title": title, "detail": detail}
    if fields:
        document["invalid_parameters"] = [{"field": field, "reason": reason} for field, reason in fields]
    document["details"] = detail
    if fields:
        document["causes"] = [{"field": field, "message": reason} for field, reason in fields]
    assert json.loads(answer.body) == document
    assert answer.text == json.dumps(document, indent=1) + "\n"
    assert answer.status == status


async def test_read_only_kinds_are_refused_before_anything_is_read() -> None:
    api = await shop()
    answer = await api.call("PUT", "/mesh-insights/none", b"{")
    assert answer.status == 405
    assert json.loads(answer.body)["title"] == "Method not allowed"
    assert json.loads(answer.body)["detail"].startswith("On zone control plane you can only modify zone resources")


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (roles.Role(read_only=True), "/meshes/shop", 405),
        (roles.Role(federated=True), "/meshes/shop", 405),
        (roles.Role(mode=roles.Mode.GLOBAL), "/meshes/shop/dataplanes/web-1", 405),
        (roles.Role(mode=roles.Mode.GLOBAL), "/meshes/shop", 200),
        (roles.Role(federated=True), "/meshes/shop/dataplanes/web-1", 201),
    ],
)
async def test_who_may_write_what_where(role: roles.Role, path: str, status: int) -> None:
    api = await shop(role)
    body = {"type": "Mesh", "name": "shop"} if path == "/meshes/shop" else dataplane("web-1")
    assert (await api.call("PUT", path, body)).status == status


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "text"),
    [
        ("GET", "/nothing", {}, 404, "404: Page Not Found"),
        ("GET", "/meshes/shop/nothing", {}, 404, "404: Page Not Found"),
        ("POST", "/meshes", {}, 405, "405: Method Not Allowed"),
        ("PATCH", "/meshes/shop", {}, 405, "405: Method Not Allowed"),
        ("HEAD", "/meshes", {}, 405, "405: Method Not Allowed"),
        ("PUT", "/meshes/shop", {"content-type": "text/plain"}, 415, "415: Unsupported Media Type"),
        ("PUT", "/meshes/shop", {"content-type": ""}, 415, "415: Unsupported Media Type"),
        (
            "GET",
            "/meshes",
            {"accept": "text/html"},
            406,
            "406: Not Acceptable\n\nAvailable representations: application/json",
        ),
    ],
)
async def test_plain_text_answers(method: str, path: str, headers: dict[str, str], status: int, text: str) -> None:
    api = await shop()
    answer = await api.call(method, path, headers={**kit.LOCAL, **headers})
    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_media_types_with_parameters_and_trailing_slashes_are_fine() -> None:
    api = await shop()
    headers = {**kit.LOCAL, "content-type": "application/json; charset=utf-8", "accept": "text/html, */*;q=0.1"}
    body = {"type": "Mesh", "name": "shop"}
    assert (await api.call("PUT", "/meshes/shop/", body, headers)).status == 200


async def test_immutable_labels() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/web-1"
    await api.put(path, dataplane("web-1"))
    answer = await api.call("PUT", path, dataplane("web-1", labels={"kuma.io/origin": "global"}))
    document = json.loads(answer.body)
    assert (answer.status, document["title"]) == (400, "Could not update a resource")
    assert document["invalid_parameters"] == [
        {"field": 'labels["kuma.io/origin"]', "reason": 'is immutable, cannot be changed from "zone" to "global"'},
        {"field": 'labels["kuma.io/zone"]', "reason": 'is immutable, cannot be removed (was "default")'},
    ]


async def test_user_labels_that_are_not_repeated_are_gone() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/web-1"
    await api.put(path, dataplane("web-1", labels={"team": "a"}))
    await api.put(path, dataplane("web-1"))
    assert "team" not in (await api.get(path))["labels"]


async def test_workload_label_must_be_a_dns_label() -> None:
    api = await shop()
    answer = await api.call("PUT", "/meshes/shop/dataplanes/x", dataplane("x", labels={"kuma.io/workload": "1x"}))
    document = json.loads(answer.body)
    assert (answer.status, document["title"]) == (400, "Bad Request")
    assert document["detail"].startswith('bad request: labels["kuma.io/workload"]: must be a valid DNS-1035 label')


async def test_names_that_dns_would_refuse_are_warned_about() -> None:
    api = await shop()
    answer = await api.call("PUT", "/meshes/aa.a", {"type": "Mesh", "name": "aa.a"})
    assert answer.status == 201
    assert json.loads(answer.body)["warnings"][0].startswith("Invalid Mesh resource name: 'aa.a'.")


async def test_a_mesh_with_proxies_stays() -> None:
    api = await shop()
    await api.put("/meshes/shop/dataplanes/web-1", dataplane("web-1"))
    answer = await api.call("DELETE", "/meshes/shop")
    document = json.loads(answer.body)
    assert (answer.status, document["title"]) == (400, "Could not delete a resource")
    assert document["causes"] == [
        {"field": "mesh", "message": "unable to delete mesh, there are still some dataplanes attached"}
    ]
    await api.call("DELETE", "/meshes/shop/dataplanes/web-1")
    assert (await api.call("DELETE", "/meshes/shop")).status == 200


async def test_the_mesh_decides_who_joins() -> None:
    api = await shop()
    rules = {"requirements": [{"tags": {"team": "*"}}], "restrictions": [{"tags": {"team": "evil"}}]}
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop", "constraints": {"dataplaneProxy": rules}})
    refused = await api.call("PUT", "/meshes/shop/dataplanes/x", dataplane("x"))
    assert refused.status == 400
    assert "does not fulfill any requirements defined on the Mesh" in refused.text
    evil = dataplane("x")
    evil["networking"]["inbound"][0]["tags"]["team"] = "evil"
    assert "matches restricted tags" in (await api.call("PUT", "/meshes/shop/dataplanes/x", evil)).text
    evil["networking"]["inbound"][0]["tags"]["team"] = "good"
    assert (await api.call("PUT", "/meshes/shop/dataplanes/x", evil)).status == 201


async def test_a_new_mesh_has_its_keys_and_its_authority_at_once() -> None:
    api = kit.build()
    mtls = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop", "mtls": mtls})
    secrets = await api.get("/meshes/shop/secrets")
    assert [each["name"] for each in secrets["items"]] == [
        "dataplane-token-signing-key-shop-1",
        "shop.ca-builtin-cert-ca-1",
        "shop.ca-builtin-key-ca-1",
    ]
    in_use = await api.call("DELETE", "/meshes/shop/secrets/shop.ca-builtin-key-ca-1")
    assert in_use.status == 400
    assert "is currently in use in Mesh" in in_use.text
    other = {"enabledBackend": "ca-2", "backends": [{"name": "ca-2", "type": "builtin"}]}
    changed = await api.call("PUT", "/meshes/shop", {"type": "Mesh", "name": "shop", "mtls": other})
    assert json.loads(changed.body)["title"] == "Failed to update a resource"
    assert "Changing CA when mTLS is enabled is forbidden" in changed.text
    assert (await api.call("DELETE", "/meshes/shop")).status == 200
    assert (await api.get("/secrets"))["total"] == 0


async def test_probed_inbounds_wait_and_zone_tags_are_added() -> None:
    api = await shop()
    document = dataplane("web-1")
    document["networking"]["inbound"][0]["serviceProbe"] = {"tcp": {}}
    await api.put("/meshes/shop/dataplanes/web-1", document)
    inbound = (await api.get("/meshes/shop/dataplanes/web-1"))["networking"]["inbound"][0]
    assert inbound["state"] == "NotReady"
    assert inbound["tags"] == {"kuma.io/service": "web", "kuma.io/zone": "default"}


async def test_kubernetes_form() -> None:
    api = await shop()
    await api.put("/meshes/shop/dataplanes/web-1", dataplane("web-1"))
    found = await api.get("/meshes/shop/dataplanes/web-1?format=k8s&namespace=apps")
    assert list(found) == ["kind", "apiVersion", "metadata", "mesh", "spec"]
    assert found["metadata"]["namespace"] == "apps"
    mesh = await api.get("/meshes/shop?format=kubernetes")
    assert (mesh["spec"], "namespace" in mesh["metadata"]) == ({}, False)
    answer = await api.call("GET", "/meshes/shop?format=weird")
    assert json.loads(answer.body)["causes"] == [
        {"field": "", "message": '"format" must be one of ["k8s", "kubernetes", "universal"]'}
    ]


async def test_resources_by_kri() -> None:
    api = await shop()
    await api.put("/meshes/shop/dataplanes/web-1", dataplane("web-1"))
    assert (await api.get("/_kri/kri_dp_shop_default__web-1_"))["name"] == "web-1"
    assert (await api.call("GET", "/_kri/kri_dp_shop___web-1_")).status == 404
    bad = json.loads((await api.call("GET", "/_kri/nonsense")).body)
    assert (bad["title"], bad["detail"]) == ("Bad Request", 'bad request: invalid identifier string: "nonsense"')


async def test_writers_that_race_all_succeed() -> None:
    api = await shop()
    path = "/meshes/shop/dataplanes/web-1"
    answers = await asyncio.gather(*(api.call("PUT", path, dataplane("web-1", f"s{index}")) for index in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]


async def test_unknown_fields_are_ignored_and_named() -> None:
    api = await shop()
    answer = await api.call("PUT", "/meshes/shop", {"type": "Mesh", "name": "shop", "mtl": {"backends": []}})
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"warnings": ['unknown field "mtl" was ignored, did you mean "mtls"?']},
    )
    spec = {"targetReff": {"kind": "Mesh"}, "from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]}
    body = {"type": "MeshTrafficPermission", "mesh": "shop", "name": "p", "spec": spec}
    answer = await api.call("PUT", "/meshes/shop/meshtrafficpermissions/p", body)
    assert answer.status == 201
    assert json.loads(answer.body)["warnings"][0] == (
        'unknown field "spec.targetReff" was ignored, did you mean "targetRef"?'
    )
