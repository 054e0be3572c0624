"""MeshFaultInjection: confs in, fault filters out, and which of them strike a client."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshfaultinjection import translate
from kuma.resources import resource as res
from tests.kit import policies, translated

SIDECARS = {"kind": "Mesh", "proxyTypes": ["Sidecar"]}
ABORT = {"abort": {"httpStatus": 503, "percentage": 50}}
KRI = "kri_mfi_m___p_"


def a_policy(name: str = "p", target: Any = None, **spec: Any) -> res.Resource[Any]:
    return policies.a_policy("MeshFaultInjection", name, target or SIDECARS, **spec)


def entry(tags: Mapping[str, str] | None, *faults: dict[str, Any]) -> dict[str, Any]:
    target = {"kind": "MeshSubset", "tags": dict(tags)} if tags else {"kind": "Mesh"}
    return {"targetRef": target, "default": {"http": list(faults)}}


def rule(match: dict[str, Any] | None, *faults: dict[str, Any]) -> dict[str, Any]:
    return {"default": {"http": list(faults)}} | ({"matches": [match]} if match else {})


def spiffe(value: str, kind: str = "Exact") -> dict[str, Any]:
    return {"spiffeID": {"type": kind, "value": value}}


def status(code: int) -> dict[str, Any]:
    return {"abort": {"httpStatus": code, "percentage": 100}}


def filters(*said: res.Resource[Any], protocol: str = "http") -> list[tuple[str, dict[str, Any]]]:
    chain = translated.inbound(translate.POLICY, *said, protocol=protocol).listener.chains[0]
    made = [each for each in chain.http_filters if each.stage != nodes.Stage.STATISTICS]
    assert all(each.stage == nodes.Stage.FAULT for each in made)
    return [(each.name, json_format.MessageToDict(each.message)) for each in made]


@pytest.mark.parametrize(
    ("fault", "envoy"),
    [
        (ABORT, {"abort": {"httpStatus": 503, "percentage": {"numerator": 50}}}),
        (
            {"abort": {"httpStatus": 500, "percentage": "2.5"}},
            {"abort": {"httpStatus": 500, "percentage": {"numerator": 250, "denominator": "TEN_THOUSAND"}}},
        ),
        (
            {"delay": {"value": "5s", "percentage": 5}},
            {"delay": {"fixedDelay": "5s", "percentage": {"numerator": 5}}},
        ),
        *(
            (
                {"responseBandwidth": {"limit": limit, "percentage": 1}},
                {"responseRateLimit": {"fixedLimit": {"limitKbps": kbps}, "percentage": {"numerator": 1}}},
            )
            for limit, kbps in (("50kbps", "50"), ("50Mbps", "50000"), ("2 Gbps", "2000000"))
        ),
        (
            {**ABORT, "delay": {"value": "10ms", "percentage": 100}},
            {
                "abort": {"httpStatus": 503, "percentage": {"numerator": 50}},
                "delay": {"fixedDelay": "0.010s", "percentage": {"numerator": 100}},
            },
        ),
    ],
)
def test_a_fault(fault: dict[str, Any], envoy: dict[str, Any]) -> None:
    assert filters(a_policy(from_=[entry(None, fault)])) == [(translate.FILTER, envoy)]
    assert filters(a_policy(rules=[rule(None, fault)])) == [(KRI, envoy)]


@pytest.mark.parametrize(
    "fault",
    [
        {"abort": {"httpStatus": 150, "percentage": 100}},
        {"delay": {"value": "0s", "percentage": 100}},
        {"responseBandwidth": {"limit": "0kbps", "percentage": 100}},
        {},
    ],
)
def test_what_envoy_would_refuse_strikes_nobody(fault: dict[str, Any]) -> None:
    assert filters(a_policy(from_=[entry(None, fault)])) == []


@pytest.mark.parametrize(
    ("protocol", "by_tags", "by_rules"), [("http", 2, 2), ("http2", 2, 2), ("grpc", 0, 2), ("tcp", 0, 0)]
)
def test_faults_strike_http_one_after_the_other(protocol: str, by_tags: int, by_rules: int) -> None:
    for said, count in (
        (a_policy(from_=[entry(None, status(501), status(502))]), by_tags),
        (a_policy(rules=[rule(None, status(501), status(502))]), by_rules),
    ):
        assert [each["abort"]["httpStatus"] for _, each in filters(said, protocol=protocol)] == [501, 502][:count]


def test_a_more_important_list_replaces_the_whole_list() -> None:
    special = a_policy("q", {"kind": "Dataplane"}, from_=[entry(None)])
    assert filters(a_policy(from_=[entry(None, ABORT)]), special) == []


def test_clients_by_tags_are_known_by_their_header() -> None:
    said = a_policy(from_=[entry(None, status(501)), entry({"kuma.io/service": "web", "version": "v1.0"}, status(502))])
    test = {"regex": r".*&kuma.io/service=[^&]*web[,&].*&version=[^&]*v1\.0[,&].*"}
    (_, special), (_, rest) = filters(said)[0], filters(said)[-1]
    assert special["headers"] == [{"name": "x-kuma-tags", "stringMatch": {"safeRegex": test}}]
    assert {each.get("invertMatch") for each in rest["headers"]} == {True}


CLIENT = st.fixed_dictionaries({"kuma.io/service": st.sampled_from("abc"), "version": st.sampled_from(["v1", "v2"])})
ENTRY = st.one_of(
    st.none(),
    st.fixed_dictionaries({"kuma.io/service": st.sampled_from("abc")}),
    st.fixed_dictionaries({"version": st.sampled_from(["v1", "v2"])}),
)


@given(st.lists(ENTRY, min_size=1, max_size=4), CLIENT)
@settings(max_examples=300, deadline=None)
def test_a_client_is_struck_by_the_last_entry_about_it_alone(
    entries: list[dict[str, str] | None], client: dict[str, str]
) -> None:
    said = a_policy(from_=[entry(tags, status(500 + at)) for at, tags in enumerate(entries)])
    header = "".join(f"&{key}={client[key]}&" for key in sorted(client))
    struck = [fault["abort"]["httpStatus"] for _, fault in filters(said) if _holds(fault.get("headers", []), header)]
    fitting = [500 + at for at, tags in enumerate(entries) if (tags or {}).items() <= client.items()]
    assert struck == fitting[-1:]


def _holds(headers: list[dict[str, Any]], header: str) -> bool:
    return all(
        bool(re.fullmatch(each["stringMatch"]["safeRegex"]["regex"], header)) is not each.get("invertMatch", False)
        for each in headers
    )


def test_clients_by_spiffe_id_are_told_apart_by_a_matcher() -> None:
    said = a_policy(rules=[rule(spiffe("spiffe://td/", "Prefix"), ABORT, status(501))])
    made = filters(said)
    assert [name for name, _ in made] == [KRI, KRI]
    (skip,) = made[0][1]["xdsMatcher"]["matcherList"]["matchers"]
    assert skip["onMatch"]["action"]["name"] == "skip"
    assert skip["predicate"]["notMatcher"]["singlePredicate"]["valueMatch"] == {"prefix": "spiffe://td/"}
    assert made[0][1]["extensionConfig"]["typedConfig"]["abort"]["httpStatus"] == 503


def test_without_certificates_no_rule_about_a_client_holds() -> None:
    said = a_policy(rules=[rule(None, status(501)), rule(spiffe("spiffe://td/a"), ABORT)])
    (chain,) = translated.inbound(translate.POLICY, said, mtls=False).listener.chains
    assert [each.message.abort.http_status for each in chain.http_filters] == [501]


MATCH = st.one_of(
    st.none(),
    st.builds(spiffe, st.sampled_from(["spiffe://td/a", "spiffe://td/ab", "spiffe://td/b"]), st.just("Exact")),
    st.builds(spiffe, st.sampled_from(["spiffe://td/", "spiffe://td/a"]), st.just("Prefix")),
)


@given(st.lists(MATCH, min_size=1, max_size=5), st.sampled_from(["a", "ab", "b", "c"]))
@settings(max_examples=300, deadline=None)
def test_a_client_is_struck_by_the_most_specific_rule_alone(matches: list[dict[str, Any] | None], name: str) -> None:
    client = f"spiffe://td/{name}"
    said = a_policy(rules=[rule(match, status(500 + at)) for at, match in enumerate(matches)])
    chain = translated.inbound(translate.POLICY, said).listener.chains[0]
    struck = [found for each in chain.http_filters if (found := _status(each.message, client))]
    fitting = [
        (match is None, match is not None and match["spiffeID"]["type"] == "Prefix", -_length(match), -at)
        for at, match in enumerate(matches)
        if match is None or _fits(match["spiffeID"]["type"] == "Prefix", match["spiffeID"]["value"], client)
    ]
    assert struck == ([500 - min(fitting)[3]] if fitting else [])


def _length(match: dict[str, Any] | None) -> int:
    return len(match["spiffeID"]["value"]) if match else 0


def _fits(is_prefix: bool, value: str, client: str) -> bool:
    return client.startswith(value) if is_prefix else client == value


def _status(message: api.Message, client: str) -> int:
    """The status that a filter answers a client with; 0 where it skips it."""
    if isinstance(message, api.Fault):
        return int(message.abort.http_status)
    for each in message.xds_matcher.matcher_list.matchers:
        negated = each.predicate.HasField("not_matcher")
        test = (each.predicate.not_matcher if negated else each.predicate).single_predicate.value_match
        if _fits(bool(test.prefix), test.prefix or test.exact, client) is not negated:
            return 0
    fault = api.Fault.FromString(message.extension_config.typed_config.value)
    return int(fault.abort.http_status)
