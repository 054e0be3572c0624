"""A mesh with a client and some servers, and the routes that the client's proxy gets under routing policies."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format, symbol_database

from kuma.compiler import compile
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies.meshhttproute import translate as http_routes
from kuma.policies.meshtcproute import translate as tcp_routes
from kuma.resources import codec
from kuma.resources import resource as res
from tests.kit import worlds

POLICIES = (http_routes.POLICY, tcp_routes.POLICY)
OUTBOUND, OF_MESH_SERVICE, OF_DATABASE, OF_SUBSET = 10001, 10002, 10003, 10004
"""Ports of the client's outbounds: `api` and `db` by tag, the MeshService `api2`, `api` in version v1."""

_KINDS = {each.kind.name: each.kind for each in POLICIES}


def rule(*matches: Mapping[str, Any], **default: Any) -> dict[str, Any]:
    """A rule of a MeshHTTPRoute; `backends` stands for `backendRefs`."""
    written = {("backendRefs" if key == "backends" else key): value for key, value in default.items()}
    return {"matches": list(matches), "default": written}


def _route(kind: str, name: str, destination: Mapping[str, Any], labels: Any, target: Any, rules: Any) -> Any:
    spec = {"targetRef": target or {"kind": "Mesh"}, "to": [{"targetRef": destination, "rules": rules}]}
    return codec.decode(_KINDS[kind], {"type": kind, "mesh": "m", "name": name, "labels": labels or {}, "spec": spec})


def http_route(
    name: str, *rules: Mapping[str, Any], labels: Mapping[str, str] | None = None, target: Any = None, to: str = ""
) -> res.Resource[Any]:
    """A MeshHTTPRoute to `to`; without it to `api` by tag or, from zone east, to the MeshService `api2`."""
    name_of = to or ("api2" if (labels or {}).get("kuma.io/zone") == "east" else "api")
    return _route("MeshHTTPRoute", name, {"kind": "MeshService", "name": name_of}, labels, target, list(rules))


def tcp_route(name: str, to: str, *backends: Mapping[str, Any]) -> res.Resource[Any]:
    """A MeshTCPRoute to a `kuma.io/service`."""
    rules = [{"default": {"backendRefs": list(backends)}}]
    return _route("MeshTCPRoute", name, {"kind": "MeshService", "name": to}, None, None, rules)


def _client() -> res.Resource[Any]:
    by_tag = {OUTBOUND: "api", OF_DATABASE: "db"}
    outbounds: list[dict[str, Any]] = [{"port": at, "tags": {"kuma.io/service": to}} for at, to in by_tag.items()]
    outbounds.append({"port": OF_MESH_SERVICE, "backendRef": {"kind": "MeshService", "name": "api2", "port": 80}})
    outbounds.append({"port": OF_SUBSET, "tags": {"kuma.io/service": "api", "version": "v1"}})
    inbound = {"port": 8080, "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"}}
    return worlds.resource(
        {
            "type": "Dataplane",
            "name": "web-1",
            "labels": {"app": "web", "kuma.io/zone": "east"},
            "networking": {"address": "192.168.0.1", "inbound": [inbound], "outbound": outbounds},
        }
    )


BACKENDS: Sequence[res.Resource[Any]] = (
    _client(),
    worlds.a_dataplane("api-1", "api", address="192.168.1.1", tags={"version": "v1"}),
    worlds.a_dataplane("api-2", "api", address="192.168.1.2", tags={"version": "v2"}),
    worlds.a_dataplane("db-1", "db", address="192.168.1.3", protocol="tcp"),
    worlds.a_dataplane("db2-1", "db2", address="192.168.1.4"),
)


def _destination(kind: str, name: str, spec: Mapping[str, Any]) -> res.Resource[Any]:
    labels = {"kuma.io/zone": "east", "kuma.io/origin": "zone", "of": name}
    return worlds.resource({"type": kind, "name": name, "labels": labels, "spec": dict(spec)})


_PORTS = [{"port": 80, "name": "http", "appProtocol": "http"}]
API: Sequence[res.Resource[Any]] = (
    _destination("MeshService", "api2", {"ports": _PORTS, "selector": {"dataplaneTags": {"kuma.io/service": "api"}}}),
    _destination(
        "MeshExternalService", "ext", {"match": {"type": "HostnameGenerator", "port": 443, "protocol": "http"}}
    ),
    _destination(
        "MeshMultiZoneService", "all", {"ports": _PORTS, "selector": {"meshService": {"matchLabels": {"a": "b"}}}}
    ),
)
"""Destinations of zone east, labelled `of` with their names."""


def compiled(
    *resources: res.Resource[Any], mtls: bool = False, unified: bool = False, **mesh: Any
) -> dict[str, dict[str, Any]]:
    """What the client's proxy gets, as JSON: `listeners`, `clusters` and `endpoints` by name, and their `authors`.

    `mesh` are fields of the Mesh.
    """
    fields = {"mtls": worlds.BUILTIN, **mesh} if mtls else mesh
    mode = {"meshServices": {"mode": "Exclusive"}} if unified else {}
    made = _picture((worlds.a_mesh(**fields, **mode), *resources))
    subject = proxy.facts_of(made.dataplanes["web-1"], {"features": [proxy.UNIFIED_NAMING] if unified else []})
    compiler = compile.Compiler(POLICIES)
    shape = compiler.shape(made, subject, compiler.match(made, subject))
    kinds = {"listeners": xds.LISTENER, "clusters": xds.CLUSTER, "endpoints": xds.ENDPOINT}
    found = {name: _read(kind, shape.sets.get(kind, {}).values()) for name, kind in kinds.items()}
    found["authors"] = {name: [each.name for each in built.authors] for (_, name), built in shape.built.items()}
    return found


def _picture(resources: Iterable[res.Resource[Any]]) -> view.MeshView:
    empty = view.WorldView(frozenset(_KINDS))
    return empty.advance(view.Edit(each) for each in resources)[0].meshes["m"]


def shape_keys(*resources: res.Resource[Any]) -> list[Hashable]:
    """By what the proxies of a mesh share their outbounds, in the order of their names."""
    made = _picture((worlds.a_mesh(), *resources))
    compiler = compile.Compiler(POLICIES)
    subjects = (proxy.facts_of(made.dataplanes[name], {}) for name in sorted(made.dataplanes))
    return [compile.shape_key(made, each, compiler.match(made, each)) for each in subjects]


def _read(kind: str, rendered: Any) -> dict[str, Any]:
    message = symbol_database.Default().GetSymbol(kind.removeprefix(xds.TYPE_PREFIX))
    return {each.name: json_format.MessageToDict(message.FromString(each.value)) for each in rendered}


def listener(snapshot: Mapping[str, Any], port: int) -> dict[str, Any]:
    """The client's listener on a port."""
    found: list[dict[str, Any]] = list(snapshot["listeners"].values())
    return next(each for each in found if each["address"]["socketAddress"]["portValue"] == port)


def http(snapshot: Mapping[str, Any], port: int = OUTBOUND) -> list[dict[str, Any]]:
    """The routes of an outbound that speaks HTTP."""
    manager = listener(snapshot, port)["filterChains"][0]["filters"][0]["typedConfig"]
    found: list[dict[str, Any]] = manager["routeConfig"]["virtualHosts"][0].get("routes", [])
    return found


def addresses(snapshot: Mapping[str, Any], cluster: str) -> list[str]:
    """The addresses of the endpoints of a cluster."""
    groups = snapshot["endpoints"][cluster].get("endpoints", [])
    ends = [each["endpoint"]["address"]["socketAddress"] for group in groups for each in group["lbEndpoints"]]
    return [each["address"] for each in ends]
