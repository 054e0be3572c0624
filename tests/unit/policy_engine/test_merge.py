"""How the confs of several policies become one."""

import base64
import hashlib
from typing import Any

import pytest

from kuma.policy_engine.merging import matches_hash, merge
from kuma.resources import printer
from kuma.resources import resource as res
from tests.kit import policies


def merged(kind: str, *confs: dict[str, Any]) -> list[Any]:
    """Confs of `to` (or of whole proxies), merged, as they print."""
    traits = policies.KINDS[kind].policy
    assert traits is not None
    decoded = []
    for conf in confs:
        if traits.has_to:
            entry = {"targetRef": {"kind": "Mesh"}}
            entry |= conf if kind == "MeshHTTPRoute" else {"default": conf}
            decoded.append(policies.a_policy(kind, "p", to=[entry]).spec.to[0].default)
        else:
            decoded.append(policies.a_policy(kind, "p", default=conf).spec.default)
    return [printer.to_builtins(each) for each in merge.merge_confs(decoded)]


def rule(path: str, *backends: str, **more: Any) -> dict[str, Any]:
    default: dict[str, Any] = {"backendRefs": [{"kind": "MeshService", "name": each, "weight": 1} for each in backends]}
    match = {"path": {"type": "Exact", "value": path}}
    return {"matches": [match], "default": {**(default if backends else {}), **more}}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("kind", "confs", "expected"),
    [
        ("MeshTimeout", [{"idleTimeout": "1s"}], {"idleTimeout": "1s"}),
        ("MeshTimeout", [{"idleTimeout": "1s"}, {"idleTimeout": "2s"}], {"idleTimeout": "2s"}),
        ("MeshTimeout", [{"idleTimeout": "1s"}, {"idleTimeout": "0s"}], {"idleTimeout": "0s"}),
        (
            "MeshTimeout",
            [{"idleTimeout": "1s", "http": {"requestTimeout": "2s"}}, {"http": {"streamIdleTimeout": "3s"}}, {}],
            {"idleTimeout": "1s", "http": {"requestTimeout": "2s", "streamIdleTimeout": "3s"}},
        ),
        (
            "MeshRetry",
            [{"http": {"retryOn": ["5xx"], "numRetries": 1}}, {"http": {"retryOn": ["Reset"]}}],
            {"http": {"retryOn": ["Reset"], "numRetries": 1}},
        ),
        (
            "MeshAccessLog",
            [{"backends": [{"type": "File", "file": {"path": "/a"}}]}, {"backends": []}],
            {"backends": []},
        ),
        (
            "MeshPassthrough",
            [
                {"passthroughMode": "Matched", "appendMatch": [{"type": "Domain", "value": "a.io"}]},
                {"appendMatch": [{"type": "Domain", "value": "b.io"}]},
            ],
            {
                "passthroughMode": "Matched",
                "appendMatch": [
                    {"type": "Domain", "value": "a.io", "protocol": "tcp"},
                    {"type": "Domain", "value": "b.io", "protocol": "tcp"},
                ],
            },
        ),
    ],
    ids=["one", "the later wins", "zero is a value", "objects", "lists are replaced", "an empty list", "append"],
)
def test_later_confs_win_field_by_field(kind: str, confs: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    assert plain(merged(kind, *confs)) == [expected]


def test_rules_of_more_important_routes_come_first_and_equal_matches_are_one() -> None:
    rewrite = {"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "h"}}]}
    [found] = plain(
        merged(
            "MeshHTTPRoute",
            {"rules": [rule("/a", "low"), rule("/b", "low", **rewrite), rule("/c", "low")]},
            {"rules": [rule("/d", "high"), rule("/b", "high"), rule("/d", "shadowed")]},
        )
    )
    assert [each["matches"][0]["path"]["value"] for each in found["rules"]] == ["/d", "/b", "/a", "/c"]
    by_path = {each["matches"][0]["path"]["value"]: each["default"] for each in found["rules"]}
    assert [each["name"] for each in by_path["/d"]["backendRefs"]] == ["high"]
    assert [each["name"] for each in by_path["/b"]["backendRefs"]] == ["high"]
    assert by_path["/b"]["filters"] == rewrite["filters"]


def test_each_hostname_of_a_gateway_gets_a_conf_of_its_own() -> None:
    found = merged(
        "MeshHTTPRoute",
        {"hostnames": ["a.io", "b.io"], "rules": [rule("/1")]},
        {"hostnames": ["b.io"], "rules": [rule("/2")]},
        {"rules": [rule("/3")]},
    )
    shown = [
        (each.get("hostnames"), [one["matches"][0]["path"]["value"] for one in each["rules"]]) for each in plain(found)
    ]
    assert shown == [(["a.io"], ["/1"]), (["b.io"], ["/2", "/1"]), (None, ["/3"])]


def test_merges_of_the_same_entries_are_one_object_and_say_where_they_come_from() -> None:
    several = [policies.a_timeout(name, seconds) for name, seconds in (("a", 1), ("b", 2))]
    low, high = (merge.Entry(None, each.spec.to[0].default, res.ref_to(each, 0)) for each in several)
    merges = merge.Merges()
    both = merges.of((low, high))
    assert merges.of((low, high)) is both
    assert merges.of((high, low)).conf.idle_timeout == low.conf.idle_timeout
    assert both.conf.idle_timeout == high.conf.idle_timeout
    assert [(each.name, each.rule) for each in both.origins] == [("a", 0), ("b", 0)]
    assert merges.of((low, high, low)).origins == both.origins


def test_a_route_remembers_who_wrote_each_of_its_rules() -> None:
    low = policies.a_policy(
        "MeshHTTPRoute", "low", to=[{"targetRef": {"kind": "Mesh"}, "rules": [rule("/a"), rule("/b")]}]
    )
    high = policies.a_policy("MeshHTTPRoute", "high", to=[{"targetRef": {"kind": "Mesh"}, "rules": [rule("/b")]}])
    entries = [merge.Entry(None, each.spec.to[0].default, res.ref_to(each, 0)) for each in (low, high)]
    found = merge.merge_entries(entries)
    hashes = {each.matches[0].path.value: matches_hash.matches_hash(each.matches) for each in found.conf.rules}
    assert {path: found.by_matches[at].name for path, at in hashes.items()} == {"/a": "low", "/b": "high"}


@pytest.mark.parametrize(
    ("match", "written"),
    [
        ({"path": {"type": "PathPrefix", "value": "/"}}, '[{"path":{"value":"/","type":"PathPrefix"}}]'),
        ({"path": {"type": "Exact", "value": "/<&>"}}, r'[{"path":{"value":"/\u003c\u0026\u003e","type":"Exact"}}]'),
        (
            {"headers": [{"name": "a", "value": "b"}], "queryParams": [{"type": "Exact", "name": "q", "value": ""}], "method": "GET"},
            '[{"method":"GET","queryParams":[{"type":"Exact","name":"q","value":""}],'
            '"headers":[{"type":"Exact","name":"a","value":"b"}]}]',
        ),
    ],
    ids=["path", "escaped as in Go", "order of fields"],
)  # fmt: skip
def test_the_hash_of_matches_is_that_of_their_json(match: dict[str, Any], written: str) -> None:
    to = {"targetRef": {"kind": "Mesh"}, "rules": [{"matches": [match], "default": {}}]}
    made = policies.a_policy("MeshHTTPRoute", "p", to=[to])
    digest = base64.b64encode(hashlib.sha256(written.encode()).digest()).decode()
    assert matches_hash.matches_hash(made.spec.to[0].rules[0].matches) == digest
