"""Which timeouts reach Envoy: what MeshTimeout says, what holds where it is silent, and where it has nothing to say."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.plan import nodes
from kuma.policies.meshtimeout import translate
from kuma.resources import resource as res
from tests.kit import policies, translated

ALL = {
    "connectionTimeout": "1s",
    "idleTimeout": "2s",
    "http": {
        "requestTimeout": "3s",
        "streamIdleTimeout": "4s",
        "maxStreamDuration": "5s",
        "maxConnectionDuration": "6s",
        "requestHeadersTimeout": "7s",
    },
}
NONE = {"connectionTimeout": "1ms", "idleTimeout": "0s", "http": dict.fromkeys(ALL["http"], "0s")}
API = {"kind": "MeshService", "name": "api"}
WEB = {"matches": [{"spiffeID": {"type": "Exact", "value": "spiffe://m/web"}}]}


def inbound(*rules: dict[str, Any], protocol: str = "http") -> dict[str, str]:
    """All timeouts of an inbound by name, those of the first route."""
    made = [policies.a_policy("MeshTimeout", "t", rules=rules)] if rules else []
    node = translated.inbound(translate.POLICY, *made, protocol=protocol)
    cluster = json_format.MessageToDict(node.cluster.message)
    out = {"connect": cluster["connectTimeout"]}
    if node.cluster.http is not None:
        common = json_format.MessageToDict(node.cluster.http).get("commonHttpProtocolOptions", {})
        out |= {name: common[name] for name in common}
    return out | of_chain(node.listener.chains[0])


def of_chain(chain: nodes.ChainNode) -> dict[str, str]:
    if chain.tcp is not None:
        return {f"tcp.{name}": each for name, each in json_format.MessageToDict(chain.tcp).items() if "imeout" in name}
    manager = json_format.MessageToDict(chain.http)
    out = {f"hcm.{name}": each for name, each in manager.items() if "imeout" in name}
    out["hcm.idleTimeout"] = manager["commonHttpProtocolOptions"]["idleTimeout"]
    for host in manager["routeConfig"]["virtualHosts"][:1]:
        for route in host.get("routes", [])[:1]:
            out |= {f"route.{name}": each for name, each in route["route"].items() if "imeout" in name}
    return out


def outbound(target: dict[str, Any], conf: dict[str, Any], protocol: str = "http") -> translated.Client:
    return translated.Client(translate.POLICY, to(target, conf), protocol=protocol)


def to(target: dict[str, Any], conf: dict[str, Any]) -> res.Resource[Any]:
    return policies.a_policy("MeshTimeout", "t", to=[{"targetRef": target, "default": conf}])


def options(idle: str = "3600s", stream: str = "0s", connection: str = "0s") -> dict[str, str]:
    return {"idleTimeout": idle, "maxStreamDuration": stream, "maxConnectionDuration": connection}


def manager(headers: str, stream: str = "3600s") -> dict[str, str]:
    return {"hcm.idleTimeout": "0s", "hcm.requestHeadersTimeout": headers, "hcm.streamIdleTimeout": stream}


@pytest.mark.parametrize(
    ("rules", "protocol", "expected"),
    [
        ([], "tcp", {"connect": "5s", "tcp.idleTimeout": "3600s"}),
        ([{"default": ALL}], "tcp", {"connect": "1s", "tcp.idleTimeout": "2s"}),
        (
            [],
            "http",
            {"connect": "5s"} | options() | manager("0s") | {"route.timeout": "15s", "route.idleTimeout": "1800s"},
        ),
        (
            [{"default": ALL}],
            "http2",
            {"connect": "1s"}
            | options("2s", "5s", "6s")
            | manager("7s")
            | {"route.timeout": "3s", "route.idleTimeout": "4s"},
        ),
        (
            [{"default": NONE}],
            "http",
            {"connect": "0.001s"} | options("0s") | manager("0s") | {"route.timeout": "0s", "route.idleTimeout": "0s"},
        ),
        (
            [{"default": ALL}],
            "grpc",
            {"connect": "1s", "idleTimeout": "7200s"}
            | manager("7s")
            | {"route.timeout": "3s", "route.idleTimeout": "4s"},
        ),
        (
            [WEB | {"default": {"http": {"requestTimeout": "3s"}}}],
            "http",
            {"connect": "10s", "idleTimeout": "7200s", "hcm.idleTimeout": "7200s", "hcm.streamIdleTimeout": "3600s"}
            | {"route.timeout": "3s"},
        ),
    ],
    ids=["tcp, silent", "tcp", "http, silent", "http2", "http, nothing ever ends", "grpc", "one client alone"],
)
def test_inbounds(rules: list[dict[str, Any]], protocol: str, expected: dict[str, str]) -> None:
    assert inbound(*rules, protocol=protocol) == expected


def test_entries_for_all_clients_of_several_policies_are_one() -> None:
    first = policies.a_policy("MeshTimeout", "b", rules=[{"default": {"idleTimeout": "1s"}}])
    second = policies.a_policy(
        "MeshTimeout", "a", from_=[{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "9s"}}]
    )
    node = translated.inbound(translate.POLICY, first, second, protocol="tcp")
    assert (node.cluster.message.connect_timeout.seconds, node.listener.chains[0].tcp.idle_timeout.seconds) == (9, 1)
    assert {each.name for each in node.listener.authors} >= {"a", "b"}
    assert {each.name for each in node.cluster.authors} >= {"a", "b"}


@pytest.mark.parametrize(
    ("conf", "protocol", "connect", "expected"),
    [
        (ALL, "http", "1s", options("2s", "5s", "6s")),
        (ALL, "http2", "1s", options("2s", "5s", "6s")),
        (ALL, "grpc", "1s", {}),
        (ALL, "tcp", "1s", {}),
        ({"http": {"maxStreamDuration": "5s"}}, "http", "5s", options(stream="5s")),
        ({"idleTimeout": "0s"}, "http", "5s", options("0s")),
    ],
)
def test_clusters(conf: dict[str, Any], protocol: str, connect: str, expected: dict[str, str]) -> None:
    cluster = outbound(API, conf, protocol).cluster()
    assert (cluster["connectTimeout"], translated.options(cluster)) == (connect, expected)


def test_clusters_that_nothing_is_said_of_have_defaults_all_the_same() -> None:
    for client in (translated.Client(translate.POLICY), outbound({"kind": "MeshService", "name": "db"}, ALL)):
        assert (client.cluster()["connectTimeout"], translated.options(client.cluster())) == ("5s", options())


@pytest.mark.parametrize(
    ("conf", "route", "chain"),
    [
        (ALL, {"timeout": "3s", "idleTimeout": "4s"}, {"hcm.idleTimeout": "0s", "hcm.requestHeadersTimeout": "7s"}),
        (
            {"idleTimeout": "2s"},
            {"timeout": "15s", "idleTimeout": "1800s"},
            {"hcm.idleTimeout": "0s", "hcm.requestHeadersTimeout": "0s"},
        ),
    ],
)
def test_routes(conf: dict[str, Any], route: dict[str, str], chain: dict[str, str]) -> None:
    client = outbound(API, conf)
    assert client.route() == {"cluster": "api", **route}
    assert of_chain(client.chain()) == chain


def test_outbounds_to_a_service_that_nothing_is_said_of_keep_what_they_have() -> None:
    for client in (translated.Client(translate.POLICY), outbound({"kind": "MeshService", "name": "db"}, ALL)):
        assert client.route() == {"cluster": "api", "timeout": "0s"}
        assert of_chain(client.chain()) == {"hcm.idleTimeout": "0s"}


@pytest.mark.parametrize(("conf", "expected"), [(ALL, "2s"), ({"connectionTimeout": "1s"}, "3600s")])
def test_tcp_outbounds(conf: dict[str, Any], expected: str) -> None:
    assert of_chain(outbound(API, conf, "tcp").chain()) == {"tcp.idleTimeout": expected}
    assert of_chain(outbound({"kind": "MeshService", "name": "db"}, conf, "tcp").chain()) == {}
