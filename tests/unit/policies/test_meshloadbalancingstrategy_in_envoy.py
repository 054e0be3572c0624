"""MeshLoadBalancingStrategy: algorithms of clusters, hashes of routes, and the order of endpoints."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format

from kuma.compiler import outbounds
from kuma.mesh import endpoints
from kuma.policies.meshloadbalancingstrategy import localities, model, translate
from kuma.policy_engine import policy
from kuma.resources import codec
from kuma.resources import resource as res
from tests.kit import policies, translated

HEADER = {"type": "Header", "header": {"name": "x-user"}}


def a_strategy(**default: Any) -> res.Resource[Any]:
    spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
    return codec.decode(model.KIND, {"type": model.KIND.name, "mesh": "m", "name": "s", "spec": spec})


def a_client(**default: Any) -> translated.Client:
    return translated.Client(translate.POLICY, a_strategy(**default))


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ({"type": "RoundRobin"}, {}),
        ({"type": "Random"}, {"lbPolicy": "RANDOM"}),
        ({"type": "LeastRequest"}, {"lbPolicy": "LEAST_REQUEST"}),
        (
            {"type": "LeastRequest", "leastRequest": {"choiceCount": 4, "activeRequestBias": "1.3"}},
            {
                "lbPolicy": "LEAST_REQUEST",
                "leastRequestLbConfig": {"choiceCount": 4, "activeRequestBias": {"defaultValue": 1.3}},
            },
        ),
        ({"type": "RingHash"}, {"lbPolicy": "RING_HASH"}),
        ({"type": "RingHash", "ringHash": {}}, {"lbPolicy": "RING_HASH", "ringHashLbConfig": {}}),
        (
            {"type": "RingHash", "ringHash": {"hashFunction": "MurmurHash2", "minRingSize": 64, "maxRingSize": 1024}},
            {
                "lbPolicy": "RING_HASH",
                "ringHashLbConfig": {
                    "hashFunction": "MURMUR_HASH_2",
                    "minimumRingSize": "64",
                    "maximumRingSize": "1024",
                },
            },
        ),
        ({"type": "Maglev", "maglev": {}}, {"lbPolicy": "MAGLEV", "maglevLbConfig": {}}),
        (
            {"type": "Maglev", "maglev": {"tableSize": 17}},
            {"lbPolicy": "MAGLEV", "maglevLbConfig": {"tableSize": "17"}},
        ),
    ],
)
def test_algorithms(balancer: Any, expected: dict[str, Any]) -> None:
    made, plain = a_client(loadBalancer=balancer).cluster(), translated.Client(translate.POLICY).cluster()
    assert made == {**plain, **expected}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (HEADER, {"header": {"headerName": "x-user"}}),
        ({**HEADER, "terminal": True}, {"header": {"headerName": "x-user"}, "terminal": True}),
        ({"type": "Cookie", "cookie": {"name": "sid"}}, {"cookie": {"name": "sid"}}),
        (
            {"type": "Cookie", "cookie": {"name": "sid", "ttl": "1h", "path": "/a"}},
            {"cookie": {"name": "sid", "ttl": "3600s", "path": "/a"}},
        ),
        ({"type": "Connection", "connection": {"sourceIP": True}}, {"connectionProperties": {"sourceIp": True}}),
        ({"type": "Connection", "connection": {}}, {"connectionProperties": {}}),
        ({"type": "SourceIP"}, {"connectionProperties": {"sourceIp": True}}),
        ({"type": "QueryParameter", "queryParameter": {"name": "q"}}, {"queryParameter": {"name": "q"}}),
        ({"type": "FilterState", "filterState": {"key": "k"}}, {"filterState": {"key": "k"}}),
    ],
)
def test_hash_policies(written: dict[str, Any], expected: dict[str, Any]) -> None:
    assert a_client(hashPolicies=[written]).route()["hashPolicy"] == [expected]


@pytest.mark.parametrize(
    ("default", "names"),
    [
        ({"loadBalancer": {"type": "RingHash", "ringHash": {"hashPolicies": [HEADER]}}}, ["x-user"]),
        ({"loadBalancer": {"type": "Maglev", "maglev": {"hashPolicies": [HEADER]}}}, ["x-user"]),
        ({"loadBalancer": {"type": "Random", "maglev": {"hashPolicies": [HEADER]}}}, []),
        ({"loadBalancer": {"type": "RingHash"}}, []),
        (
            {"loadBalancer": {"type": "RingHash", "ringHash": {"hashPolicies": [HEADER]}}, "hashPolicies": []},
            [],
        ),
    ],
)
def test_hash_policies_of_older_places(default: dict[str, Any], names: list[str]) -> None:
    found = a_client(**default).route().get("hashPolicy", [])
    assert [each["header"]["headerName"] for each in found] == names


def an_endpoint(address: str, zone: str = "here", labels: Any = (), **tags: str) -> endpoints.Endpoint:
    return endpoints.Endpoint(
        address, 80, tuple(sorted({**tags, "kuma.io/zone": zone}.items())), tuple(labels), zone=zone
    )


def arranged(
    awareness: dict[str, Any] | None,
    *members: endpoints.Endpoint,
    own: Sequence[tuple[str, str]] = (),
    egress: bool = False,
    is_real: bool = True,
) -> list[tuple[str, str, int, int, list[str]]]:
    """Zone, sub-zone, priority, weight and addresses of each group, as a client of zone `here` gets them."""
    message = outbounds.load_assignment("api", members)
    wanted = msgspec.convert(awareness, model.LocalityAwareness) if awareness is not None else None
    context = policy.Context("m", mtls=True, zone="here", egress=egress, own=tuple(own) or None)
    localities.arrange(message, localities.Wanted(wanted, is_real), context)
    return [
        (
            each.locality.zone,
            each.locality.sub_zone,
            each.priority,
            each.load_balancing_weight.value,
            [one.endpoint.address.socket_address.address for one in each.lb_endpoints],
        )
        for each in message.endpoints
    ]


THREE = (an_endpoint("a"), an_endpoint("b", "east"), an_endpoint("c", "west"))


@pytest.mark.parametrize(
    ("awareness", "priorities"),
    [
        (None, {"here": 0, "east": 1, "west": 1}),
        ({}, {"here": 0, "east": 1, "west": 1}),
        ({"disabled": True}, {"here": 0, "east": 0, "west": 0}),
        ({"localZone": {}}, {"here": 0}),
        ({"crossZone": {}}, {"here": 0}),
        ({"crossZone": {"failover": [{"to": {"type": "None"}}]}}, {"here": 0}),
        ({"crossZone": {"failover": [{"to": {"type": "Any"}}]}}, {"here": 0, "east": 1, "west": 1}),
        ({"crossZone": {"failover": [{"to": {"type": "AnyExcept", "zones": ["east"]}}]}}, {"here": 0, "west": 1}),
        (
            {"crossZone": {"failover": [{"to": {"type": "Only", "zones": ["west"]}}, {"to": {"type": "Any"}}]}},
            {"here": 0, "east": 2, "west": 1},
        ),
        (
            {
                "crossZone": {
                    "failover": [
                        {"from": {"zones": ["east"]}, "to": {"type": "Any"}},
                        {"from": {"zones": ["here"]}, "to": {"type": "Only", "zones": ["east"]}},
                    ]
                }
            },
            {"here": 0, "east": 2},
        ),
    ],
)
def test_zones(awareness: Any, priorities: dict[str, int]) -> None:
    assert {zone: priority for zone, _, priority, _, _ in arranged(awareness, *THREE)} == priorities


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            [{"key": "rack"}, {"key": "room"}],
            [("", 1, ["d"]), ("rack=1", 90, ["a", "e"]), ("room=x", 9, ["b"])],
        ),
        (
            [{"key": "rack", "weight": 5}, {"key": "room", "weight": 3}],
            [("", 1, ["d"]), ("rack=1", 5, ["a", "e"]), ("room=x", 3, ["b"])],
        ),
        ([{"key": "unknown"}], [("", 1, ["a", "b", "d", "e"])]),
    ],
)
def test_endpoints_like_the_client_are_preferred(tags: Any, expected: Any) -> None:
    found = arranged(
        {"localZone": {"affinityTags": tags}},
        an_endpoint("a", rack="1", room="x"),
        an_endpoint("b", rack="2", room="x"),
        an_endpoint("c", "east", rack="1"),
        an_endpoint("d", rack="2", room="y"),
        an_endpoint("e", labels=[("rack", "1")]),
        own=[("rack", "1"), ("room", "x")],
    )
    assert [(sub_zone, weight, addresses) for _, sub_zone, _, weight, addresses in found] == expected


def test_what_goes_through_an_egress_is_one_locality() -> None:
    rules = {"crossZone": {"failover": [{"to": {"type": "Only", "zones": ["west", "east"]}}]}}
    name = "egress_Nhy9xk/t"  # SHA-256 of `1:east,west;`
    found = arranged(rules, *THREE, egress=True, is_real=False)
    assert [(zone, priority) for zone, _, priority, _, _ in found] == [(name, 1), ("here", 0)]
    assert len(arranged(rules, *THREE, egress=True)) == 3


@pytest.mark.parametrize(
    ("percentage", "factor"), [(None, 200), (50, 200), (0, 200), (25, 400), ("33.5", 200), (70, 100), (100, 100)]
)
def test_how_early_others_help_out(percentage: Any, factor: int) -> None:
    threshold = {"failoverThreshold": {"percentage": percentage}} if percentage is not None else {}
    message = outbounds.load_assignment("api", THREE)
    wanted = msgspec.convert({"crossZone": threshold}, model.LocalityAwareness)
    localities.arrange(message, localities.Wanted(wanted), policy.Context("m", mtls=True, zone="here"))
    assert message.policy.overprovisioning_factor.value == factor


def test_groups_keep_everything_but_labels() -> None:
    message = outbounds.load_assignment("api", [an_endpoint("a", labels=[("x", "y")], version="v1")])
    before = json_format.MessageToDict(message)["endpoints"][0]["lbEndpoints"][0]
    wanted = localities.Wanted(model.LocalityAwareness(local_zone=model.LocalZone()))
    localities.arrange(message, wanted, policy.Context("m", mtls=True, zone="here"))
    del before["metadata"]["filterMetadata"]["io.kuma.labels"]
    assert json_format.MessageToDict(message)["endpoints"][0]["lbEndpoints"] == [before]


def test_what_the_client_has_of_each_tag() -> None:
    subject = policies.a_subject({"rack": "2", "room": "x"}, {"rack": "1"}, labels={"room": "y", "row": "7"})
    assert localities.values_of(["rack", "room", "row", "none"], subject) == (
        ("rack", "1"),
        ("room", "x"),
        ("row", "7"),
    )
    assert localities.values_of(["none"], subject) is None


def test_a_service_that_no_policy_is_about_keeps_its_order() -> None:
    message = outbounds.load_assignment("api", THREE)
    localities.arrange(message, None, policy.Context("m", mtls=True, zone="here"))
    assert {each.priority for each in message.endpoints} == {0}
