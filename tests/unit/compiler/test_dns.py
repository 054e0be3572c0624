"""Names of the mesh for one proxy: records, the document for the agent, Envoy's own server."""

import hashlib
import json
from typing import Any

import pytest
from google.protobuf import json_format

from kuma.base import labels
from kuma.compiler import dns, dynamic_config, render
from kuma.plan import nodes

HELD = {"240.0.0.1", "240.0.0.2", "fd00::1"}


def shown(node: nodes.ListenerNode | None) -> dict[str, Any]:
    assert node is not None
    render.listener(node)
    made: dict[str, Any] = json_format.MessageToDict(node.message)
    return made


@pytest.mark.parametrize(
    ("domains", "ipv6", "found"),
    [
        ([], True, []),
        ([("b.mesh", "240.0.0.2"), ("a.mesh", "240.0.0.1")], False, [("a.mesh", "240.0.0.1"), ("b.mesh", "240.0.0.2")]),
        ([("a.mesh", "240.0.0.1")], True, [("a.mesh", "240.0.0.1", "::ffff:f000:1")]),
        ([("a.mesh", "fd00::1")], True, [("a.mesh", "fd00::1")]),
        ([("a.mesh", "240.9.9.9")], True, []),
        ([("a.mesh", "240.0.0.1"), ("a.mesh", "240.0.0.2")], False, [("a.mesh", "240.0.0.2")]),
    ],
    ids=["none", "sorted", "mapped into IPv6", "IPv6 stays", "no outbound leads there", "the last one counts"],
)
def test_records(domains: list[tuple[str, str]], ipv6: bool, found: list[tuple[str, ...]]) -> None:
    assert [(each.name, *each.addresses) for each in dns.records(domains, HELD, ipv6=ipv6)] == found


def test_the_document_is_compact_and_says_whose_it_is() -> None:
    own = {labels.WORKLOAD: "web", labels.NAMESPACE: "shop", labels.ZONE: "east", "app": "web"}
    body = dns.document([dns.Record("a.mesh", ("240.0.0.1", "::ffff:f000:1"))], "m", own)
    assert body == (
        b'{"records":[{"name":"a.mesh","ips":["240.0.0.1","::ffff:f000:1"]}],"ttl":30,'
        b'"extraLabels":{"k8s_kuma_io_namespace":"shop","kuma_io_zone":"east","kuma_workload":"web","mesh":"m"}}'
    )


def test_an_empty_document_leaves_out_labels_that_are_not_there() -> None:
    assert dns.document([], "m", {}) == b'{"records":[],"ttl":30,"extraLabels":{"mesh":"m"}}'


@pytest.mark.parametrize(("unified", "name"), [(False, "kuma:dns"), (True, "system_dns")])
def test_envoy_answers_for_agents_without_a_server(unified: bool, name: str) -> None:
    found = dns.records([("a.mesh", "240.0.0.1")], HELD, ipv6=False)
    assert shown(dns.listener(found, 15054, unified=unified)) == {
        "name": name,
        "address": {"socketAddress": {"protocol": "UDP", "address": "127.0.0.1", "portValue": 15054}},
        "trafficDirection": "INBOUND",
        "enableReusePort": True,
        "listenerFilters": [
            {
                "name": "envoy.filters.udp.dns_filter",
                "typedConfig": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig",
                    "statPrefix": "kuma_dns",
                    "serverConfig": {
                        "inlineDnsTable": {
                            "virtualDomains": [
                                {
                                    "name": "a.mesh",
                                    "endpoint": {"addressList": {"address": ["240.0.0.1"]}},
                                    "answerTtl": "30s",
                                }
                            ]
                        }
                    },
                },
            }
        ],
    }


def test_patches_know_where_listeners_come_from() -> None:
    made = [dns.listener([], 15054, unified=False), dynamic_config.listener({"dns": b"{}"}, "", unified=False)]
    assert [each.origin for each in made if each] == ["dns", "dynamic-config"]


def test_no_document_no_listener() -> None:
    assert dynamic_config.listener({}, "/w", unified=False) is None


def test_documents_are_served_by_name_and_version() -> None:
    bodies = {dynamic_config.DNS: b'{"a":1}', "meshmetric": b'{"b":"longest"}'}
    made = shown(dynamic_config.listener(bodies, "/w", unified=False))
    assert (made["name"], made["address"]) == (
        "_kuma:dynamicconfig",
        {"pipe": {"path": "/w/kuma-mesh-metric-config.sock"}},
    )
    assert "statPrefix" not in made
    (chain,) = made["filterChains"]
    manager = chain["filters"][0]["typedConfig"]
    assert manager["statPrefix"] == "_kuma_dynamicconfig"
    config = manager["routeConfig"]
    assert config.keys() == {"virtualHosts", "maxDirectResponseBodySizeBytes"}
    assert config["maxDirectResponseBodySizeBytes"] == len(b'{"b":"longest"}')
    (host,) = config["virtualHosts"]
    assert host["name"] == "_kuma:dynamicconfig"
    unchanged, found = host["routes"][:2]
    version = hashlib.sha256(bodies["dns"]).hexdigest()
    assert unchanged == {
        "match": {"path": "/dns", "headers": [{"name": "If-None-Match", "stringMatch": {"exact": version}}]},
        "directResponse": {"status": 304},
    }
    assert found == {
        "name": "_kuma:dynamicconfig:/dns",
        "match": {"path": "/dns"},
        "directResponse": {"status": 200, "body": {"inlineString": '{"a":1}'}},
        "responseHeadersToAdd": [{"header": {"key": "Etag", "value": version}}],
    }
    assert [each["match"]["path"] for each in host["routes"][2:]] == ["/meshmetric", "/meshmetric"]


def test_unified_names() -> None:
    made = shown(dynamic_config.listener({"dns": json.dumps({}).encode()}, "", unified=True, ipv6=False))
    manager = made["filterChains"][0]["filters"][0]["typedConfig"]
    (host,) = manager["routeConfig"]["virtualHosts"]
    assert {made["name"], made["statPrefix"], manager["statPrefix"], host["name"]} == {"system_dynamicconfig"}
    assert [each["name"] for each in host["routes"]] == [
        "system_dynamicconfig_dns_not_modified",
        "system_dynamicconfig_dns",
    ]
    assert manager["internalAddressConfig"] == {"cidrRanges": [{"addressPrefix": "127.0.0.1", "prefixLen": 32}]}
