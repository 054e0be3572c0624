"""TLS contexts and secrets of proxies whose identity comes from a MeshIdentity, and of those beside them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from kuma.compiler import compile
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import proxy
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import meshservice
from tests.kit import targets, worlds
from tests.unit.compiler import reading

DOMAIN = "m.default.mesh.local"
KRI = "kri_mid_m___all_"
EXCLUSIVE = {"meshServices": {"mode": "Exclusive"}}
MTLS = {**EXCLUSIVE, "mtls": worlds.BUILTIN}
BY_MESH = compile.Identity(b"cert", b"key", b"roots")
BY_IDENTITY = compile.Identity(b"own cert", b"own key", b"")
READY = conditions.Status((conditions.Condition("Ready", "True", "Ready", ""),))


def an_identity(name: str = "all", provider: str = "Bundled", path: str = "", **wanted: str) -> res.Resource[Any]:
    providing = {
        "type": provider,
        "bundled": {"autogenerate": {"enabled": True}},
        "spire": {"agent": {"timeout": "3s"}},
    }
    spec = {"selector": {"dataplane": {"matchLabels": wanted}}, "provider": providing}
    if path:
        spec["spiffeID"] = {"path": path}
    found = worlds.resource({"type": "MeshIdentity", "name": name, "spec": spec})
    return dataclasses.replace(found, status=READY)


def a_trust(name: str = "all", domain: str = DOMAIN) -> res.Resource[Any]:
    bundles = [{"type": "Pem", "pem": {"value": f"PEM of {name}"}}]
    return worlds.resource({"type": "MeshTrust", "name": name, "spec": {"trustDomain": domain, "caBundles": bundles}})


def a_service(*identities: tuple[str, str], ready: bool = True, **labels: str) -> res.Resource[Any]:
    spec = {
        "selector": {"dataplaneTags": {"kuma.io/service": "api"}},
        "ports": [{"port": 80, "name": "main", "appProtocol": "http"}],
        "identities": [{"type": kind, "value": value} for kind, value in identities],
    }
    found = worlds.resource({"type": "MeshService", "name": "api", "labels": labels, "spec": spec})
    status = meshservice.MeshServiceStatus(tls=meshservice.Tls("Ready" if ready else "NotReady"))
    return dataclasses.replace(found, status=status)


SERVICE = a_service(("ServiceTag", "api"), ("SpiffeID", f"spiffe://{DOMAIN}/workload/api"))


API = {"kind": "MeshService", "name": "api", "port": 80}
ALL = {"kind": "MeshMultiZoneService", "name": "all", "port": 80}


def a_client(backend: Mapping[str, Any] = API, **labels: str) -> res.Resource[Any]:
    return worlds.resource(
        {
            "type": "Dataplane",
            "name": "web",
            "labels": {"kuma.io/workload": "web", **labels},
            "networking": {
                "address": "192.168.0.1",
                "inbound": [{"port": 8080, "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"}}],
                "outbound": [
                    {"port": 10001, "backendRef": backend},
                    {"port": 10002, "tags": {"kuma.io/service": "old"}},
                ],
            },
        }
    )


def compiled(*resources: res.Resource[Any], mesh: Any = EXCLUSIVE, **issued: Any) -> xds.Snapshot:
    made = picture(*resources, mesh=mesh)
    subject = proxy.facts_of(made.dataplanes["web"], {})
    compiler = compile.Compiler(worlds.POLICIES)
    given = {"by_mesh": BY_MESH if made.backend else None, "by_identity": BY_IDENTITY, **issued}
    said = compiler.match(made, subject)
    own = compiler.own(made, subject, said, compile.Issued(**given), None)
    return compile.snapshot(own, compiler.shape(made, subject, said))


def picture(*resources: res.Resource[Any], mesh: Any) -> view.MeshView:
    return worlds.world([worlds.a_mesh(**mesh), *resources]).meshes["m"]


def upstream(snapshot: xds.Snapshot, cluster: str) -> dict[str, Any] | None:
    found = reading.read(snapshot, xds.CLUSTER)[cluster].get("transportSocket")
    return found["typedConfig"] if found else None


def downstream(snapshot: xds.Snapshot) -> dict[str, Any] | None:
    chains = reading.read(snapshot, xds.LISTENER)["inbound:192.168.0.1:8080"]["filterChains"]
    assert len(chains) == 1
    found = chains[0].get("transportSocket")
    return found["typedConfig"] if found else None


def names(context: dict[str, Any] | None) -> tuple[str, str, list[str]]:
    """Secrets with certificate and roots, and URIs that the peer must have."""
    assert context is not None
    common = context["commonTlsContext"]
    combined = common["combinedValidationContext"]
    sans = combined["defaultValidationContext"].get("matchTypedSubjectAltNames", [])
    uris = [value for each in sans for value in each["matcher"].values()]
    identity = common["tlsCertificateSdsSecretConfigs"][0]["name"]
    return identity, combined["validationContextSdsSecretConfig"]["name"], uris


def test_an_identity_is_shown_to_everybody() -> None:
    made = compiled(an_identity(), a_trust(), a_trust("z", "a.io"), SERVICE, a_client())
    assert names(downstream(made)) == (KRI, "system_trust_bundle", ["spiffe://a.io/", f"spiffe://{DOMAIN}/"])
    context = upstream(made, "m_api___msvc_80")
    assert names(context) == (
        KRI,
        "system_trust_bundle",
        [f"spiffe://{DOMAIN}/workload/api", "spiffe://m/api"],
    )
    assert context is not None
    assert context["sni"] == "sni.msvc.m.api.main"
    assert upstream(made, "old") is None, "nobody there has a certificate"
    secrets = reading.read(made, xds.SECRET)
    assert set(secrets) == {KRI, "system_trust_bundle"}
    trusted = secrets["system_trust_bundle"]["validationContext"]["customValidatorConfig"]["typedConfig"]
    assert [each["name"] for each in trusted["trustDomains"]] == ["a.io", DOMAIN]


def test_what_was_issued_in_vain_is_neither_shown_nor_trusted() -> None:
    made = compiled(an_identity(), a_trust(), SERVICE, a_client(), by_mesh=BY_MESH)
    secrets = reading.read(made, xds.SECRET)
    assert set(secrets) == {KRI, "system_trust_bundle"}
    trusted = secrets["system_trust_bundle"]["validationContext"]["customValidatorConfig"]["typedConfig"]
    assert [each["name"] for each in trusted["trustDomains"]] == [DOMAIN]


def test_without_labels_that_an_identity_asks_for_there_is_none() -> None:
    made = compiled(an_identity(app="x"), a_trust(), SERVICE, a_client(), by_identity=None)
    assert downstream(made) is None
    assert upstream(made, "m_api___msvc_80") is None
    assert not list(made.of(xds.SECRET))


def test_a_proxy_of_the_mesh_authority_beside_identities_trusts_all_and_asks_for_no_names() -> None:
    made = compiled(an_identity(app="x"), a_trust(), SERVICE, a_client(), mesh=MTLS, by_identity=None)
    shown = ("identity_cert:secret:m", "system_trust_bundle", [])
    assert names(downstream(made)) == shown
    assert names(upstream(made, "m_api___msvc_80")) == shown
    assert names(upstream(made, "old")) == shown
    secrets = reading.read(made, xds.SECRET)
    assert set(secrets) == {"identity_cert:secret:m", "system_trust_bundle"}
    trusted = secrets["system_trust_bundle"]["validationContext"]["customValidatorConfig"]["typedConfig"]
    assert [each["name"] for each in trusted["trustDomains"]] == ["m", DOMAIN]


def test_an_identity_in_a_mesh_with_an_authority_shows_that_one_to_services_by_tag() -> None:
    made = compiled(an_identity(), a_trust(), SERVICE, a_client(), mesh=MTLS)
    assert names(downstream(made)) == (KRI, "system_trust_bundle", ["spiffe://m/", f"spiffe://{DOMAIN}/"])
    assert names(upstream(made, "m_api___msvc_80"))[0] == KRI
    assert names(upstream(made, "old")) == ("identity_cert:secret:m", "system_trust_bundle", [])
    assert {each.name for each in made.of(xds.SECRET)} == {KRI, "identity_cert:secret:m", "system_trust_bundle"}


BY_TAG, BY_ID = ("ServiceTag", "api"), ("SpiffeID", "spiffe://a.io/api")


@pytest.mark.parametrize(
    ("mesh", "told", "behind", "expected"),
    [
        (EXCLUSIVE, [BY_TAG], {"app": "other"}, False),
        (EXCLUSIVE, [], {"app": "other"}, False),
        (EXCLUSIVE, [], None, True),
        (EXCLUSIVE, [BY_TAG], None, True),
        (EXCLUSIVE, [], {"app": "ours"}, True),
        (EXCLUSIVE, [BY_TAG], {"app": "ours"}, True),
        (EXCLUSIVE, [BY_TAG, BY_ID], {"app": "other"}, True),
        (MTLS, [BY_TAG], {"app": "other"}, True),
    ],
    ids=[
        "nobody there has one",
        "nobody there has one, and nothing is told",
        "nobody is there, and nothing is told",
        "nobody is there",
        "somebody has one, and nothing is told yet",
        "somebody has one, and that is not told yet",
        "somebody had one",
        "mutual TLS of the mesh",
    ],
)
def test_clients_speak_plaintext_only_where_servers_take_nothing_else(
    mesh: Any, told: Any, behind: dict[str, str] | None, expected: bool
) -> None:
    """Whatever the MeshService says at that moment, because it is written after its proxies have changed."""
    server = () if behind is None else (targets.a_proxy("api", targets.an_inbound(), **behind),)
    ours = (an_identity(app="ours"), a_trust(), a_client(app="ours"))
    made = compiled(*ours, a_service(*told), *server, mesh=mesh)
    assert (upstream(made, "m_api___msvc_80") is not None) is expected


def test_a_service_of_another_zone_is_never_asked_in_plaintext() -> None:
    far = a_far_service("west")
    far = dataclasses.replace(far, spec=msgspec.structs.replace(far.spec, identities=()))
    away = a_client({"kind": "MeshService", "labels": {"kuma.io/display-name": "api"}, "port": 80}, app="ours")
    made = compiled(an_identity(app="ours"), a_trust(), a_way("ZoneIngress", "west", "10.0.0.1"), far, away)
    context = upstream(made, "m_api__west_msvc_80")
    assert context is not None
    assert names(context)[2] == [], "all that is trusted, until it is known who is there"


EXTERNAL = {"kind": "MeshExternalService", "name": "ext"}
OF_ZONE = worlds.resource({"type": "ZoneEgress", "name": "e", "networking": {"address": "10.0.0.9", "port": 10002}})
OF_MESH = worlds.resource(
    {
        "type": "Dataplane",
        "name": "egress",
        "labels": {"kuma.io/workload": "egress"},
        "networking": {"address": "10.0.0.8", "listeners": [{"type": "ZoneEgress", "port": 11002}]},
    }
)


@pytest.mark.parametrize(
    ("mesh", "egresses", "shown"),
    [
        (EXCLUSIVE, [OF_ZONE], (KRI, "system_trust_bundle", [])),
        (EXCLUSIVE, [OF_MESH], (KRI, "system_trust_bundle", [f"spiffe://{DOMAIN}/workload/egress"])),
        (MTLS, [OF_ZONE], ("identity_cert:secret:m", "system_trust_bundle", [])),
        (MTLS, [OF_ZONE, OF_MESH], (KRI, "system_trust_bundle", [f"spiffe://{DOMAIN}/workload/egress"])),
    ],
    ids=[
        "refused by the zone's",
        "the mesh's own",
        "by the mesh's authority to the zone's",
        "the mesh's own goes first",
    ],
)
def test_nothing_leaves_the_mesh_in_plaintext(mesh: Any, egresses: Any, shown: Any) -> None:
    match = {"port": 443, "protocol": "http"}
    ext = worlds.resource({"type": "MeshExternalService", "name": "ext", "spec": {"match": match}})
    made = compiled(an_identity(), a_trust(), ext, *egresses, a_client(EXTERNAL), mesh=mesh)
    assert names(upstream(made, "m_ext___extsvc_443")) == shown


def test_the_mode_of_the_mesh_authority_says_nothing_about_identities() -> None:
    permissive = {"enabledBackend": "b", "backends": [{"name": "b", "type": "builtin", "mode": "PERMISSIVE"}]}
    made = compiled(an_identity(), a_trust(), SERVICE, a_client(), mesh={**EXCLUSIVE, "mtls": permissive})
    assert names(downstream(made))[0] == KRI


def test_a_service_of_a_zone_without_a_way_of_the_mesh_is_asked_for_by_its_old_name() -> None:
    far = a_service(
        ("SpiffeID", "spiffe://a.io/api"),
        **{"kuma.io/zone": "west", "kuma.io/origin": "global", "kuma.io/env": "universal"},
    )
    client = a_client(**{"kuma.io/zone": "west"})
    way = worlds.resource(
        {
            "type": "MeshZoneAddress",
            "name": "west",
            "labels": {"kuma.io/zone": "west"},
            "spec": {"address": "10.0.0.1", "port": 1},
        }
    )
    for more, expected in (((), "a"), ((way,), "sni.msvc.m.west.api.main")):
        made = compiled(an_identity(), a_trust(), far, client, *more)
        context = upstream(made, "m_api__west_msvc_80")
        assert context is not None
        assert context["sni"].startswith(expected)


def a_way(kind: str, zone: str, address: str) -> res.Resource[Any]:
    """An address where a zone is entered: of the mesh's own proxies, or of the zone's ingress."""
    if kind == "MeshZoneAddress":
        spec = {"spec": {"address": address, "port": 1}}
        return worlds.resource({"type": kind, "name": zone, "labels": {"kuma.io/zone": zone}, **spec})
    networking = {"address": "1.1.1.1", "advertisedAddress": address, "port": 1, "advertisedPort": 1}
    return worlds.resource({"type": kind, "name": zone, "zone": zone, "networking": networking})


def a_far_service(zone: str) -> res.Resource[Any]:
    labels = {"kuma.io/zone": zone, "kuma.io/origin": "global", "kuma.io/display-name": "api"}
    spec = {
        "ports": [{"port": 80, "appProtocol": "http"}],
        "identities": [{"type": "SpiffeID", "value": f"spiffe://{zone}.io/api"}],
        "state": "Available",
    }
    return worlds.resource({"type": "MeshService", "name": f"api-{zone}", "labels": labels, "spec": spec})


HASHED = "a0b84a084d0df0a81.all.80.m.mzms"
IDENTIFIER = "sni.mzsvc.m.all.80"


EAST, WEST = {"east": HASHED}, {"west": HASHED}


@pytest.mark.parametrize(
    ("kinds", "by_identity", "by_mesh"),
    [
        ({"east": "MeshZoneAddress", "west": "MeshZoneAddress"}, (IDENTIFIER, {}), (IDENTIFIER, {})),
        ({"east": "MeshZoneAddress", "west": "ZoneIngress"}, (IDENTIFIER, WEST), (IDENTIFIER, WEST)),
        ({"east": "ZoneIngress", "west": "ZoneIngress"}, (HASHED, {}), (HASHED, {})),
        ({"here": "", "west": "ZoneIngress"}, (IDENTIFIER, WEST), (HASHED, {})),
        ({"here": "", "west": "MeshZoneAddress"}, (IDENTIFIER, {}), (IDENTIFIER, {})),
        ({"here": "", "east": "ZoneIngress", "west": "ZoneIngress"}, (IDENTIFIER, {**EAST, **WEST}), (HASHED, {})),
        ({}, (IDENTIFIER, {}), (HASHED, {})),
    ],
    ids=[
        "ways of the mesh",
        "one of each",
        "ingresses",
        "here and an ingress",
        "here and a way",
        "here and two",
        "none",
    ],
)
def test_a_service_of_many_zones_is_asked_for_by_the_name_that_each_of_them_knows(
    kinds: dict[str, str], by_identity: tuple[str, dict[str, str]], by_mesh: tuple[str, dict[str, str]]
) -> None:
    ways = [a_way(kind, zone, f"10.0.0.{at}") for at, (zone, kind) in enumerate(kinds.items()) if kind]
    far = [a_far_service(zone) for zone, kind in kinds.items() if kind]
    near = [SERVICE, targets.a_proxy("api", targets.an_inbound(state="Ready"))] if "here" in kinds else []
    behind = [("", "api") if zone == "here" else (zone, "api") for zone in kinds]
    around = [*ways, *far, *near, targets.a_gathering(*behind), a_client(ALL)]
    assert names_asked(compiled(an_identity(), a_trust(), *around)) == by_identity
    assert names_asked(compiled(*around, mesh=MTLS, by_identity=None)) == by_mesh


def names_asked(made: xds.Snapshot) -> tuple[str, dict[str, str]]:
    """The server name that a client asks for, and by zone where that is another one."""
    cluster = reading.read(made, xds.CLUSTER)["m_all___mzsvc_80"]
    context = cluster["transportSocket"]["typedConfig"]
    matches = cluster.get("transportSocketMatches", [])
    by_zone = {each["match"]["kuma.io/zone"]: each["transportSocket"]["typedConfig"] for each in matches}
    assert [each["name"] for each in matches] == sorted(by_zone)
    for each in by_zone.values():
        assert {**each, "sni": context["sni"]} == context, "all but the name is the same"
    return context["sni"], {zone: one["sni"] for zone, one in by_zone.items()}


def test_spire_hands_out_certificates_itself() -> None:
    made = compiled(an_identity(provider="Spire"), SERVICE, a_client(), by_identity=None)
    own = f"spiffe://{DOMAIN}/workload/web"
    assert names(downstream(made)) == (own, "ALL", [])
    context = upstream(made, "m_api___msvc_80")
    assert names(context)[:2] == (own, "ALL")
    assert context is not None
    source = context["commonTlsContext"]["tlsCertificateSdsSecretConfigs"][0]["sdsConfig"]["apiConfigSource"]
    assert source["grpcServices"] == [{"envoyGrpc": {"clusterName": "system_identity_sds-spire-agent"}}]
    agent = reading.read(made, xds.CLUSTER)["system_identity_sds-spire-agent"]
    address = agent["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]["address"]
    assert (address, agent["connectTimeout"]) == ({"pipe": {"path": compile.SPIRE_SOCKET}}, "3s")
    assert not list(made.of(xds.SECRET))


@pytest.mark.parametrize("lacking", ["by_identity", "by_mesh"])
def test_without_a_certificate_there_is_no_configuration(lacking: str) -> None:
    with pytest.raises(compile.MissingIdentity):
        compiled(an_identity(), a_trust(), SERVICE, a_client(), mesh=MTLS, **{lacking: None})


@pytest.mark.parametrize("provider", ["Bundled", "Spire"])
def test_who_cannot_be_named_does_not_go_back_to_plaintext(provider: str) -> None:
    nameless = an_identity(provider=provider, path='/team/{{ label "team" }}')
    assert compiled(nameless, SERVICE, a_client(team="a"))
    with pytest.raises(compile.MissingIdentity):
        compiled(nameless, SERVICE, a_client(), by_identity=None)


def test_shapes_are_apart_where_identities_are() -> None:
    keys = set()
    for resources in ((), (an_identity(), a_trust()), (an_identity("b"), a_trust())):
        made = picture(*resources, SERVICE, a_client(), mesh=EXCLUSIVE)
        compiler = compile.Compiler(worlds.POLICIES)
        subject = proxy.facts_of(made.dataplanes["web"], {})
        keys.add(hash(compile.shape_key(made, subject, compiler.match(made, subject))[-1]))  # type: ignore[index]
    assert len(keys) == 3
