"""Rules of inbounds about some clients: which request takes which route, and what that route says."""

import re
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.plan import nodes
from kuma.policies.meshtimeout import translate
from kuma.policy_engine import inbound_routes
from kuma.resources import resource as res
from kuma.resources import targetref
from tests.kit import policies, translated

KEY = "kuma.mesh_timeout.match."
IDS = ("spiffe://m/a", "spiffe://m/a/b", "spiffe://m/ab", "spiffe://m/c")
MATCH = st.tuples(st.sampled_from(["Exact", "Prefix"]), st.sampled_from(IDS), st.sampled_from([None, "x", "y"]))


def rule(match: tuple[str, str, str | None] | None, **timeouts: int) -> dict[str, Any]:
    """A rule of a MeshTimeout: the client's SPIFFE ID and server name, and timeouts of HTTP in seconds."""
    default = {"http": {name: f"{value}s" for name, value in timeouts.items()}}
    if match is None:
        return {"default": default}
    kind, value, sni = match
    written: dict[str, Any] = {"spiffeID": {"type": kind, "value": value}}
    if sni is not None:
        written["sni"] = {"type": "Exact", "value": sni}
    return {"matches": [written], "default": default}


def node_of(*rules: dict[str, Any], protocol: str = "http") -> nodes.InboundNode:
    return translated.inbound(translate.POLICY, policies.a_policy("MeshTimeout", "t", rules=rules), protocol=protocol)


def routes_of(node: nodes.InboundNode) -> list[dict[str, Any]]:
    found = node.listener.chains[0].http.route_config.virtual_hosts[0].routes
    return [json_format.MessageToDict(each) for each in found]


def noted_by(node: nodes.InboundNode) -> list[dict[str, Any]]:
    (found,) = node.listener.chains[0].filters
    assert found.name == "envoy.filters.network.set_filter_state"
    return list(json_format.MessageToDict(found.message)["onDownstreamTlsHandshake"])


def taken(routes: list[dict[str, Any]], client: str, sni: str) -> dict[str, Any]:
    """The route that Envoy takes for a client's request."""
    noted = {f"{KEY}spiffe_id": f"{client},kuma://version/v1", f"{KEY}sni": sni}
    return next(
        route
        for route in routes
        if all(fits(each["stringMatch"], noted[each["key"]]) for each in route["match"].get("filterState", []))
    )


def fits(test: dict[str, Any], noted: str) -> bool:
    return test["exact"] == noted if "exact" in test else bool(re.fullmatch(test["safeRegex"]["regex"], noted))


def test_a_client_has_its_own_route_before_that_of_everybody() -> None:
    node = node_of(
        rule(None, requestTimeout=9, streamIdleTimeout=8), rule(("Exact", "spiffe://td/a", "x"), requestTimeout=2)
    )
    own, everybody = routes_of(node)
    assert own["match"] == {
        "prefix": "/",
        "filterState": [
            {"key": f"{KEY}spiffe_id", "stringMatch": {"exact": "spiffe://td/a"}},
            {"key": f"{KEY}sni", "stringMatch": {"exact": "x"}},
        ],
    }
    assert (own["route"]["timeout"], own["route"]["idleTimeout"]) == ("2s", "8s")
    assert everybody["match"] == {"prefix": "/"}
    assert (everybody["route"]["timeout"], everybody["route"]["idleTimeout"]) == ("9s", "8s")
    value = {"factoryKey": "envoy.string", "readOnly": True, "skipIfEmpty": True}
    assert noted_by(node) == [
        {
            "objectKey": f"{KEY}{key}",
            "formatString": {"textFormatSource": {"inlineString": source}},
            **value,
        }
        for key, source in (("spiffe_id", "%DOWNSTREAM_PEER_URI_SAN%"), ("sni", "%REQUESTED_SERVER_NAME%"))
    ]


@pytest.mark.parametrize(
    "rules",
    [
        [rule(None, requestTimeout=9)],
        [{"matches": [{"sni": {"type": "Exact", "value": "x"}}], "default": {"http": {"requestTimeout": "1s"}}}],
    ],
)
def test_rules_that_name_no_client_make_no_routes(rules: list[dict[str, Any]]) -> None:
    node = node_of(*rules)
    assert len(routes_of(node)) == 1
    assert node.listener.chains[0].filters == []


def test_connections_without_requests_have_no_routes() -> None:
    (chain,) = node_of(rule(("Exact", "spiffe://m/a", None), requestTimeout=2), protocol="tcp").listener.chains
    assert chain.http is None


def both(first: res.Resource[Any], second: res.Resource[Any]) -> list[dict[str, Any]]:
    return routes_of(translated.inbound(translate.POLICY, first, second))


def test_the_more_important_of_two_policies_about_one_client_counts() -> None:
    client = ("Exact", "spiffe://m/a", None)
    mesh = policies.a_policy("MeshTimeout", "a", rules=[rule(client, requestTimeout=1, streamIdleTimeout=7)])
    proxy = policies.a_policy("MeshTimeout", "b", {"kind": "Dataplane"}, rules=[rule(client, requestTimeout=2)])
    for routes in (both(mesh, proxy), both(proxy, mesh)):
        assert [route["route"].get("timeout") for route in routes] == ["2s", "0s"]
        assert routes[0]["route"]["idleTimeout"] == "7s"


def test_several_policies_note_what_they_match_in_one_filter() -> None:
    node = node_of(rule(("Exact", "spiffe://m/a", None), requestTimeout=1))
    other = inbound_routes.ClientConf(targetref.Match(targetref.SpiffeIdMatch("Prefix", "spiffe://m/a")), 9)
    inbound_routes.split(node, "m", "other", [other], lambda route, conf: setattr(route, "name", str(conf)))
    assert [each["objectKey"] for each in noted_by(node)] == [f"{KEY}spiffe_id", "kuma.other.match.spiffe_id"]
    keys = [[each["key"] for each in route["match"].get("filterState", [])] for route in routes_of(node)]
    mine, its = f"{KEY}spiffe_id", "kuma.other.match.spiffe_id"
    assert keys == [[mine, its], [mine], [its], []]
    assert [route.get("name") for route in routes_of(node)] == ["9", None, "9", None]


@given(st.lists(MATCH, min_size=1, max_size=5, unique=True), st.sampled_from(IDS), st.sampled_from(["x", "y", "z"]))
@settings(max_examples=300, deadline=None)
def test_the_most_specific_rule_that_fits_a_request_counts(
    matches: list[tuple[str, str, str | None]], client: str, sni: str
) -> None:
    """One client goes before many, then a server name before none, then the longer prefix."""
    fitting = [
        (kind == "Prefix", name is None, -len(value) if kind == "Prefix" else 0, at)
        for at, (kind, value, name) in enumerate(matches)
        if (client.startswith(value) if kind == "Prefix" else client == value) and name in (None, sni)
    ]
    node = node_of(*(rule(each, requestTimeout=at + 1) for at, each in enumerate(matches)))
    expected = f"{min(fitting)[3] + 1}s" if fitting else "0s"
    assert taken(routes_of(node), client, sni)["route"]["timeout"] == expected
