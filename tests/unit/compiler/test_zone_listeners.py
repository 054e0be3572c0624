"""Proxies that are the ingress or the egress of their mesh: chains by server name, and what policies say of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.compiler import compile, zone_listeners
from kuma.discovery import resources as xds
from kuma.legacy_policies import discovery as legacy_discovery
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies import discovery
from kuma.policy_engine.merging import rules
from kuma.resources import builtin, codec
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as mesh_kind
from tests.kit import worlds
from tests.unit.compiler import reading

POLICIES = [*discovery.policies(), *legacy_discovery.policies()]
KINDS = {each.name: each for each in (*builtin.CORE_KINDS, *discovery.kinds(), *legacy_discovery.kinds())}
MESH = worlds.a_mesh(meshServices={"mode": "Exclusive"})
ISSUED = compile.Issued(by_identity=compile.Identity(b"CERT", b"KEY", b"CA"))
SNI = "sni.extsvc.m.default.out.9000"
CLUSTER = "kri_extsvc_m_default__out_9000"
LISTENER = "self_zoneegress_dp_out"
HERE = {"kuma.io/zone": "default", "kuma.io/origin": "zone"}
READY = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}]}


def made(kind: str, name: str, **fields: Any) -> res.Resource[Any]:
    return codec.decode(KINDS[kind], {"type": kind, "mesh": "m", "name": name, **fields})


IDENTITY = made(
    "MeshIdentity",
    "id",
    labels=HERE,
    status=READY,
    spec={
        "selector": {"dataplane": {"matchLabels": {}}},
        "spiffeID": {"trustDomain": "m.local"},
        "provider": {"type": "Bundled", "bundled": {"autogenerate": {"enabled": True}}},
    },
)
MATCH = {"type": "HostnameGenerator", "port": 9000, "protocol": "http"}
OUT = made(
    "MeshExternalService",
    "out",
    labels=HERE,
    spec={
        "match": MATCH,
        "endpoints": [{"address": "1.2.3.4", "port": 443}],
    },
)
API = made(
    "MeshService",
    "api",
    labels=HERE,
    spec={
        "ports": [{"port": 80, "name": "web", "appProtocol": "http"}],
        "selector": {"dataplaneTags": {"kuma.io/service": "api"}},
    },
)


def zone_proxy(kind: str, **listener: Any) -> res.Resource[Any]:
    written = {"type": kind, "address": "10.0.0.2", "port": 11000, "name": "out", **listener}
    return made("Dataplane", "z", labels=HERE, networking={"address": "10.0.0.1", "listeners": [written]})


EGRESS, INGRESS = zone_proxy("ZoneEgress"), zone_proxy("ZoneIngress")


def world(*resources: res.Resource[Any]) -> view.WorldView:
    meshes = [each for each in resources if each.kind is mesh_kind.KIND] or [MESH]
    rest = [each for each in resources if each.kind is not mesh_kind.KIND]
    empty = view.WorldView(frozenset(each.name for each in KINDS.values() if each.policy is not None))
    return empty.advance(view.Edit(each) for each in [*meshes, *rest])[0]


def snapshot(*resources: res.Resource[Any]) -> xds.Snapshot:
    """What the proxy `z` gets."""
    picture = world(*resources).meshes["m"]
    subject = proxy.facts_of(picture.dataplanes["z"], {})
    compiler = compile.Compiler(POLICIES)
    said = compiler.match(picture, subject)
    return compile.snapshot(compiler.own(picture, subject, said, ISSUED, None), compiler.shape(picture, subject, said))


def chain_of(found: xds.Snapshot) -> dict[str, Any]:
    (chain,) = reading.read(found, xds.LISTENER)[LISTENER]["filterChains"]
    return dict(chain)


def filters(chain: Mapping[str, Any]) -> dict[str, Any]:
    (manager,) = (each["typedConfig"] for each in chain["filters"] if each["name"].endswith("http_connection_manager"))
    return {each["name"]: each["typedConfig"] for each in manager["httpFilters"]} | {"manager": manager}


def policy(kind: str, **spec: Any) -> res.Resource[Any]:
    return made(kind, "p", spec={"targetRef": {"kind": "Dataplane"}, **spec})


def by_name(name: str, conf: Mapping[str, Any]) -> dict[str, Any]:
    """The `rules` of a policy about one server name."""
    return {"rules": [{"matches": [{"sni": {"type": "Exact", "value": name}}], "default": dict(conf)}]}


def test_an_egress_ends_the_tls_of_its_mesh() -> None:
    found = snapshot(IDENTITY, OUT, EGRESS)
    listener = reading.read(found, xds.LISTENER)[LISTENER]
    assert listener["address"]["socketAddress"] == {"address": "10.0.0.2", "portValue": 11000}
    chain = chain_of(found)
    assert chain["filterChainMatch"] == {"transportProtocol": "tls", "serverNames": [SNI]}
    common = chain["transportSocket"]["typedConfig"]["commonTlsContext"]
    assert common["tlsCertificateSdsSecretConfigs"][0]["name"] == "kri_mid_m_default__id_"
    assert common["combinedValidationContext"]["validationContextSdsSecretConfig"]["name"] == "system_trust_bundle"
    assert "matcher" in filters(chain)["envoy.filters.http.rbac"]
    (locality,) = reading.read(found, xds.CLUSTER)[CLUSTER]["loadAssignment"]["endpoints"]
    assert locality["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]["address"] == "1.2.3.4"


@pytest.mark.parametrize(
    "resources",
    [
        [OUT, EGRESS],
        [worlds.a_mesh(), IDENTITY, OUT, EGRESS],
        [IDENTITY, EGRESS],
        [IDENTITY, OUT, INGRESS],
    ],
)
def test_an_egress_needs_an_identity_something_outside_and_no_older_destinations(resources: list[Any]) -> None:
    found = snapshot(*resources)
    assert not reading.read(found, xds.LISTENER)
    assert CLUSTER not in reading.read(found, xds.CLUSTER)


def test_a_listener_that_is_not_ready_is_there_and_nobody_is_sent_to_it() -> None:
    resources = [IDENTITY, OUT, zone_proxy("ZoneEgress", state="NotReady")]
    assert chain_of(snapshot(*resources))
    assert world(*resources).meshes["m"].ways_out == ()


def test_an_ingress_hands_on_what_proxies_of_its_zone_answer_for() -> None:
    far = made(
        "MeshService",
        "far",
        labels={"kuma.io/zone": "east", "kuma.io/origin": "global"},
        spec={"ports": [{"port": 80}]},
    )
    found = snapshot(API, far, INGRESS, worlds.a_dataplane("api-1", "api", address="192.168.0.7", port=80))
    (chain,) = reading.read(found, xds.LISTENER)["self_zoneingress_dp_out"]["filterChains"]
    name = "kri_msvc_m_default__api_web"
    assert chain["filterChainMatch"]["serverNames"] == ["sni.msvc.m.default.api.web"]
    assert chain["filters"][0]["typedConfig"]["cluster"] == name
    assert "transportSocket" not in chain
    assert reading.read(found, xds.CLUSTER)[name]["type"] == "EDS"
    (locality,) = reading.read(found, xds.ENDPOINT)[name]["endpoints"]
    assert locality["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]["address"] == "192.168.0.7"


def test_chains_of_one_listener_stand_together() -> None:
    spec = {"match": {"port": 80, "type": "HostnameGenerator"}, "endpoints": [{"address": "h.example", "port": 80}]}
    found = snapshot(IDENTITY, OUT, made("MeshExternalService", "b", labels=HERE, spec=spec), EGRESS)
    chains = reading.read(found, xds.LISTENER)[LISTENER]["filterChains"]
    assert [each["filterChainMatch"]["serverNames"] for each in chains] == [["sni.extsvc.m.default.b.80"], [SNI]]


@pytest.mark.parametrize(("name", "is_limited"), [(SNI, True), ("sni.extsvc.m.default.other.80", False)])
def test_rules_of_a_server_name_are_about_its_chain(name: str, is_limited: bool) -> None:
    limit = {"local": {"http": {"requestRate": {"num": 1, "interval": "1h"}}}}
    found = filters(chain_of(snapshot(IDENTITY, OUT, EGRESS, policy("MeshRateLimit", **by_name(name, limit)))))
    assert ("envoy.filters.http.local_ratelimit" in found) is is_limited
    (host,) = found["manager"]["routeConfig"]["virtualHosts"]
    assert ("typedPerFilterConfig" in host["routes"][0]) is is_limited


def test_timeouts_of_a_server_name_are_those_of_its_routes() -> None:
    conf = {"idleTimeout": "13s", "http": {"requestTimeout": "2s", "streamIdleTimeout": "4s"}}
    found = snapshot(IDENTITY, OUT, EGRESS, policy("MeshTimeout", **by_name(SNI, conf)))
    (host,) = filters(chain_of(found))["manager"]["routeConfig"]["virtualHosts"]
    action = host["routes"][0]["route"]
    assert (action["timeout"], action["idleTimeout"]) == ("2s", "4s")
    assert reading.read(found, xds.CLUSTER)[CLUSTER]["connectTimeout"] == "5s"


def test_policies_about_destinations_shape_the_cluster() -> None:
    to = [
        {
            "targetRef": {"kind": "MeshExternalService", "name": "out"},
            "default": {"connectionLimits": {"maxRequests": 7}},
        }
    ]
    found = snapshot(IDENTITY, OUT, EGRESS, made("MeshCircuitBreaker", "p", labels=HERE, spec={"to": to}))
    assert reading.read(found, xds.CLUSTER)[CLUSTER]["circuitBreakers"]["thresholds"][0]["maxRequests"] == 7


def test_nothing_changes_where_no_rule_names_a_server() -> None:
    said = rules.InboundRules(on_proxy=True)
    assert zone_listeners.narrowed(said, SNI) is said


def test_a_zone_proxy_hears_of_every_destination() -> None:
    before = world(IDENTITY, OUT, API, EGRESS)
    api = worlds.a_dataplane("api-1", "api", port=80)
    after, touched = before.advance([view.Edit(api)])
    assert res.Key("Dataplane", "m", "z") in touched.proxies
    moved = made(
        "MeshExternalService",
        "out",
        labels=HERE,
        spec={"match": MATCH, "endpoints": [{"address": "1.2.3.5", "port": 1}]},
    )
    _, touched = after.advance([view.Edit(moved)])
    assert touched.proxies == {res.Key("Dataplane", "m", "z")}
    _, touched = after.advance([view.Edit(EGRESS, deleted=True), view.Edit(api, deleted=True)])
    assert touched.proxies == {res.Key("Dataplane", "m", each) for each in ("z", "api-1")}


def limits(count: int) -> res.Resource[Any]:
    to = [{"targetRef": {"kind": "Mesh"}, "default": {"connectionLimits": {"maxRequests": count}}}]
    return made("MeshCircuitBreaker", "p", spec={"to": to})


def test_what_is_said_of_destinations_is_about_the_own_half_of_a_zone_proxy() -> None:
    compiler = compile.Compiler(POLICIES)
    pictures = [
        world(IDENTITY, EGRESS, worlds.a_dataplane("web-1", "web"), limits(each)).meshes["m"] for each in (7, 8)
    ]
    for name, is_same in (("z", False), ("web-1", True)):
        said = [compiler.match(each, proxy.facts_of(each.dataplanes[name], {})) for each in pictures]
        assert said[0].is_same_of_own(said[1]) is is_same
