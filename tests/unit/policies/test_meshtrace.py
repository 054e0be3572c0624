"""Rules of MeshTrace that are easily lost, and the defaults that its schema fills in."""

import json

import pytest

from kuma.policies.meshtrace import model
from kuma.resources import codec
from tests.kit import rules

URL = "spec.default.backends[0].datadog.url"


def datadog(url: str) -> str:
    return f"{{default: {{backends: [{{type: Datadog, datadog: {{url: '{url}'}}}}]}}}}"


def zipkin(url: str) -> str:
    return f"{{default: {{backends: [{{type: Zipkin, zipkin: {{url: '{url}'}}}}]}}}}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (datadog("http://a:8126"), []),
        (datadog("http://a:99999"), [f"{URL}: port must be a valid (1-65535)"]),
        (datadog("http://a:" + "1" * 5000), [f"{URL}: port must be a valid (1-65535)"]),
        (datadog("http://a:b"), [f"{URL}: must be a valid url"]),
        (
            datadog("https://u:p@a/b?c#d"),
            [
                f"{URL}: scheme must be http",
                f"{URL}: port must be defined",
                f"{URL}: user must not be defined",
                f"{URL}: path must not be defined",
                f"{URL}: query must not be defined",
                f"{URL}: fragment must not be defined",
            ],
        ),
        (zipkin("word"), ["spec.default.backends[0].zipkin.url: must be a valid url"]),
        (zipkin("http://zipkin:9411/api/v2/spans"), []),
        ("{default: {sampling: {random: 1}}}", ["spec.default.backends: must be defined"]),
        ("{default: {backends: []}}", []),
        (
            "{default: {backends: [], sampling: {overall: '100.1', client: -1, random: '0.01'}}}",
            [
                "spec.default.sampling.client: must be between 0 and 100",
                "spec.default.sampling.overall: must be between 0 and 100",
            ],
        ),
        (
            "{default: {backends: [], tags: [{name: '', literal: a}, {name: b, literal: c, header: {name: d}}]}}",
            [
                "spec.default.tags[0].name: must not be empty",
                "spec.default.tags[1]: tag must have only one type defined: header, literal",
            ],
        ),
        (
            "{targetRef: {kind: MeshGateway, name: g, tags: {a: b}}, default: {backends: []}}",
            ["spec.targetRef.tags: must not be set with kind MeshGateway"],
        ),
    ],
)
def test_rules(spec: str, expected: list[str]) -> None:
    assert rules.violations(model.KIND, spec) == expected


def test_defaults_are_stored() -> None:
    document = json.loads(codec.encode_json(rules.stored(model.KIND, zipkin("http://a:9411/spans"))))
    assert document["spec"]["default"]["backends"][0]["zipkin"] == {
        "url": "http://a:9411/spans",
        "traceId128bit": False,
        "apiVersion": "httpJson",
        "sharedSpanContext": True,
    }
