"""Destinations beyond the mesh: what the clusters of their clients look like, with an egress and without."""

import base64
from typing import Any

import pytest

from kuma.mesh import view
from tests.kit import routes, worlds

ROOTS = "-----BEGIN CERTIFICATE-----"


def outside(address: str = "h.example:443", protocol: str = "http", **tls: Any) -> Any:
    """An ExternalService `ext`; `tls` is its TLS."""
    networking: dict[str, Any] = {"address": address} | ({"tls": {"enabled": True, **tls}} if tls else {})
    tags = {"kuma.io/service": "ext", "kuma.io/protocol": protocol}
    return worlds.resource({"type": "ExternalService", "name": "e-1", "networking": networking, "tags": tags})


def client(address: str = "192.168.0.1") -> Any:
    return worlds.a_dataplane("web-1", "web", address=address, outbounds={"ext": routes.OUTBOUND})


def options(cluster: dict[str, Any]) -> set[str]:
    """The protocols that a cluster is spoken to in."""
    found = cluster.get("typedExtensionProtocolOptions", {})
    return {key for each in found.values() for key in each["explicitHttpConfig"]}


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("http", {"httpProtocolOptions"}),
        ("http2", {"http2ProtocolOptions"}),
        ("grpc", {"http2ProtocolOptions"}),
        ("tcp", set()),
    ],
)
def test_it_is_spoken_to_in_its_own_protocol(protocol: str, expected: set[str]) -> None:
    assert options(routes.compiled(client(), outside(protocol=protocol))["clusters"]["ext"]) == expected


@pytest.mark.parametrize(
    ("address", "own", "kind", "family"),
    [
        ("h.example:443", "192.168.0.1", "STRICT_DNS", "V4_ONLY"),
        ("h.example:443", "fd00::1", "STRICT_DNS", None),
        ("1.2.3.4:443", "192.168.0.1", "STATIC", None),
        ("[fd00::2]:443", "192.168.0.1", "STATIC", None),
    ],
)
def test_a_proxy_dials_it_by_itself(address: str, own: str, kind: str, family: str | None) -> None:
    snapshot = routes.compiled(client(own), outside(address), mtls=True)
    cluster = snapshot["clusters"]["ext"]
    assert (cluster.get("type", "STATIC"), cluster.get("dnsLookupFamily")) == (kind, family)
    dialled = cluster["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]
    host = address.rpartition(":")[0].strip("[]")
    assert dialled == {"address": host, "portValue": 443}
    assert "ext" not in snapshot["endpoints"]
    assert "transportSocket" not in cluster
    assert routes.http(snapshot)[0]["route"]["autoHostRewrite"] is True


def names(*hosts: str) -> list[dict[str, Any]]:
    return [{"sanType": kind, "matcher": {"exact": host}} for host in hosts for kind in ("DNS", "IP_ADDRESS")]


@pytest.mark.parametrize(
    ("address", "tls", "expected"),
    [
        ("h.example:443", {"allowRenegotiation": True}, {"sni": "h.example", "allowRenegotiation": True}),
        ("1.2.3.4:443", {"serverName": "s.example"}, {"sni": "s.example"}),
        ("1.2.3.4:443", {"allowRenegotiation": False}, {}),
        (
            "h.example:443",
            {"caCert": {"inlineString": ROOTS}},
            {"sni": "h.example", "validationContext": {"names": names("h.example")}},
        ),
        (
            "h.example:443",
            {"caCert": {"inline": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}, "skipHostnameVerification": True},
            {"sni": "h.example", "validationContext": {"names": None}},
        ),
    ],
)
def test_it_may_want_tls_of_its_own(address: str, tls: dict[str, Any], expected: dict[str, Any]) -> None:
    cluster = routes.compiled(client(), outside(address, **tls))["clusters"]["ext"]
    (match,) = cluster["transportSocketMatches"]
    assert match["match"] == {"kuma.io/protocol": "http", "kuma.io/external-service-name": "e-1"}
    made = match["transportSocket"]["typedConfig"]
    found = {key: made[key] for key in ("sni", "allowRenegotiation") if key in made}
    trusted = made.get("commonTlsContext", {}).get("validationContext")
    if trusted is not None:
        assert trusted["trustedCa"] == {"inlineBytes": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}
        found["validationContext"] = {"names": trusted.get("matchTypedSubjectAltNames")}
    assert found == expected


def test_the_certificate_of_a_client_stands_beside_what_it_trusts() -> None:
    pair = {"clientCert": {"inlineString": "cert"}, "clientKey": {"inline": "a2V5"}}
    cluster = routes.compiled(client(), outside(caCert={"inlineString": ROOTS}, **pair))["clusters"]["ext"]
    (match,) = cluster["transportSocketMatches"]
    common = match["transportSocket"]["typedConfig"]["commonTlsContext"]
    shown = {"certificateChain": {"inlineBytes": "Y2VydA=="}, "privateKey": {"inlineBytes": "a2V5"}}
    assert common["tlsCertificates"] == [shown]
    assert "trustedCa" in common["validationContext"]


def secret(name: str, content: str) -> Any:
    return worlds.resource({"type": "Secret", "name": name, "data": base64.b64encode(content.encode()).decode()})


def test_certificates_and_keys_may_stand_in_secrets() -> None:
    tls = {"caCert": {"secret": "roots"}, "clientCert": {"secret": "cert"}, "clientKey": {"secret": "key"}}
    secrets = secret("roots", ROOTS), secret("cert", "cert"), secret("key", "key"), secret("other", "other")
    there, inline = (
        routes.compiled(client(), outside(**given), *secrets)["clusters"]["ext"]
        for given in (
            tls,
            {name: {"inlineString": text} for name, text in zip(tls, (ROOTS, "cert", "key"), strict=True)},
        )
    )
    assert there == inline
    assert there["loadAssignment"]["endpoints"]


def test_a_secret_reaches_those_who_dial_with_it_and_nobody_else() -> None:
    tls = {"enabled": True, "verification": {"clientCert": {"secret": "roots"}, "clientKey": {"inline": "a2V5"}}}
    spec = {"match": {"type": "HostnameGenerator", "port": 443, "protocol": "tcp"}, "tls": tls}
    both = (
        outside(caCert={"secret": "roots"}),
        worlds.resource({"type": "MeshExternalService", "name": "too", "spec": spec}),
    )
    before = worlds.world([worlds.a_mesh(), *both, secret("roots", "1")])
    for edit in (view.Edit(secret("roots", "2")), view.Edit(secret("roots", "1"), deleted=True)):
        after, touched = before.advance([edit])
        assert touched.services == {("m", "ext")}
        assert {(mesh, each.name) for mesh, each in touched.destinations} == {("m", "too")}
        assert not touched.meshes
        assert after.meshes["m"].outside is not before.meshes["m"].outside, "an egress looks at this"
    assert not before.advance([view.Edit(secret("other", "2"))])[1]


@pytest.mark.parametrize(
    "tls",
    [
        {"caCert": {"secret": "s"}},
        {"caCert": {"secret": "empty"}},
        {"clientCert": {"inline": "YQ=="}},
        {"clientCert": {"inline": "YQ=="}, "clientKey": {"secret": "s"}},
        {"clientCert": {"secret": "s"}, "clientKey": {"inline": "YQ=="}},
    ],
)
def test_nobody_is_dialled_unverified(tls: dict[str, Any]) -> None:
    cluster = routes.compiled(client(), outside(**tls), secret("empty", ""))["clusters"]["ext"]
    assert "endpoints" not in cluster["loadAssignment"]


def egress() -> Any:
    return worlds.resource(
        {"type": "ZoneEgress", "name": "egress", "zone": "east", "networking": {"address": "10.0.0.9", "port": 10002}}
    )


def test_an_egress_stands_in_between_where_the_mesh_says_so() -> None:
    snapshot = routes.compiled(client(), outside(protocol="tcp"), egress(), mtls=True, routing={"zoneEgress": True})
    cluster = snapshot["clusters"]["ext"]
    context = cluster["transportSocket"]["typedConfig"]
    sans = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert sans["matchTypedSubjectAltNames"] == [{"sanType": "URI", "matcher": {"exact": "spiffe://m/zone-egress"}}]
    assert (context["sni"], cluster["type"], options(cluster)) == ("ext{mesh=m}", "EDS", set())
    assert routes.addresses(snapshot, "ext") == ["10.0.0.9"]


def test_an_egress_is_never_spoken_to_in_plaintext() -> None:
    backends = [{"name": "ca-1", "type": "builtin", "mode": "PERMISSIVE"}]
    mtls = {"enabledBackend": "ca-1", "backends": backends}
    mesh = worlds.a_mesh(mtls=mtls, routing={"zoneEgress": True})
    picture = worlds.world([mesh, outside(), egress(), worlds.a_dataplane("a-1", "api")]).meshes["m"]
    assert {each: picture.speaks_tls(each) for each in ("ext", "api")} == {"ext": True, "api": False}


def mesh_external(protocol: str) -> tuple[Any, ...]:
    match = {"type": "HostnameGenerator", "port": 443, "protocol": protocol}
    backend = {"port": routes.OUTBOUND, "backendRef": {"kind": "MeshExternalService", "name": "ext"}}
    inbound = {"port": 8080, "tags": {"kuma.io/service": "web"}}
    networking = {"address": "192.168.0.1", "inbound": [inbound], "outbound": [backend]}
    return (
        worlds.resource({"type": "MeshExternalService", "name": "ext", "spec": {"match": match}}),
        worlds.resource({"type": "Dataplane", "name": "web-1", "networking": networking}),
    )


@pytest.mark.parametrize(
    ("protocol", "is_reachable", "expected"),
    [
        ("http", True, {"httpProtocolOptions"}),
        ("grpc", True, {"http2ProtocolOptions"}),
        ("tcp", True, set()),
        ("tcp", False, {"http2ProtocolOptions"}),
    ],
)
def test_an_egress_leads_to_mesh_external_services(protocol: str, is_reachable: bool, expected: set[str]) -> None:
    ways = (egress(),) if is_reachable else ()
    (cluster,) = routes.compiled(*mesh_external(protocol), *ways, mtls=True)["clusters"].values()
    assert (cluster["name"], cluster["type"], options(cluster)) == ("m_ext___extsvc_443", "EDS", expected)
