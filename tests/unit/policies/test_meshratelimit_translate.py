"""MeshRateLimit: confs in, token buckets of routes and filter chains out."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshratelimit import translate
from kuma.resources import resource as res
from tests.kit import policies, translated

RATE = {"requestRate": {"num": 5, "interval": "10s"}}
BUCKET = {"maxTokens": 5, "tokensPerFill": 5, "fillInterval": "10s"}
TCP = {"connectionRate": {"num": 100, "interval": "1s"}}
WEB = {"spiffeID": {"type": "Exact", "value": "spiffe://td/web"}}
ALL_TD = {"spiffeID": {"type": "Prefix", "value": "spiffe://td/"}}


def a_limit(*rules: dict[str, Any], name: str = "p", form: str = "rules") -> res.Resource[Any]:
    return policies.a_policy("MeshRateLimit", name, {"kind": "Mesh", "proxyTypes": ["Sidecar"]}, **{form: list(rules)})


def rule(*matches: dict[str, Any], http: Any = None, tcp: Any = None) -> dict[str, Any]:
    local = {key: value for key, value in (("http", http), ("tcp", tcp)) if value is not None}
    return {"default": {"local": local}} | ({"matches": list(matches)} if matches else {})


def node_of(*rules: dict[str, Any], protocol: str = "http", mtls: bool = True) -> nodes.InboundNode:
    return translated.inbound(translate.POLICY, a_limit(*rules), protocol=protocol, mtls=mtls)


def limits(node: nodes.InboundNode) -> list[dict[str, Any] | None]:
    """What each route of the inbound says of limits, in the order of their trial."""
    out: list[dict[str, Any] | None] = []
    for route in node.listener.chains[0].http.route_config.virtual_hosts[0].routes:
        packed = route.typed_per_filter_config.get(translate.HTTP_FILTER)
        unpacked = api.HttpRateLimit.FromString(packed.value) if packed is not None else None
        out.append(json_format.MessageToDict(unpacked) if unpacked is not None else None)
    return out


def http_filters(node: nodes.InboundNode) -> list[str]:
    return [each.name for each in node.listener.chains[0].http_filters]


@pytest.mark.parametrize("form", ["rules", "from_"])
@pytest.mark.parametrize("protocol", ["http", "http2", "grpc"])
def test_requests_are_limited_on_the_route(form: str, protocol: str) -> None:
    entry = rule(http=RATE) | ({"targetRef": {"kind": "Mesh"}} if form == "from_" else {})
    node = translated.inbound(translate.POLICY, a_limit(entry, form=form), protocol=protocol)
    switched_on = {"defaultValue": {"numerator": 100}}
    assert limits(node) == [
        {
            "statPrefix": "rate_limit",
            "tokenBucket": BUCKET,
            "filterEnabled": {**switched_on, "runtimeKey": "local_rate_limit_enabled"},
            "filterEnforced": {**switched_on, "runtimeKey": "local_rate_limit_enforced"},
        }
    ]
    (bare,) = [each.message for each in node.listener.chains[0].http_filters if each.name == translate.HTTP_FILTER]
    assert json_format.MessageToDict(bare) == {"statPrefix": "rate_limit"}


def test_what_a_refused_client_hears() -> None:
    headers = {"set": [{"name": "x-limited", "value": "yes, really"}], "add": [{"name": "x-a", "value": "b"}]}
    (limit,) = limits(node_of(rule(http={**RATE, "onRateLimit": {"status": 423, "headers": headers}})))
    assert limit is not None
    assert limit["status"] == {"code": "Locked"}
    assert limit["responseHeadersToAdd"] == [
        {"header": {"key": "x-a", "value": "b"}},
        {"header": {"key": "x-limited", "value": "yes, really"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"},
    ]


def test_a_status_that_envoy_does_not_know_is_left_to_it() -> None:
    (limit,) = limits(node_of(rule(http={**RATE, "onRateLimit": {"status": 499}})))
    assert limit is not None
    assert "status" not in limit


@pytest.mark.parametrize("http", [{"disabled": True, **RATE}, {"disabled": True}, {"onRateLimit": {"status": 423}}])
def test_without_a_rate_nothing_is_limited(http: dict[str, Any]) -> None:
    node = node_of(rule(http=http))
    assert (limits(node), http_filters(node)) == ([None], [])


def test_a_more_important_policy_turns_a_limit_off() -> None:
    off = policies.a_policy("MeshRateLimit", "q", {"kind": "Dataplane"}, rules=[rule(http={"disabled": True})])
    node = translated.inbound(translate.POLICY, a_limit(rule(http=RATE)), off)
    assert limits(node) == [None]


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_connections_are_limited_in_every_chain(protocol: str) -> None:
    (made,) = node_of(rule(tcp=TCP), protocol=protocol).listener.chains[0].filters
    assert made.name == "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"
    bucket = {"maxTokens": 100, "tokensPerFill": 100, "fillInterval": "1s"}
    assert json_format.MessageToDict(made.message) == {"statPrefix": "tcp_rate_limit", "tokenBucket": bucket}


@pytest.mark.parametrize("tcp", [{"disabled": True, **TCP}, {"disabled": True}])
def test_without_a_rate_connections_are_not_limited(tcp: dict[str, Any]) -> None:
    assert node_of(rule(tcp=tcp), protocol="tcp").listener.chains[0].filters == []


def test_a_limit_of_requests_means_nothing_to_tcp() -> None:
    chain = node_of(rule(http=RATE), protocol="tcp").listener.chains[0]
    assert (chain.filters, chain.http_filters) == ([], [])


def test_a_client_has_a_limit_of_its_own_before_that_of_everybody() -> None:
    found = limits(node_of(rule(http=RATE), rule(WEB, http={"requestRate": {"num": 1, "interval": "1s"}})))
    assert [each and each["tokenBucket"]["maxTokens"] for each in found] == [1, 5]


def test_a_client_may_be_without_a_limit() -> None:
    node = node_of(rule(http=RATE), rule(WEB, http={"disabled": True}))
    assert [each is None for each in limits(node)] == [True, False]


def test_only_some_clients_are_limited() -> None:
    node = node_of(rule(WEB, ALL_TD, http=RATE))
    assert [each is None for each in limits(node)] == [False, False, True]
    assert http_filters(node) == [translate.HTTP_FILTER]
    assert [each.name for each in node.listener.chains[0].filters] == ["envoy.filters.network.set_filter_state"]
