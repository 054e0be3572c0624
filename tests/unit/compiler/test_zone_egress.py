"""What a zone egress gets: chains by server name, the clusters behind them, certificates, and what policies edit."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format, symbol_database

from kuma.compiler import compile, zone_egress
from kuma.discovery import resources as xds
from kuma.legacy_policies import discovery as legacy_discovery
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies import discovery
from kuma.resources import builtin, codec
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as mesh_kind
from tests.kit import worlds

POLICIES = [*discovery.policies(), *legacy_discovery.policies()]
KINDS = {each.name: each for each in (*builtin.CORE_KINDS, *discovery.kinds(), *legacy_discovery.kinds())}
MESH = worlds.a_mesh(mtls=worlds.BUILTIN)
IDENTITY = compile.Identity(b"CERT", b"KEY", b"CA")
ADDRESS, PORT = "10.0.0.1", 10002
EVERYBODY = {"permissions": [{"any": True}], "principals": [{"any": True}]}


def made(kind: str, name: str, mesh: str = "m", **fields: Any) -> res.Resource[Any]:
    return codec.decode(KINDS[kind], {"type": kind, "mesh": mesh, "name": name, **fields})


def external(
    name: str = "ext", protocol: str = "http", address: str = "h.example:443", **tls: Any
) -> res.Resource[Any]:
    """An ExternalService; `tls` is its TLS."""
    networking = {"address": address} | ({"tls": {"enabled": True, **tls}} if tls else {})
    return made(
        "ExternalService", name, networking=networking, tags={"kuma.io/service": name, "kuma.io/protocol": protocol}
    )


def mesh_external(
    *endpoints: Mapping[str, Any], protocol: str = "http", mesh: str = "m", **spec: Any
) -> res.Resource[Any]:
    """The MeshExternalService `out`, with one endpoint unless there are some."""
    match = {"type": "HostnameGenerator", "port": 9000, "protocol": protocol}
    found = list(endpoints) or [{"address": "h.example", "port": 443}]
    return made("MeshExternalService", "out", mesh, spec={"match": match, "endpoints": found, **spec})


def policy(kind: str, name: str, **spec: Any) -> res.Resource[Any]:
    return made(kind, name, spec={"targetRef": {"kind": "Mesh"}, **spec})


def to_out(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The `to` of a policy about the MeshExternalService."""
    return {"to": [{"targetRef": {"kind": "MeshExternalService", "name": "out"}, "default": dict(conf)}]}


def world(*resources: res.Resource[Any]) -> view.WorldView:
    """The mesh `m` with mutual TLS, or other meshes, and more."""
    meshes = [each for each in resources if each.kind is mesh_kind.KIND] or [MESH]
    rest = [each for each in resources if each.kind is not mesh_kind.KIND]
    empty = view.WorldView(frozenset(each.name for each in KINDS.values() if each.policy is not None))
    return empty.advance(view.Edit(each) for each in [*meshes, *rest])[0]


def egress(*features: str, address: str = ADDRESS, **metadata: Any) -> proxy.ZoneProxyFacts:
    document = {"type": "ZoneEgress", "name": "e", "networking": {"address": address, "port": PORT}}
    resource = codec.decode(KINDS["ZoneEgress"], document)
    return proxy.zone_facts_of(resource, {"features": list(features), **metadata})


def own(*resources: res.Resource[Any], subject: proxy.ZoneProxyFacts | None = None, lacking: Iterable[str] = ()) -> Any:
    """What an egress gets; in the meshes `lacking` it has no certificate yet."""
    picture = world(*resources)
    issued = {each: IDENTITY for each in zone_egress.meshes_of(picture) if each not in lacking}
    return zone_egress.ZoneEgressCompiler(POLICIES).compile(picture, subject or egress(), issued, None)


def read(found: Any, kind: str) -> dict[str, dict[str, Any]]:
    message = symbol_database.Default().GetSymbol(kind.removeprefix(xds.TYPE_PREFIX))
    several = found.sets.get(kind, {})
    return {name: json_format.MessageToDict(message.FromString(each.value)) for name, each in several.items()}


def chains(found: Any) -> dict[str, dict[str, Any]]:
    """The chains of its listener, by server name."""
    (listener,) = read(found, xds.LISTENER).values()
    return {each["filterChainMatch"]["serverNames"][0]: each for each in listener["filterChains"]}


def only_chain(*resources: res.Resource[Any], **options: Any) -> dict[str, Any]:
    (found,) = chains(own(*resources, **options)).values()
    return found


def only_cluster(*resources: res.Resource[Any], **options: Any) -> dict[str, Any]:
    (found,) = read(own(*resources, **options), xds.CLUSTER).values()
    return found


def filters(chain: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The network and HTTP filters of a chain by the last part of their names."""
    found = {each["name"]: each["typedConfig"] for each in chain["filters"]}
    manager = found.get("envoy.filters.network.http_connection_manager", {})
    found.update({each["name"]: each["typedConfig"] for each in manager.get("httpFilters", [])})
    return {name.removeprefix("envoy.filters."): each for name, each in found.items()}


def upstream(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The TLS towards the endpoints."""
    (match,) = cluster["transportSocketMatches"]
    return dict(match["transportSocket"]["typedConfig"])


def test_only_meshes_with_mutual_tls_are_served() -> None:
    picture = world(worlds.a_mesh("plain"), MESH, mesh_external(mesh="plain"), mesh_external())
    assert zone_egress.meshes_of(picture) == ("m",)
    assert zone_egress.meshes_of(world()) == ()
    assert not own(worlds.a_mesh("m"), mesh_external(), external()).sets


def test_a_listener_without_chains_is_none() -> None:
    assert not own().sets


def test_what_a_mesh_without_a_certificate_has_outside_is_not_served_yet() -> None:
    second = worlds.a_mesh("other", mtls=worlds.BUILTIN)
    found = own(MESH, second, mesh_external(), mesh_external(mesh="other"), lacking=["m"])
    assert list(read(found, xds.CLUSTER)) == ["other_out___extsvc_9000"]
    assert set(read(found, xds.SECRET)) == {"identity_cert:secret:other", "mesh_ca:secret:other"}


@pytest.mark.parametrize(("protocol", "kind"), [("http", "http"), ("http2", "http"), ("grpc", "http"), ("tcp", "tcp")])
def test_a_chain_ends_the_tls_of_its_mesh(protocol: str, kind: str) -> None:
    for resource in (external(protocol=protocol), mesh_external(protocol=protocol)):
        chain = only_chain(resource, policy("MeshTrafficPermission", "all", **{"from": [allow()]}))
        context = chain["transportSocket"]["typedConfig"]
        common = context["commonTlsContext"]
        assert context["requireClientCertificate"] is True
        assert common["tlsCertificateSdsSecretConfigs"][0]["name"] == "identity_cert:secret:m"
        combined = common["combinedValidationContext"]
        assert combined["validationContextSdsSecretConfig"]["name"] == "mesh_ca:secret:m"
        names = combined["defaultValidationContext"]["matchTypedSubjectAltNames"]
        assert names == [{"sanType": "URI", "matcher": {"prefix": "spiffe://m/"}}]
        assert ("network.tcp_proxy" in filters(chain)) == (kind == "tcp")
        assert ("http.rbac" in filters(chain)) == (kind == "http")


def allow(action: str = "Allow", **tags: str) -> dict[str, Any]:
    client = {"kind": "MeshSubset", "tags": tags} if tags else {"kind": "Mesh"}
    return {"targetRef": client, "default": {"action": action}}


@pytest.mark.parametrize(
    ("permissions", "filter_name", "said"),
    [
        ([], "http.rbac", {}),
        ([("TrafficPermission", "*")], "network.rbac", {"policies": {"p": EVERYBODY}}),
        ([("TrafficPermission", "other")], "http.rbac", {}),
        ([("MeshTrafficPermission", "Allow")], "http.rbac", {"policies": {"MeshTrafficPermission": EVERYBODY}}),
        ([("MeshTrafficPermission", "Deny")], "http.rbac", {}),
        ([("TrafficPermission", "*"), ("MeshTrafficPermission", "Deny")], "http.rbac", {}),
    ],
)
def test_permissions_are_about_external_services(
    permissions: list[tuple[str, str]], filter_name: str, said: dict[str, Any]
) -> None:
    given = []
    for kind, word in permissions:
        if kind == "TrafficPermission":
            ends: Any = {
                "sources": [{"match": {"kuma.io/service": "*"}}],
                "destinations": [{"match": {"kuma.io/service": word}}],
            }
            given.append(made(kind, "p", **ends))
        else:
            given.append(policy(kind, "p", **{"from": [allow(word)]}))
    found = filters(only_chain(external(), *given))
    assert found[filter_name]["rules"] == said
    assert sum(name.endswith("rbac") for name in found) == 1


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize("is_forbidden", [False, True])
def test_a_mesh_says_whether_mesh_external_services_may_be_called(protocol: str, is_forbidden: bool) -> None:
    routing = {"defaultForbidMeshExternalServiceAccess": is_forbidden}
    mesh = worlds.a_mesh(mtls=worlds.BUILTIN, routing=routing)
    deny = policy("MeshTrafficPermission", "p", **{"from": [allow("Deny")]})
    found = filters(only_chain(mesh, mesh_external(protocol=protocol), deny))
    said = found["http.rbac" if protocol == "http" else "network.rbac"]["rules"]
    assert said == ({} if is_forbidden else {"policies": {"MeshTrafficPermission": EVERYBODY}})


def test_requests_go_on_under_the_name_of_the_host() -> None:
    manager = filters(only_chain(mesh_external()))["network.http_connection_manager"]
    (host,) = manager["routeConfig"]["virtualHosts"]
    (route,) = host["routes"]
    assert route["route"] == {"cluster": "m_out___extsvc_9000", "timeout": "0s", "autoHostRewrite": True}


def test_priorities_are_localities() -> None:
    cluster = only_cluster(
        mesh_external(
            {"address": "b.example", "port": 443, "priority": 1},
            {"address": "c.example", "port": 443},
            {"address": "a.example", "port": 443},
        )
    )
    found = [
        (each["locality"]["subZone"], each.get("priority", 0), [host(one) for one in each["lbEndpoints"]])
        for each in cluster["loadAssignment"]["endpoints"]
    ]
    assert found == [("priority-0", 0, ["a.example", "c.example"]), ("priority-1", 1, ["b.example"])]


def host(endpoint: Mapping[str, Any]) -> str:
    return str(endpoint["endpoint"]["address"]["socketAddress"]["address"])


@pytest.mark.parametrize(
    ("addresses", "own_address", "kind", "family"),
    [
        (["1.2.3.4"], ADDRESS, "STATIC", None),
        (["1.2.3.4", "h.example"], ADDRESS, "STRICT_DNS", "V4_ONLY"),
        (["h.example"], "fd00::1", "STRICT_DNS", None),
    ],
)
def test_hosts_are_looked_up_where_there_are_names(
    addresses: list[str], own_address: str, kind: str, family: str | None
) -> None:
    resource = mesh_external(*({"address": each, "port": 1} for each in addresses))
    cluster = only_cluster(resource, subject=egress(address=own_address))
    assert (cluster.get("type", "STATIC"), cluster.get("dnsLookupFamily")) == (kind, family)


NAMES = [{"sanType": kind, "matcher": {"exact": "h.example"}} for kind in ("DNS", "IP_ADDRESS")]
FILE = {"filename": "/roots"}
INLINE = {"inlineBytes": base64.b64encode(b"ROOTS").decode()}


@pytest.mark.parametrize(
    ("verification", "sni", "validation"),
    [
        (None, "h.example", {"trustedCa": FILE, "matchTypedSubjectAltNames": NAMES}),
        ({}, "h.example", {"trustedCa": FILE, "matchTypedSubjectAltNames": NAMES}),
        ({"caCert": {"inlineString": "ROOTS"}}, "h.example", {"trustedCa": INLINE, "matchTypedSubjectAltNames": NAMES}),
        ({"caCert": {"secret": "roots"}}, "h.example", {"trustedCa": INLINE, "matchTypedSubjectAltNames": NAMES}),
        (
            {"serverName": "s.example"},
            "s.example",
            {
                "trustedCa": FILE,
                "matchTypedSubjectAltNames": [{**each, "matcher": {"exact": "s.example"}} for each in NAMES],
            },
        ),
        (
            {"subjectAltNames": [{"type": "Prefix", "value": "p."}]},
            "h.example",
            {
                "trustedCa": FILE,
                "matchTypedSubjectAltNames": [*NAMES, *({**each, "matcher": {"prefix": "p."}} for each in NAMES)],
            },
        ),
        ({"mode": "SkipSAN", "serverName": "s.example"}, "h.example", {"trustedCa": FILE}),
        ({"mode": "SkipCA", "serverName": "s.example"}, "s.example", None),
        ({"mode": "SkipAll", "serverName": "s.example"}, "h.example", None),
    ],
)
def test_modes_say_what_is_verified(verification: Any, sni: str, validation: Any) -> None:
    tls = {"enabled": True} | ({"verification": verification} if verification is not None else {})
    secret = worlds.resource({"type": "Secret", "name": "roots", "data": base64.b64encode(b"ROOTS").decode()})
    context = upstream(only_cluster(mesh_external(tls=tls), secret, subject=egress(systemCaPath="/roots")))
    assert context["sni"] == sni
    assert context.get("commonTlsContext", {}).get("validationContext") == validation


def test_addresses_are_verified_where_there_is_no_name() -> None:
    resource = mesh_external(
        {"address": "1.2.3.4", "port": 1}, {"address": "1.2.3.5", "port": 1}, tls={"enabled": True}
    )
    context = upstream(only_cluster(resource, subject=egress(systemCaPath="/roots")))
    assert "sni" not in context
    names = context["commonTlsContext"]["validationContext"]["matchTypedSubjectAltNames"]
    assert [each["matcher"]["exact"] for each in names] == ["1.2.3.4", "1.2.3.4", "1.2.3.5", "1.2.3.5"]


def test_tls_is_spoken_in_the_versions_and_with_the_certificate_that_are_asked_for() -> None:
    pair = {"clientCert": {"inlineString": "CERT"}, "clientKey": {"inlineString": "KEY"}}
    tls = {
        "enabled": True,
        "version": {"min": "TLS12", "max": "TLS13"},
        "allowRenegotiation": True,
        "verification": pair,
    }
    context = upstream(only_cluster(mesh_external(tls=tls), subject=egress(systemCaPath="/roots")))
    common = context["commonTlsContext"]
    assert context["allowRenegotiation"] is True
    assert common["tlsParams"] == {"tlsMinimumProtocolVersion": "TLSv1_2", "tlsMaximumProtocolVersion": "TLSv1_3"}
    (shown,) = common["tlsCertificates"]
    assert shown["privateKey"] == {"inlineBytes": base64.b64encode(b"KEY").decode()}


@pytest.mark.parametrize(
    "verification",
    [
        {},
        {"caCert": {"secret": "gone"}},
        {"mode": "SkipCA", "clientCert": {"secret": "gone"}, "clientKey": {"inline": "YQ=="}},
    ],
)
def test_nobody_is_dialled_without_the_certificates_that_it_takes(verification: dict[str, Any]) -> None:
    found = own(mesh_external(tls={"enabled": True, "verification": verification}))
    assert not found.sets
    assert found.problems == ("MeshExternalService out: its TLS asks for certificates that are not at hand",)


def test_an_external_service_without_its_certificates_is_left_out() -> None:
    found = own(external(caCert={"secret": "gone"}), external("other"))
    assert list(read(found, xds.CLUSTER)) == ["m:other"]
    assert found.problems == ("ExternalService ext: its TLS asks for certificates that are not at hand",)


def test_what_an_extension_answers_for_is_left_alone() -> None:
    assert not own(mesh_external(extension={"type": "Lambda"})).sets


def route(kind: str = "MeshHTTPRoute", **tags: str) -> res.Resource[Any]:
    backends = [{"kind": "MeshServiceSubset", "name": "ext", "tags": tags}]
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}] if kind == "MeshHTTPRoute" else None
    rule = {"default": {"backendRefs": backends}} | ({"matches": matches} if matches else {})
    return policy(kind, "r", to=[{"targetRef": {"kind": "MeshService", "name": "ext"}, "rules": [rule]}])


def traffic_route(**conf: Any) -> res.Resource[Any]:
    everything = [{"match": {"kuma.io/service": "*"}}]
    return made("TrafficRoute", "t", sources=everything, destinations=everything, conf=conf)


@pytest.mark.parametrize(
    ("routes", "names"),
    [
        ([], ["ext{mesh=m}"]),
        ([route(version="v1")], ["ext{mesh=m,version=v1}", "ext{mesh=m}"]),
        ([route("MeshTCPRoute", version="v1")], ["ext{mesh=m,version=v1}", "ext{mesh=m}"]),
        ([traffic_route(destination={"kuma.io/service": "*"})], ["ext{mesh=m}"]),
        ([traffic_route(destination={"kuma.io/service": "other"})], []),
        (
            [
                traffic_route(
                    destination={"kuma.io/service": "*"},
                    http=[{"split": [{"weight": 1, "destination": {"kuma.io/service": "ext", "version": "v1"}}]}],
                )
            ],
            ["ext{mesh=m,version=v1}", "ext{mesh=m}"],
        ),
    ],
)
def test_a_service_is_asked_for_by_what_routes_name(routes: list[Any], names: list[str]) -> None:
    found = own(external(), *routes)
    assert (list(chains(found)) if names else list(found.sets)) == names


def ingress(*versions: str) -> res.Resource[Any]:
    services = [
        {"tags": {"kuma.io/service": "far", "version": each}, "instances": at + 1, "mesh": "m"}
        for at, each in enumerate(versions)
    ]
    networking = {"address": "10.1.0.1", "advertisedAddress": "10.1.0.1", "port": 10001, "advertisedPort": 10001}
    document = {
        "type": "ZoneIngress",
        "name": "i",
        "zone": "east",
        "networking": networking,
        "availableServices": services,
    }
    return codec.decode(KINDS["ZoneIngress"], document)


def test_other_zones_are_reached_through_it_where_the_mesh_says_so() -> None:
    assert not own(MESH, ingress("v1")).sets
    mesh = worlds.a_mesh(mtls=worlds.BUILTIN, routing={"zoneEgress": True})
    found = own(mesh, ingress("v1"))
    assert read(found, xds.CLUSTER)["m:far"]["type"] == "EDS"
    (zone,) = read(found, xds.ENDPOINT)["m:far"]["endpoints"]
    assert host(zone["lbEndpoints"][0]) == "10.1.0.1"
    chain = chains(found)["far{mesh=m}"]
    assert "transportSocket" not in chain
    assert xds.SECRET not in found.sets


def test_a_subset_of_what_another_zone_has_is_picked_by_its_tags() -> None:
    mesh = worlds.a_mesh(mtls=worlds.BUILTIN, routing={"zoneEgress": True})
    split = [{"weight": 1, "destination": {"kuma.io/service": "far", "version": "v1"}}]
    found = own(mesh, ingress("v1", "v2"), traffic_route(split=split))
    chain = chains(found)["far{mesh=m,version=v1}"]
    wanted = filters(chain)["network.tcp_proxy"]["metadataMatch"]["filterMetadata"]
    assert wanted == {"envoy.lb": {"version": "v1"}}
    selector = {"keys": ["version"], "fallbackPolicy": "NO_FALLBACK"}
    subsets = read(found, xds.CLUSTER)["m:far"]["lbSubsetConfig"]
    assert subsets == {"fallbackPolicy": "ANY_ENDPOINT", "subsetSelectors": [selector]}


def test_policies_about_a_mesh_external_service_shape_its_cluster() -> None:
    limits = policy("MeshCircuitBreaker", "cb", **to_out({"connectionLimits": {"maxConnections": 7}}))
    checks = policy("MeshHealthCheck", "hc", **to_out({"http": {"path": "/ok"}, "interval": "3s"}))
    balancing = {"loadBalancer": {"type": "RingHash"}, "hashPolicies": [{"type": "Header", "header": {"name": "x"}}]}
    strategy = policy("MeshLoadBalancingStrategy", "lb", **to_out(balancing))
    found = own(mesh_external(), limits, checks, strategy)
    cluster = read(found, xds.CLUSTER)["m_out___extsvc_9000"]
    assert cluster["circuitBreakers"]["thresholds"][0]["maxConnections"] == 7
    assert cluster["healthChecks"][0]["httpHealthCheck"]["path"] == "/ok"
    assert cluster["lbPolicy"] == "RING_HASH"
    assert cluster["loadAssignment"]["endpoints"][0]["locality"] == {"subZone": "priority-0"}
    (chain,) = chains(found).values()
    (virtual,) = filters(chain)["network.http_connection_manager"]["routeConfig"]["virtualHosts"]
    assert virtual["routes"][0]["route"]["hashPolicy"] == [{"header": {"headerName": "x"}}]
    authors = {each.name for each in found.authors[xds.CLUSTER, "m_out___extsvc_9000"]}
    assert authors == {"m", "out", "cb", "hc", "lb"}


def test_policies_about_clients_shape_the_chains_of_an_external_service() -> None:
    rate = {"requestRate": {"num": 3, "interval": "10s"}}
    about = {"targetRef": {"kind": "MeshService", "name": "ext"}}
    limit = policy(
        "MeshRateLimit",
        "rl",
        **about,
        **{"from": [{"targetRef": {"kind": "Mesh"}, "default": {"local": {"http": rate}}}]},
    )
    fault = {"http": [{"abort": {"httpStatus": 500, "percentage": 50}}]}
    faults = policy(
        "MeshFaultInjection", "fi", **about, **{"from": [{"targetRef": {"kind": "Mesh"}, "default": fault}]}
    )
    found = chains(own(external(), external("other"), limit, faults))
    assert {"http.local_ratelimit", "http.fault"} <= filters(found["ext{mesh=m}"]).keys()
    assert {"http.local_ratelimit", "http.fault"}.isdisjoint(filters(found["other{mesh=m}"]))


def test_timeouts_are_for_the_proxies_that_call() -> None:
    timeout = policy("MeshTimeout", "t", **to_out({"connectionTimeout": "1s"}))
    assert only_cluster(mesh_external(), timeout)["connectTimeout"] == "5s"


def test_unified_names_tell_of_what_they_stand_for() -> None:
    found = own(mesh_external(), subject=egress(proxy.UNIFIED_NAMING))
    assert list(read(found, xds.LISTENER)) == [f"self_inbound_ze_{PORT}"]
    assert list(read(found, xds.CLUSTER)) == ["kri_extsvc_m___out_9000"]
    assert set(read(found, xds.SECRET)) == {"system_mtls_identity_m", "system_mtls_ca_m"}


def test_the_admin_interface_is_where_the_resource_says() -> None:
    metadata = {"dataplane.admin.port": "9901", "dataplane.readinessReporter.port": "9902"}
    assert set(read(own(subject=egress(**metadata)), xds.CLUSTER)) == {"kuma:envoy:admin", "kuma:readiness"}


def test_equal_pictures_give_equal_configurations() -> None:
    resources = [MESH, external(), mesh_external()]
    assert own(*resources).sets == own(*(replace(each) for each in resources)).sets
