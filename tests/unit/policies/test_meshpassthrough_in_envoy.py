"""MeshPassthrough: which chains there are, in which order, and what the listeners of redirected traffic become."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format

from kuma.compiler import render, transparent
from kuma.envoy import names
from kuma.plan import nodes, proxy
from kuma.policies.meshpassthrough import chains, model, translate
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from tests.kit import worlds

AUTHOR = res.ResourceRef("MeshPassthrough", "m", "p")
REDIRECTED = {"transparentProxy": {"redirect": {"inbound": {"port": 15006}, "outbound": {"port": 15001}}}}
DEFAULT = {"outbound:passthrough:ipv4", "outbound:passthrough:ipv6"}


def matches(*written: str) -> tuple[model.Match, ...]:
    """Out of `protocol value port` each, without a port where there is none."""
    out = []
    for each in written:
        protocol, value, *port = each.split()
        kind = "CIDR" if "/" in value else "IP" if value.replace(".", "").isdigit() or ":" in value else "Domain"
        document = {"type": kind, "value": value, "protocol": protocol, **({"port": int(port[0])} if port else {})}
        out.append(msgspec.convert(document, model.Match))
    return tuple(out)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["tcp 10.0.0.1"], ["tcp_10.0.0.1_*"]),
        (["tcp 10.0.0.0/8 80", "tcp 10.1.0.0/16 80"], ["tcp_10.1.0.0/16_80", "tcp_10.0.0.0/8_80"]),
        (["tcp 10.0.0.0/8 80", "tcp 10.0.0.1 80"], ["tcp_10.0.0.1_80", "tcp_10.0.0.0/8_80"]),
        (["tcp 10.0.0.1 80", "tcp 10.0.0.2 80"], ["tcp_10.0.0.2_80", "tcp_10.0.0.1_80"]),
        (["tcp 10.0.0.1 80", "tcp 10.0.0.1 90"], ["tcp_10.0.0.1_90", "tcp_10.0.0.1_80"]),
        (["tcp 10.0.0.1 80", "tls a.test 443"], ["tls_a.test_443", "tcp_10.0.0.1_80"]),
        (
            ["tls *.test 443", "tls b.test 443", "tls a.test 443", "tls a.b.test 443"],
            ["tls_a.b.test_443", "tls_a.test_443", "tls_b.test_443", "tls_*.test_443"],
        ),
        (["http a.test 80", "http *.b.test 80", "http 10.0.0.1 80"], ["http_10.0.0.1_80", "http_80"]),
        (["grpc a.test 80", "http2 a.test 81", "http a.test 82"], ["http_82", "http2_81", "grpc_80"]),
        (["mysql 10.0.0.1 3306", "tcp 10.0.0.2 80"], ["tcp_10.0.0.1_3306", "tcp_10.0.0.2_80"]),
        (["tcp fd00::1", "tcp fd00::/8"], ["tcp_fd00::1_*", "tcp_fd00::/8_*"]),
        (["tcp a.test 80", "mysql b.test 81"], []),
    ],
)
def test_chains(written: list[str], expected: list[str]) -> None:
    found = [each.name for each in chains.in_order(matches(*written))]
    assert found == [f"meshpassthrough_{each}" for each in expected]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["tcp 10.0.0.1", "tcp 10.0.0.2 80"], ["tcp_10.0.0.2_80", "tcp_10.0.0.1_80", "tcp_10.0.0.1_*"]),
        (["tls a.test", "tcp 10.0.0.2 80"], ["tls_a.test_80", "tls_a.test_*", "tcp_10.0.0.2_80"]),
        (["http a.test", "grpc b.test 80"], ["http_*", "grpc_80"]),
        (["mysql 10.0.0.1 3306", "tcp 10.0.0.1"], ["tcp_10.0.0.1_3306", "tcp_10.0.0.1_*"]),
        (["tcp 10.0.0.1 80", "tcp 10.0.0.1/32 80"], ["tcp_10.0.0.1_80"]),
        (["tcp 10.9.0.0/8 80", "tcp 10.0.0.0/8 80"], ["tcp_10.9.0.0/8_80"]),
        (["tcp 10.0.0.1", "tcp 10.0.0.1 80"], ["tcp_10.0.0.1_80", "tcp_10.0.0.1_*"]),
    ],
)
def test_chains_that_ask_for_the_same_are_made_once(written: list[str], expected: list[str]) -> None:
    found = chains.in_order(matches(*written))
    assert [each.name for each in found] == [f"meshpassthrough_{each}" for each in expected]


def test_a_domain_without_port_is_known_on_the_ports_of_others() -> None:
    found = chains.in_order(matches("http b.test 80", "http a.test", "http *.c.test 80"))
    assert {each.port: each.domains for each in found} == {80: ("a.test", "b.test", "*.c.test"), 0: ("a.test",)}


def edited(conf: Mapping[str, Any], *, passes: bool = True, ipv6: bool = True, **metadata: Any) -> nodes.ProxyPlan:
    """The plan of a proxy of service `web` after a policy with this conf."""
    mesh = worlds.a_mesh(networking={"outbound": {"passthrough": passes}})
    picture = worlds.world([mesh, worlds.a_dataplane("web", "web")]).meshes["m"]
    subject = proxy.facts_of(picture.dataplanes["web"], {**REDIRECTED, **metadata})
    plan = nodes.ProxyPlan(subject)
    plan.listeners, plan.clusters = transparent.passthrough_nodes(picture, subject, strict=False)
    merged = rules.Merged(msgspec.convert(conf, model.Conf), (AUTHOR,))
    found = rules.ProxyRules(model.KIND.name, (), rules.NO_DESTINATIONS, single=merged)
    translate.POLICY.proxy(found, plan, policy.Context("m", mtls=False, ipv6=ipv6, transparent=True))
    return plan


def listener(plan: nodes.ProxyPlan, family: str = "ipv4") -> Any:
    (found,) = [each for each in plan.listeners if each.name == names.passthrough("outbound", family, False)]
    assert AUTHOR in found.authors
    return json_format.MessageToDict(render.listener(found))


def through(plan: nodes.ProxyPlan) -> set[str]:
    """The clusters that traffic can leave through."""
    return {each.name for each in plan.clusters} - {
        "inbound:passthrough:ipv4",
        "inbound:passthrough:ipv6",
        names.NO_DESTINATION,
    }


@pytest.mark.parametrize(
    ("conf", "passes", "left"),
    [
        ({"passthroughMode": "All"}, True, DEFAULT),
        ({"passthroughMode": "All"}, False, DEFAULT),
        ({"passthroughMode": "None"}, True, set()),
        ({"passthroughMode": "None"}, False, set()),
        ({"passthroughMode": "Matched"}, True, set()),
        ({}, True, set()),
        ({"appendMatch": [{"type": "IP", "value": "10.0.0.1"}]}, True, {"meshpassthrough_tcp_10.0.0.1_*"}),
        ({"appendMatch": [{"type": "IP", "value": "10.0.0.1"}], "passthroughMode": "None"}, True, set()),
        ({"appendMatch": [{"type": "IP", "value": "10.0.0.1"}], "passthroughMode": "All"}, True, DEFAULT),
    ],
)
def test_modes(conf: dict[str, Any], passes: bool, left: set[str]) -> None:
    assert through(edited(conf, passes=passes)) == left


def test_a_proxy_without_redirection_is_left_alone() -> None:
    plan = edited({"passthroughMode": "All"}, transparentProxy=None)
    assert not plan.listeners
    assert not plan.clusters


def test_the_address_of_a_connection_picks_its_chain() -> None:
    plan = edited({"appendMatch": [{"type": "CIDR", "value": "10.2.3.4/16", "port": 9000}]})
    found = listener(plan)
    name = "meshpassthrough_tcp_10.2.3.4/16_9000"
    assert [each["name"].rsplit(".", 1)[-1] for each in found["listenerFilters"]] == [
        "original_dst",
        "tls_inspector",
        "http_inspector",
    ]
    (chain,) = found["filterChains"]
    assert chain["name"] == name
    assert chain["filterChainMatch"] == {
        "destinationPort": 9000,
        "prefixRanges": [{"addressPrefix": "10.2.0.0", "prefixLen": 16}],
        "transportProtocol": "raw_buffer",
    }
    config = chain["filters"][0]["typedConfig"]
    assert (config["cluster"], config["statPrefix"]) == (name, "meshpassthrough_tcp_10_2_3_4_16_9000")
    assert "listenerFilters" not in listener(plan, "ipv6"), "no match is about IPv6"


def test_a_domain_of_tls_is_a_server_name() -> None:
    plan = edited({"appendMatch": [{"type": "Domain", "value": "*.a.test", "protocol": "tls"}]})
    for family in ("ipv4", "ipv6"):
        (chain,) = listener(plan, family)["filterChains"]
        assert chain["filterChainMatch"] == {"serverNames": ["*.a.test"], "transportProtocol": "tls"}
    assert through(plan) == {"meshpassthrough_tls_*.a.test_*"}


@pytest.mark.parametrize("port", [80, None])
def test_domains_of_http_are_virtual_hosts(port: int | None) -> None:
    match = {"type": "Domain", "value": "a.test", "protocol": "http2", **({"port": port} if port else {})}
    plan = edited({"appendMatch": [match]}, ipv6=False)
    (chain,) = listener(plan)["filterChains"]
    assert chain["filterChainMatch"]["applicationProtocols"] == ["http/1.1", "h2c"]
    manager = chain["filters"][0]["typedConfig"]
    cluster = f"meshpassthrough_http2_a.test_{port or '*'}"
    hosts = manager["routeConfig"]["virtualHosts"]
    assert hosts[0] == {
        "name": "a.test",
        "domains": ["a.test", f"a.test:{port or '*'}"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
    }
    assert (hosts[1]["name"], hosts[1]["domains"]) == ("no_match", ["*"])
    assert hosts[1]["routes"][0]["directResponse"]["status"] == 503
    assert all(":" not in each["addressPrefix"] for each in manager["internalAddressConfig"]["cidrRanges"])
    (made,) = [each for each in plan.clusters if each.name == cluster]
    assert "http2ProtocolOptions" in str(json_format.MessageToDict(render.cluster(made)))


def test_an_address_of_http_has_a_chain_for_all_hosts() -> None:
    plan = edited({"appendMatch": [{"type": "IP", "value": "10.0.0.1", "protocol": "http", "port": 80}]})
    (chain,) = listener(plan)["filterChains"]
    (host,) = chain["filters"][0]["typedConfig"]["routeConfig"]["virtualHosts"]
    assert (host["name"], host["domains"]) == ("10.0.0.1", ["*"])


@pytest.mark.parametrize(
    ("ports", "disabled"),
    [
        ([3306], {"destinationPortRange": {"start": 3306, "end": 3307}}),
        (
            [3306, 3307],
            {
                "orMatch": {
                    "rules": [
                        {"destinationPortRange": {"start": 3306, "end": 3307}},
                        {"destinationPortRange": {"start": 3307, "end": 3308}},
                    ]
                }
            },
        ),
    ],
)
def test_nobody_waits_for_a_client_of_mysql(ports: list[int], disabled: dict[str, Any]) -> None:
    written = [{"type": "IP", "value": "10.0.0.1", "protocol": "mysql", "port": port} for port in ports]
    original, *inspectors = listener(edited({"appendMatch": written}))["listenerFilters"]
    assert "filterDisabled" not in original
    assert [each["filterDisabled"] for each in inspectors] == [disabled, disabled]
