"""Whatever document is sent, the answer is never a 5xx; and what was accepted can be read back in every view."""

import asyncio
import copy
import json
from typing import Any
from urllib import parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuma.resources import kind as kinds
from tests.kit import api as kit
from tests.kit import examples

MESH = "default"
CORE: list[dict[str, Any]] = [
    {"type": "Mesh", "name": "m", "mtls": {"enabledBackend": "b", "backends": [{"name": "b", "type": "provided", "conf": {"cert": {"inlineString": "x"}, "key": {"secret": "y"}}}]}, "constraints": {"dataplaneProxy": {"requirements": [{"tags": {"a": "b"}}]}}, "routing": {"zoneEgress": True}, "meshServices": {"mode": "Exclusive"}},
    {"type": "Dataplane", "mesh": MESH, "name": "d", "labels": {"a": "b"}, "networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "servicePort": 81, "tags": {"kuma.io/service": "web"}, "serviceProbe": {"interval": "1s", "tcp": {}}}], "outbound": [{"port": 90, "tags": {"kuma.io/service": "db"}}], "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}}, "metrics": {"name": "p", "type": "prometheus", "conf": {"port": 1234, "tags": {"x": "y"}}}},
    {"type": "Secret", "mesh": MESH, "name": "s", "data": "dGVzdA=="},
    {"type": "GlobalSecret", "name": "g", "data": "dGVzdA=="},
    {"type": "Zone", "name": "z", "enabled": True},
    {"type": "ZoneIngress", "name": "i", "zone": "default", "networking": {"address": "10.0.0.1", "port": 10001, "advertisedAddress": "1.2.3.4", "advertisedPort": 10001}, "availableServices": [{"tags": {"kuma.io/service": "x"}, "mesh": "m", "instances": 1}]},
    {"type": "ZoneEgress", "name": "e", "zone": "default", "networking": {"address": "10.0.0.1", "port": 10002}},
    {"type": "ExternalService", "mesh": MESH, "name": "x", "tags": {"kuma.io/service": "x"}, "networking": {"address": "example.com:443", "tls": {"enabled": True, "caCert": {"inline": "dGVzdA=="}}}},
    {"type": "MeshService", "mesh": MESH, "name": "ms", "spec": {"selector": {"dataplaneTags": {"kuma.io/service": "web"}}, "ports": [{"port": 80, "targetPort": "http", "appProtocol": "http", "name": "main"}], "identities": [{"type": "ServiceTag", "value": "web"}]}},
    {"type": "MeshMultiZoneService", "mesh": MESH, "name": "mz", "spec": {"selector": {"meshService": {"matchLabels": {"a": "b"}}}, "ports": [{"port": 80, "appProtocol": "http"}]}},
    {"type": "MeshExternalService", "mesh": MESH, "name": "me", "spec": {"match": {"type": "HostnameGenerator", "port": 80, "protocol": "http"}, "endpoints": [{"address": "example.com", "port": 80}]}},
    {"type": "HostnameGenerator", "name": "hg", "spec": {"selector": {"meshService": {"matchLabels": {}}}, "template": "{{ .DisplayName }}.mesh"}},
    {"type": "MeshGateway", "mesh": MESH, "name": "gw", "selectors": [{"match": {"kuma.io/service": "edge"}}], "conf": {"listeners": [{"port": 80, "protocol": "HTTP", "tags": {"a": "b"}}]}},
]  # fmt: skip
DOCUMENTS = CORE + [each for found in examples.by_kind().values() for each in found]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "1s", "-5s", "99999999999h", "default", "*", "kuma.io/service", "{{ .Name }}", "10.0.0.1"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in items for place in places(each, (*path, key)))]


@st.composite
def near_misses(draw: st.DrawFn) -> dict[str, Any]:
    """A good document with one to three places changed, taken out or added to."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(
            st.sampled_from(
                [each for each in places(document) if each and each[0] not in ("type", "name", "mesh")] or [("labels",)]
            )
        )
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "drop", "add"]))
        if change == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(JSON)
        elif change == "drop" and isinstance(holder, dict):
            holder.pop(place[-1], None)
        else:
            holder[place[-1]] = draw(JSON)
    return document


def api() -> kit.Api:
    built = kit.build()
    asyncio.run(built.load({"type": "Mesh", "name": MESH}))
    return built


def path_of(built: kit.Api, document: dict[str, Any]) -> tuple[str, kinds.Kind[Any]]:
    kind = built.catalog.find(document["type"])
    assert kind is not None
    base = f"/meshes/{MESH}" if kind.scope is kinds.Scope.MESH else ""
    return f"{base}/{kind.plural}", kind


BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@BOUNDED
@given(document=near_misses())
def test_a_document_that_is_nearly_right(document: dict[str, Any]) -> None:
    built = api()
    collection, kind = path_of(built, document)
    path = f"{collection}/{document['name']}"
    answer = asyncio.run(built.call("PUT", path, document))
    assert answer.status < 500, answer.text
    if answer.status >= 400:
        return
    views = ["", "?format=k8s"] + (["/_overview"] if kind.overview else [])
    views += ["/_resources/dataplanes"] if kind.policy else []
    reads = [f"{path}{view}" for view in views] + [
        collection,
        "/global-insight",
        f"/meshes/{MESH}/dataplanes/_overview",
    ]
    for each in reads:
        found = asyncio.run(built.call("GET", each))
        assert found.status == 200, (each, found.text)
        json.loads(found.body)
    again = json.loads(asyncio.run(built.call("GET", path)).body)
    assert asyncio.run(built.call("PUT", path, again)).status in (200, 400)
    assert asyncio.run(built.call("DELETE", path)).status in (200, 400)


@BOUNDED
@given(document=JSON, at=st.sampled_from(DOCUMENTS))
def test_any_json_at_any_kind(document: Any, at: dict[str, Any]) -> None:
    built = api()
    collection, _ = path_of(built, at)
    answer = asyncio.run(built.call("PUT", f"{collection}/{at['name']}", json.dumps(document).encode()))
    assert 400 <= answer.status < 500, answer.text


@BOUNDED
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), at=st.sampled_from(DOCUMENTS))
def test_any_bytes_at_any_kind(body: bytes, at: dict[str, Any]) -> None:
    built = api()
    collection, _ = path_of(built, at)
    assert 400 <= asyncio.run(built.call("PUT", f"{collection}/{at['name']}", body)).status < 500


@BOUNDED
@given(body=JSON, token=st.sampled_from(["dataplane", "zone", "user"]))
def test_any_request_for_a_token(body: Any, token: str) -> None:
    assert asyncio.run(api().call("POST", f"/tokens/{token}", json.dumps(body).encode())).status < 500


PATHS = ["/meshes", "/meshes/default/dataplanes", "/meshes/default/dataplanes/_overview", "/meshes/default/service-insights", "/meshes/default", "/_kri/x", "/global-insight"]  # fmt: skip
NAMES = st.sampled_from(
    ["size", "offset", "name", "tag", "gateway", "type", "format", "namespace", "filter[labels.a]", "filter[x]"]
)


@BOUNDED
@given(
    path=st.sampled_from(PATHS),
    query=st.lists(st.tuples(NAMES | st.text(max_size=5), st.text(max_size=12)), max_size=4),
)
def test_any_query(path: str, query: list[tuple[str, str]]) -> None:
    raw = parse.urlencode(query, errors="surrogatepass")
    assert asyncio.run(api().call("GET", f"{path}?{raw}")).status < 500


@BOUNDED
@given(
    segments=st.lists(
        st.text(min_size=1, max_size=8) | st.sampled_from(["meshes", "default", "dataplanes", "_overview", "_kri"]),
        max_size=5,
    ),
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
)
def test_any_path(segments: list[str], method: str) -> None:
    path = "/" + "/".join(segments)
    if "?" not in path and path.encode(errors="replace") == path.encode("utf-8", "surrogatepass"):
        assert asyncio.run(api().call(method, path, {})).status < 500


@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
@pytest.mark.parametrize("at", ["/meshes/deep", "/meshes/default/dataplanes/deep", "/meshes/default/meshtimeouts/deep"])
async def test_a_deep_document(at: str, depth: int) -> None:
    built = kit.build()
    await built.load({"type": "Mesh", "name": MESH})
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        body = (opening * depth + "1" + closing * depth).encode()
        assert (await built.call("PUT", at, body)).status in (400, 413)
