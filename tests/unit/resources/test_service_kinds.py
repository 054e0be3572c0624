"""Rules of services, identities, hostnames, collectors and zone proxies; what destinations show beside their spec."""

import json
from typing import Any

import pytest

from kuma.resources import builtin, catalog, codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res

CATALOG = catalog.Catalog(builtin.CORE_KINDS)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def violations(kind_name: str, own: dict[str, Any], name: str = "n") -> list[tuple[str, str]]:
    """What the rules of a kind say about a spec that its schema has not seen."""
    return [(each.field, each.message) for each in _validate(kind_name, own, name)]


def _validate(kind_name: str, own: dict[str, Any], name: str) -> Any:
    kind = CATALOG.find(kind_name)
    assert kind is not None
    head = {"type": kind_name, "name": name} | ({"mesh": "default"} if kind.scope is kinds.Scope.MESH else {})
    body = {**own, **head} if kind.envelope is kinds.Envelope.ROOT else {**head, "spec": own}
    return kind.validate(codec.decode_unchecked(kind, body))


EXTERNAL = {"match": {"port": 443}, "endpoints": [{"address": "a.example.com", "port": 443}]}
VERSIONS = '["TLSAuto", "TLS10", "TLS11", "TLS12", "TLS13"]'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"match": {"type": "X", "port": 0, "protocol": "udp"}},
            [
                ("spec.match.type", "unrecognized type 'X' - only 'HostnameGenerator' is supported"),
                ("spec.match.port", "port must be a valid (1-65535)"),
                ("spec.match.protocol", '"protocol" must be one of ["tcp", "grpc", "http", "http2"]'),
            ],
        ),
        (
            {"endpoints": [{"address": "!", "port": 70000}]},
            [
                ("spec.endpoints[0].address", "address has to be a valid IP or hostname"),
                ("spec.endpoints[0].port", "port must be a valid (1-65535)"),
            ],
        ),
        ({"tls": {"version": {"min": "TLS9"}}}, [("spec.tls.version.min", f'"min" must be one of {VERSIONS}')]),
        (
            {"tls": {"verification": {"mode": "No", "serverName": "!", "subjectAltNames": [{"type": "X"}]}}},
            [
                ("spec.tls.verification.serverName", "must be a valid DNS name"),
                (
                    "spec.tls.verification.mode",
                    '"mode" must be one of ["SkipSAN", "SkipCA", "Secured", "SkipAll"]',
                ),
                ("spec.tls.verification.subjectAltNames[0].type", '"type" must be one of ["Prefix", "Exact"]'),
            ],
        ),
        (
            {"tls": {"verification": {"clientCert": {"secret": "c"}}}},
            [("spec.tls.verification.clientKey", "must be defined when clientCert is defined")],
        ),
        ({"extension": {"type": ""}, "endpoints": [{"port": 0}]}, [("spec.extension.type", "must not be empty")]),
    ],
)
def test_rules_of_external_services(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert violations("MeshExternalService", EXTERNAL | change) == expected


@pytest.mark.parametrize(("kind", "longest"), [("MeshService", 63), ("MeshExternalService", 63), ("Workload", 253)])
def test_names_that_become_labels_are_short(kind: str, longest: int) -> None:
    spec = EXTERNAL if kind == "MeshExternalService" else {}
    assert violations(kind, spec, "a" * longest) == []
    assert violations(kind, spec, "a" * (longest + 1)) == [("name", f"must not be longer than {longest} characters")]


def test_a_mesh_service_selects_in_one_way() -> None:
    both = {"selector": {"dataplaneTags": {}, "dataplaneRef": {"name": "dp-1"}}}
    message = "must specify only one of: dataplaneTags, dataplaneRef, or dataplaneLabels"
    assert violations("MeshService", both) == [("spec.selector", message)]


def test_a_multi_zone_service_needs_labels_and_ports() -> None:
    assert violations("MeshMultiZoneService", {"selector": {"meshService": {}}}) == [
        ("spec.selector.meshService.matchLabels", "cannot be empty"),
        ("spec.ports", "cannot be empty"),
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "must not be empty"),
        ("{{ .Name }", 'couldn\'t parse template: template: :1: unexpected "}" in operand'),
        (
            "{{ .Port }}.mesh",
            'couldn\'t render template with stub values: template: :1:3: executing "" at <.Port>: '
            "can't evaluate field Port: only Name, DisplayName, Namespace, Mesh, Zone can be used",
        ),
    ],
)
def test_templates_of_hostnames_have_to_work(template: str, message: str) -> None:
    spec = {"selector": {"meshService": {}}, "template": template}
    assert violations("HostnameGenerator", spec) == [("spec.template", message)]


@pytest.mark.parametrize("selector", [{}, {"meshService": {}, "meshMultiZoneService": {}}])
def test_a_generator_selects_one_kind_of_service(selector: dict[str, Any]) -> None:
    message = "exact one selector (meshService, meshExternalService) must be defined"
    found = violations("HostnameGenerator", {"selector": selector, "template": "a.mesh"})
    assert found == [("spec.selector", message)]


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ({"type": "X"}, [("type", '"X" must be one of ["Bundled", "Spire", "Extension"]')]),
        ({"type": "Bundled"}, [("bundled", "configuration needs to be defined")]),
        ({"type": "Spire"}, [("spire", "configuration needs to be defined")]),
        ({"type": "Extension", "spire": {}}, [("extension", "configuration needs to be defined")]),
        ({"type": "Extension", "extension": {}}, [("extension.name", "extension name needs to be defined")]),
        (
            {"type": "Spire", "spire": {"agent": {"timeout": "-1s"}}},
            [("spire.agent.timeout", "must not be negative when defined")],
        ),
        (
            {"type": "Bundled", "bundled": {"certificateParameters": {"expiry": "-1h"}}},
            [
                ("bundled.ca", "must be defined"),
                ("bundled.certificateParameters.expiry", "must not be negative when defined"),
            ],
        ),
        (
            {"type": "Bundled", "bundled": {"ca": {"certificate": {"type": "Secret"}}}},
            [
                ("bundled.ca.certificate.secretRef", "must be defined"),
                ("bundled.ca.privateKey", "must be defined"),
            ],
        ),
    ],
)
def test_rules_of_identity_providers(provider: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = violations("MeshIdentity", {"provider": provider})
    assert found == [(f"spec.provider.{path}", message) for path, message in expected]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"trustDomain": "d", "caBundles": []}, [("spec.caBundles", "must not be empty")]),
        (
            {"caBundles": [{"type": "Pem", "pem": {"value": PEM}}]},
            [("spec.trustDomain", "trustDomain needs to be defined")],
        ),
        (
            {"trustDomain": "d", "caBundles": [{"type": "Der"}, {"type": "Pem", "pem": {"value": PEM[:40]}}]},
            [
                ("spec.caBundles.type", "Der must be one of: Pem"),
                ("spec.caBundles[1].pem.value", "provided certificate has incorrect format"),
            ],
        ),
    ],
)
def test_rules_of_trusts(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert violations("MeshTrust", spec) == expected


def test_a_trust_that_says_its_origin_in_the_spec_gets_a_warning() -> None:
    kind = CATALOG.find("MeshTrust")
    assert kind is not None
    assert kind.deprecations is not None
    found = codec.decode_unchecked(kind, {"name": "t", "spec": {"origin": {"kri": "x"}}})
    assert list(kind.deprecations(found)) == ["setting spec.origin field is deprecated"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"protocol": "udp"}, [("spec.protocol", '"protocol" must be one of ["grpc", "http"]')]),
        (
            {"env": {"mode": "Maybe", "precedence": "Last"}},
            [
                ("spec.env.mode", '"mode" must be one of ["Disabled", "Optional", "Required"]'),
                ("spec.env.precedence", '"precedence" must be one of ["ExplicitFirst", "EnvFirst"]'),
            ],
        ),
        ({"endpoint": {"port": 0}}, [("spec.endpoint.port", "port must be a valid (1-65535)")]),
        (
            {"endpoint": {"path": "a#b"}, "protocol": "http"},
            [
                ("spec.endpoint.path", "must start with /"),
                ("spec.endpoint.path", "must not contain query or fragment"),
            ],
        ),
        ({"endpoint": {"path": "/v1"}}, [("spec.endpoint.path", "must not be set when protocol is grpc")]),
    ],
)
def test_rules_of_collectors(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert violations("MeshOpenTelemetryBackend", spec) == expected


@pytest.mark.parametrize(
    ("networking", "expected"),
    [
        ({"port": 1, "advertisedPort": 1}, [("advertisedAddress", "has to be defined with advertisedPort")]),
        ({"port": 1, "advertisedAddress": "a"}, [("advertisedPort", "has to be defined with advertisedAddress")]),
        ({"port": 1, "address": "::"}, [("address.address", "must not be 0.0.0.0 or ::")]),
        ({"address": "127.0.0.1", "port": 1, "admin": {"port": 1}}, [("admin.port", "must differ from port")]),
        ({"address": "10.0.0.1"}, [("port", "port must be in the range [1, 65535]")]),
    ],
)
def test_rules_of_zone_proxies(networking: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    paths = [(f"networking.{path}", message) for path, message in expected]
    assert violations("ZoneIngress", {"networking": networking}) == paths
    if not any("advertised" in path for path in networking):
        assert violations("ZoneEgress", {"networking": networking}) == paths


def _service(ports: list[dict[str, Any]]) -> res.Resource[Any]:
    kind = CATALOG.find("MeshService")
    assert kind is not None
    labels = {"kuma.io/zone": "east"}
    return codec.decode(
        kind, {"type": kind.name, "mesh": "m", "name": "web", "labels": labels, "spec": {"ports": ports}}
    )


def test_destinations_show_a_server_name_for_each_port() -> None:
    document = codec.encode(
        _service([{"port": 90, "name": "admin"}, {"port": 90}, {"port": 80}, {"port": 70, "name": "no.name"}])
    )
    assert document["snis"] == [
        {"port": 80, "sni": "sni.msvc.m.east.web.80"},
        {"port": 90, "sni": "sni.msvc.m.east.web.90"},
        {"port": 90, "sni": "sni.msvc.m.east.web.admin"},
    ]
    assert list(document)[-3:] == ["snis", "spec", "status"]


def test_what_was_not_written_is_stored_with_its_default() -> None:
    spec = json.loads(codec.encode_json(_service([{"port": 80, "targetPort": "main"}])))["spec"]
    assert spec == {"state": "Unavailable", "ports": [{"port": 80, "targetPort": "main", "appProtocol": "tcp"}]}


@pytest.mark.parametrize(
    ("kind_name", "expected"),
    [
        ("MeshService", {"tls": {}, "dataplaneProxies": {}}),
        ("MeshExternalService", {"vip": {}}),
        ("MeshTrust", {}),
        ("Workload", {"dataplaneProxies": {"connected": 0, "healthy": 0, "total": 0}}),
    ],
)
def test_a_status_is_shown_before_anything_is_known(kind_name: str, expected: dict[str, Any]) -> None:
    kind = CATALOG.find(kind_name)
    assert kind is not None
    found = res.Resource(kind, res.Meta("m", "n"), kind.spec())
    assert codec.encode(found)["status"] == expected
    assert json.loads(codec.encode_json(found))["status"] == expected
