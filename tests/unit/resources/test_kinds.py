"""What kinds say of themselves, and that each is documented and its examples valid."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from kuma.legacy_policies import discovery as legacy
from kuma.policies import discovery as policies
from kuma.resources import builtin, catalog, codec, documents
from kuma.resources import kind as kinds

ROOT = Path(__file__).resolve().parents[3]
POLICIES = policies.kinds() + legacy.kinds()
CATALOG = catalog.Catalog(builtin.CORE_KINDS + POLICIES)
FOLDERS = [
    Path(importlib.import_module(f"kuma.{package}.{name}").__file__ or "").parent
    for package, found in (("policies", policies), ("legacy_policies", legacy))
    for name in found.names()
]


@pytest.mark.parametrize(
    ("name", "path", "argument", "short", "scope"),
    [
        ("Mesh", "meshes", "mesh", "m", kinds.Scope.GLOBAL),
        ("Dataplane", "dataplanes", "dataplane", "dp", kinds.Scope.MESH),
        ("DataplaneInsight", "dataplane-insights", "", "", kinds.Scope.MESH),
        ("Secret", "secrets", "secret", "", kinds.Scope.MESH),
        ("GlobalSecret", "globalsecrets", "globalsecret", "", kinds.Scope.GLOBAL),
        ("Config", "", "", "", kinds.Scope.GLOBAL),
        ("MeshInsight", "mesh-insights", "", "", kinds.Scope.GLOBAL),
        ("ServiceInsight", "service-insights", "", "", kinds.Scope.MESH),
        ("HostnameGenerator", "hostnamegenerators", "hostnamegenerator", "hg", kinds.Scope.GLOBAL),
        ("MeshExternalService", "meshexternalservices", "meshexternalservice", "extsvc", kinds.Scope.MESH),
        ("MeshIdentity", "meshidentities", "meshidentity", "mid", kinds.Scope.MESH),
        ("MeshMultiZoneService", "meshmultizoneservices", "meshmultizoneservice", "mzsvc", kinds.Scope.MESH),
        (
            "MeshOpenTelemetryBackend",
            "meshopentelemetrybackends",
            "meshopentelemetrybackend",
            "motb",
            kinds.Scope.MESH,
        ),
        ("MeshService", "meshservices", "meshservice", "msvc", kinds.Scope.MESH),
        ("MeshTrust", "meshtrusts", "meshtrust", "mtrust", kinds.Scope.MESH),
        ("MeshZoneAddress", "meshzoneaddresses", "meshzoneaddress", "mza", kinds.Scope.MESH),
        ("Workload", "workloads", "workload", "wl", kinds.Scope.MESH),
        ("Zone", "zones", "zone", "z", kinds.Scope.GLOBAL),
        ("ZoneInsight", "zone-insights", "", "", kinds.Scope.GLOBAL),
        ("ZoneIngress", "zoneingresses", "zoneingress", "zi", kinds.Scope.GLOBAL),
        ("ZoneIngressInsight", "zone-ingress-insights", "", "", kinds.Scope.GLOBAL),
        ("ZoneEgress", "zoneegresses", "zoneegress", "ze", kinds.Scope.GLOBAL),
        ("ZoneEgressInsight", "zoneegressinsights", "", "", kinds.Scope.GLOBAL),
        ("MeshTrafficPermission", "meshtrafficpermissions", "meshtrafficpermission", "mtp", kinds.Scope.MESH),
        ("TrafficPermission", "traffic-permissions", "traffic-permission", "", kinds.Scope.MESH),
        ("ExternalService", "external-services", "external-service", "", kinds.Scope.MESH),
        ("MeshGateway", "meshgateways", "meshgateway", "mgw", kinds.Scope.MESH),
        ("CircuitBreaker", "circuit-breakers", "circuit-breaker", "", kinds.Scope.MESH),
        ("FaultInjection", "fault-injections", "fault-injection", "", kinds.Scope.MESH),
        ("HealthCheck", "health-checks", "healthcheck", "", kinds.Scope.MESH),
        ("MeshGatewayRoute", "meshgatewayroutes", "meshgatewayroute", "", kinds.Scope.MESH),
        ("ProxyTemplate", "proxytemplates", "proxytemplate", "", kinds.Scope.MESH),
        ("RateLimit", "rate-limits", "rate-limit", "", kinds.Scope.MESH),
        ("Retry", "retries", "retry", "", kinds.Scope.MESH),
        ("Timeout", "timeouts", "timeout", "", kinds.Scope.MESH),
        ("TrafficLog", "traffic-logs", "traffic-log", "", kinds.Scope.MESH),
        ("TrafficRoute", "traffic-routes", "traffic-route", "", kinds.Scope.MESH),
        ("TrafficTrace", "traffic-traces", "traffic-trace", "", kinds.Scope.MESH),
        ("VirtualOutbound", "virtual-outbounds", "virtual-outbound", "", kinds.Scope.MESH),
    ],
)
def test_where_a_kind_is_found(name: str, path: str, argument: str, short: str, scope: kinds.Scope) -> None:
    kind = CATALOG.find(name)
    assert kind is not None
    assert (kind.plural, kind.argument, kind.short, kind.scope) == (path, argument, short, scope)


def test_second_names_answer_too() -> None:
    assert CATALOG.at_path("global-secrets") is CATALOG.find("GlobalSecret")
    assert CATALOG.for_argument("global-secret") is CATALOG.find("GlobalSecret")
    assert CATALOG.at_path("zone-ingresses") is CATALOG.find("ZoneIngress")
    assert CATALOG.for_argument("zone-ingress") is CATALOG.find("ZoneIngress")


def test_only_the_control_plane_writes_insights_and_only_admins_see_secrets() -> None:
    assert {each.name for each in CATALOG if each.read_only} == {
        "DataplaneInsight",
        "MeshInsight",
        "ServiceInsight",
        "ZoneEgressInsight",
        "ZoneIngressInsight",
        "ZoneInsight",
    }
    assert {each.name for each in CATALOG if each.admin_only} == {"Secret", "GlobalSecret"}


EXAMPLES = [example for folder in FOLDERS for example in sorted((folder / "examples").glob("*.yaml"))]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parents[1].name}/{path.stem}")
def test_examples_are_valid(example: Path) -> None:
    for document in documents.parse_yaml_documents(example.read_text()):
        _require_valid(document)


@pytest.mark.parametrize("page", sorted((ROOT / "docs/kinds").glob("*.md")), ids=lambda path: path.stem)
def test_examples_in_pages_are_valid(page: Path) -> None:
    for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        for document in documents.parse_yaml_documents(text):
            _require_valid(document)


def _require_valid(document: dict[str, Any]) -> None:
    kind = CATALOG.find(document["type"])
    assert kind is not None
    assert list(kind.validate(codec.decode(kind, document))) == []


def _page_of(kind: kinds.Kind[Any]) -> Path:
    if kind.policy is None:
        return ROOT / "docs/kinds" / f"{kind.name.lower().removeprefix('global')}.md"
    return next(folder for folder in FOLDERS if folder.name == kind.name.lower()) / "docs.md"


@pytest.mark.parametrize("kind", list(CATALOG), ids=lambda kind: kind.name)
def test_every_top_field_is_documented(kind: kinds.Kind[Any]) -> None:
    page = _page_of(kind).read_text()
    described = inspect.type_info(kind.spec)
    assert isinstance(described, inspect.StructType)
    missing = [field.encode_name for field in described.fields if field.encode_name not in page]
    assert missing == []
