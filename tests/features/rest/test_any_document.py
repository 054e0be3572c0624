"""Whatever document is sent, the answer is never a 5xx; and what was accepted can be read back in every view."""

import asyncio
import json
from typing import Any
from urllib import parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuma.resources import kind as kinds
from tests.kit import api as kit
from tests.kit import odd_documents


def api() -> kit.Api:
    built = kit.build()
    asyncio.run(built.load({"type": "Mesh", "name": odd_documents.MESH}))
    return built


def path_of(built: kit.Api, document: dict[str, Any]) -> tuple[str, kinds.Kind[Any]]:
    kind = built.catalog.find(document["type"])
    assert kind is not None
    base = f"/meshes/{odd_documents.MESH}" if kind.scope is kinds.Scope.MESH else ""
    return f"{base}/{kind.plural}", kind


BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@BOUNDED
@given(document=odd_documents.near_misses())
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
        f"/meshes/{odd_documents.MESH}/dataplanes/_overview",
    ]
    for each in reads:
        found = asyncio.run(built.call("GET", each))
        assert found.status == 200, (each, found.text)
        json.loads(found.body)
    again = json.loads(asyncio.run(built.call("GET", path)).body)
    assert asyncio.run(built.call("PUT", path, again)).status in (200, 400)
    assert asyncio.run(built.call("DELETE", path)).status in (200, 400)


@BOUNDED
@given(document=odd_documents.JSON, at=st.sampled_from(odd_documents.DOCUMENTS))
def test_any_json_at_any_kind(document: Any, at: dict[str, Any]) -> None:
    built = api()
    collection, _ = path_of(built, at)
    answer = asyncio.run(built.call("PUT", f"{collection}/{at['name']}", json.dumps(document).encode()))
    assert 400 <= answer.status < 500, answer.text


@BOUNDED
@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), at=st.sampled_from(odd_documents.DOCUMENTS)
)
def test_any_bytes_at_any_kind(body: bytes, at: dict[str, Any]) -> None:
    built = api()
    collection, _ = path_of(built, at)
    assert 400 <= asyncio.run(built.call("PUT", f"{collection}/{at['name']}", body)).status < 500


@BOUNDED
@given(body=odd_documents.JSON, token=st.sampled_from(["dataplane", "zone", "user"]))
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


@pytest.mark.parametrize("text", ["!!bool x", "a: !!int ''", "[" * 200_000, "- " * 200_000, "a: &a [*a]"])
async def test_yaml_in_a_document_that_is_no_yaml(text: str) -> None:
    """The parser of YAML lets errors of its own through, and recurses without a bound."""
    built = kit.build()
    await built.load({"type": "Mesh", "name": odd_documents.MESH})
    change = {"cluster": {"operation": "Add", "value": text}}
    document = {"type": "MeshProxyPatch", "mesh": odd_documents.MESH, "name": "p"}
    answer = await built.call(
        "PUT",
        f"/meshes/{odd_documents.MESH}/meshproxypatches/p",
        {**document, "spec": {"default": {"appendModifications": [change]}}},
    )
    (bad,) = json.loads(answer.body)["invalid_parameters"]
    assert (answer.status, bad["field"]) == (400, "spec.default.appendModifications[0].cluster.value")


@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
@pytest.mark.parametrize("at", ["/meshes/deep", "/meshes/default/dataplanes/deep", "/meshes/default/meshtimeouts/deep"])
async def test_a_deep_document(at: str, depth: int) -> None:
    built = kit.build()
    await built.load({"type": "Mesh", "name": odd_documents.MESH})
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        body = (opening * depth + "1" + closing * depth).encode()
        assert (await built.call("PUT", at, body)).status in (400, 413)
