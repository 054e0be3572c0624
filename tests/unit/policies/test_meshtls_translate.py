"""MeshTLS: what each mode makes of an inbound, and which versions and ciphers end up on which side."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.compiler import compile
from kuma.discovery import resources as xds
from kuma.envoy import api, tls
from kuma.plan import nodes, proxy
from kuma.policies.meshtls import translate
from kuma.policies.meshtrafficpermission import translate as permissions
from kuma.policy_engine import policy
from kuma.resources import resource as res
from tests.kit import policies, translated, worlds

CIPHER = "ECDHE-ECDSA-AES256-GCM-SHA384"
MODERN = {"tlsVersion": {"min": "TLS12", "max": "TLS13"}, "tlsCiphers": [CIPHER]}
MODERN_ENVOY = {
    "cipherSuites": [CIPHER],
    "tlsMinimumProtocolVersion": "TLSv1_2",
    "tlsMaximumProtocolVersion": "TLSv1_3",
}


def a_mtls(name: str = "p", target: Any = None, form: str = "rules", **conf: Any) -> res.Resource[Any]:
    entry = {"default": conf} | ({"targetRef": {"kind": "Mesh"}} if form == "from_" else {})
    return policies.a_policy("MeshTLS", name, target, **{form: [entry]})


def chains(node: nodes.InboundNode) -> list[tuple[str, bool]]:
    return [
        (each.match.transport_protocol if each.match else "", each.tls is not None) for each in node.listener.chains
    ]


STRICT = [("", True)]
PERMISSIVE = [("raw_buffer", False), ("tls", False), ("tls", True)]


@pytest.mark.parametrize("form", ["rules", "from_"])
@pytest.mark.parametrize(
    ("conf", "wanted"), [({"mode": "Permissive"}, PERMISSIVE), ({"mode": "Strict"}, STRICT), ({}, STRICT)]
)
def test_the_mode_decides_about_the_chains(form: str, conf: dict[str, Any], wanted: list[Any]) -> None:
    assert chains(translated.inbound(translate.POLICY, a_mtls(form=form, **conf))) == wanted


def test_the_most_specific_mode_counts() -> None:
    special = a_mtls("q", {"kind": "Dataplane"}, mode="Strict")
    assert chains(translated.inbound(translate.POLICY, a_mtls(mode="Permissive"), special)) == STRICT


def test_a_strict_policy_closes_a_permissive_mesh() -> None:
    assert translate.POLICY.takes_plaintext(_found(a_mtls(mode="Strict")), True) is False
    assert translate.POLICY.takes_plaintext(_found(a_mtls(**MODERN)), True) is True


def test_without_mutual_tls_there_is_nothing_to_say() -> None:
    node = translated.inbound(translate.POLICY, a_mtls(mode="Permissive", **MODERN), mtls=False)
    assert chains(node) == [("", False)]


@pytest.mark.parametrize(
    ("conf", "server", "client"),
    [
        (MODERN, MODERN_ENVOY, MODERN_ENVOY),
        (
            {"tlsVersion": {"min": "TLS13"}},
            {"tlsMinimumProtocolVersion": "TLSv1_3"},
            {"tlsMinimumProtocolVersion": "TLSv1_3", "tlsMaximumProtocolVersion": "TLSv1_3"},
        ),
        (
            {"tlsVersion": {"max": "TLS11"}},
            {"tlsMaximumProtocolVersion": "TLSv1_1"},
            {"tlsMaximumProtocolVersion": "TLSv1_1"},
        ),
        ({"tlsVersion": {"min": "TLSAuto", "max": "TLSAuto"}}, {}, {}),
        ({"tlsCiphers": [CIPHER]}, None, {"cipherSuites": [CIPHER]}),
        ({"mode": "Strict"}, None, None),
    ],
)
def test_versions_and_ciphers(
    conf: dict[str, Any], server: dict[str, Any] | None, client: dict[str, Any] | None
) -> None:
    node = translated.inbound(translate.POLICY, a_mtls(**conf))
    assert parameters(node.listener.chains[0].tls) == server
    assert parameters(client_context(a_mtls(**conf))) == client


def test_a_server_with_a_mesh_identity_takes_ciphers_alone() -> None:
    said = a_mtls(tlsCiphers=[CIPHER])
    node = translated.inbound(translate.POLICY, said)
    translate.POLICY.inbound(_found(said), node, policy.Context("m", mtls=True, identified=True))
    assert parameters(node.listener.chains[0].tls) == {"cipherSuites": [CIPHER]}


def test_versions_and_ciphers_of_several_policies_are_merged() -> None:
    several = (a_mtls("b", tlsVersion={"min": "TLS12"}), a_mtls("a", tlsCiphers=[CIPHER]))
    wanted = {"cipherSuites": [CIPHER], "tlsMinimumProtocolVersion": "TLSv1_2"}
    assert parameters(client_context(*several)) == wanted
    assert parameters(translated.inbound(translate.POLICY, *several).listener.chains[0].tls) == wanted


def test_clients_of_equal_offers_share_their_clusters() -> None:
    subject = policies.a_subject({})
    several = [translate.POLICY.personal(policies.match([a_mtls(**MODERN)], subject), subject) for _ in range(2)]
    assert several[0] == several[1]
    assert translate.POLICY.personal(policies.match([a_mtls(mode="Strict")], subject), subject) is None


def test_passthrough_is_open_where_every_inbound_is() -> None:
    assert _passthrough(a_mtls(mode="Permissive")) == [{}]
    assert _passthrough(a_mtls(mode="Strict")) == [{"destinationPort": 8080}]


def parameters(context: api.Message) -> dict[str, Any] | None:
    common = context.common_tls_context
    return json_format.MessageToDict(common.tls_params) if common.HasField("tls_params") else None


def client_context(*said: res.Resource[Any]) -> api.Message:
    subject = policies.a_subject({})
    own = translate.POLICY.personal(policies.match(list(said), subject), subject)
    facts = nodes.ClusterFacts("m", "api", "api", nodes.Protocol.HTTP)
    context = tls.upstream("id", "ca", "sni")
    node = nodes.DestinationNode(facts, nodes.ClusterNode("api", api.Cluster(), tls=context))
    translate.POLICY.cluster(None, node, policy.Context("m", mtls=True, own=own))
    return node.cluster.tls


def _found(made: res.Resource[Any]) -> Any:
    return policies.match([made], policies.a_subject({})).inbound("10.0.0.1", 8001)


def _passthrough(said: res.Resource[Any]) -> list[dict[str, Any]]:
    compiler = compile.Compiler((translate.POLICY, permissions.POLICY))
    made = worlds.a_dataplane("d", "web")
    picture = worlds.world([worlds.a_mesh(mtls=worlds.BUILTIN), made, said]).meshes["m"]
    metadata = {
        "features": [proxy.STRICT_INBOUND_PORTS],
        "transparentProxy": {
            "redirect": {key: {"port": port} for key, port in (("inbound", 15006), ("outbound", 15001))}
        },
    }
    subject = proxy.facts_of(picture.dataplanes["d"], metadata)
    own = compiler.own(
        picture, subject, compiler.match(picture, subject), compile.Issued(compile.Identity(b"", b"", b"")), None
    )
    listener = api.Listener.FromString(own.sets[xds.LISTENER]["inbound:passthrough:ipv4"].value)
    return [json_format.MessageToDict(each.filter_chain_match) for each in listener.filter_chains]
