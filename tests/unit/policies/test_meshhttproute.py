"""Rules of MeshHTTPRoute that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshhttproute import model
from kuma.resources import codec
from tests.kit import rules

RULE = "spec.to[0].rules[0]"
FILTER = f"{RULE}.default.filters[0]"


def to(conf: str, match: str = "path: {type: PathPrefix, value: /a}", top: str = "{kind: Mesh}") -> str:
    ref = "{kind: Mesh}" if "Gateway" in top else "{kind: MeshService, name: b}"
    entry = f"{{targetRef: {ref}, rules: [{{matches: [{{{match}}}], default: {{{conf}}}}}]}}"
    return f"{{targetRef: {top}, to: [{entry}]}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (to("filters: [{type: RequestMirror}]"), [f"{FILTER}.requestMirror: must be defined"]),
        (
            to("filters: [{type: RequestMirror, requestMirror: {backendRef: {kind: MeshExternalService, name: x}}}]"),
            [f"{FILTER}.requestMirror.backendRef.kind: value 'MeshExternalService' is not supported"],
        ),
        (
            to(
                "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]",
                "path: {type: Exact, value: /a}",
            ),
            [f"{FILTER}.urlRewrite.path.replacePrefixMatch: can only appear if all matches match a path prefix"],
        ),
        (
            to("", "queryParams: [{type: Exact, name: q, value: ''}, {type: Exact, name: q, value: b}]"),
            [f"{RULE}.matches[0].queryParams[1].name: multiple entries for name q"],
        ),
        (
            to(
                "filters: [{type: URLRewrite, urlRewrite: {hostToBackendHostname: true, hostname: a.b}}], "
                "backendRefs: [{kind: MeshService, name: b}]",
                top="{kind: MeshGateway, name: edge}",
            ),
            [f"{FILTER}.urlRewrite.hostToBackendHostname: cannot be set together with hostname"],
        ),
        (
            to("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]"),
            [f"{FILTER}.requestRedirect.statusCode: in body should be one of [301 302 303 307 308]"],
        ),
        (to("backendRefs: [{kind: MeshService, name: kuma.io/unresolved-backend}]"), []),
        (
            "{to: [{targetRef: {kind: MeshService, name: b}, rules: [{matches: [], default: {}}]}]}",
            ["spec.to[0].rules[0].matches: in body should have at least 1 items"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_defaults_are_stored_and_what_is_stored_can_be_written_again() -> None:
    spec = to(
        "filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}, "
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: ''}], add: []}}], "
        "backendRefs: [{kind: MeshService, name: b}, {kind: MeshService, name: c, weight: 0}]",
        "headers: [{name: a}], queryParams: [{type: Exact, name: q, value: ''}]",
    )
    document = json.loads(codec.encode_json(rules.stored(model.KIND, spec)))
    (rule,) = document["spec"]["to"][0]["rules"]
    assert rule["matches"][0]["headers"] == [{"name": "a", "type": "Exact"}]
    redirect, modifier = rule["default"]["filters"]
    assert redirect["requestRedirect"] == {"scheme": "https", "statusCode": 302}
    assert modifier["requestHeaderModifier"] == {"set": [{"name": "a", "value": ""}], "add": []}
    assert [each["weight"] for each in rule["default"]["backendRefs"]] == [1, 0]
    assert json.loads(codec.encode_json(codec.decode(model.KIND, document))) == document
