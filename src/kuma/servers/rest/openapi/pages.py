"""The parts of the OpenAPI description that do not follow from the catalog: endpoints that belong to no kind or to
one kind alone, and what all endpoints share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

ABOUT = (
    "Resources of a service mesh: what is written here decides how the proxies of each mesh behave. Every kind has "
    "the same endpoints; lists come in pages. See docs/rest.md."
)
_TEXT = {"type": "string"}
_COUNT = {"type": "integer"}
_OBJECT = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Page:
    """One endpoint. `parameters` are names in PARAMETERS, `schema` that of the answer, `body` that of the request."""

    summary: str
    schema: Schema | None = None
    tag: str = "Control plane"
    parameters: Sequence[str] = ()
    body: Schema | None = None
    media_type: str = "application/json"


def _object(required: Sequence[str] = (), /, **properties: Schema) -> Schema:
    shown: Schema = {"type": "object", "properties": properties}
    return {**shown, "required": list(required)} if required else shown


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _envoy_says(tag: str) -> Page:
    return Page("What a proxy's Envoy says: `xds`, `stats` or `clusters`.", _TEXT, tag, media_type="text/plain")


_DURATION = {**_TEXT, "description": 'How long it is good for, such as "24h".'}
_INVALID = _object(("field", "reason"), field=_TEXT, reason=_TEXT)
_CAUSE = _object(("field", "message"), field=_TEXT, message=_TEXT)

SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(
        ("type", "status", "title", "detail", "details"),
        type=_TEXT,
        status=_COUNT,
        title=_TEXT,
        detail=_TEXT,
        invalid_parameters=_list_of(_INVALID),
        details={**_TEXT, "deprecated": True},
        causes={**_list_of(_CAUSE), "deprecated": True},
    ),
    "Written": _object(warnings=_list_of(_TEXT)),
    "Reference": _object(
        ("type", "mesh", "name", "labels"),
        type=_TEXT,
        mesh=_TEXT,
        name=_TEXT,
        labels={"type": "object", "additionalProperties": _TEXT},
    ),
    "References": _object(("items", "total"), items=_list_of(_ref("Reference")), next=_TEXT, total=_COUNT),
    "Warnings": _object(("warnings",), warnings=_list_of(_object(("field", "reason"), field=_TEXT, reason=_TEXT))),
    "Attached": _object(
        ("items", "total"),
        total=_COUNT,
        items=_list_of(
            _object(
                ("kind", "dataplane", "attachments"),
                kind=_TEXT,
                dataplane=_object(mesh=_TEXT, name=_TEXT),
                attachments=_list_of(_object(("type",), type=_TEXT, name=_TEXT, service=_TEXT)),
            )
        ),
    ),
    "Proxies": _object(
        ("items", "total"),
        total=_COUNT,
        items=_list_of(_object(("dataplane",), dataplane=_object(mesh=_TEXT, name=_TEXT))),
    ),
}
"""Schemas that are no kind's."""

SERVICE_INSIGHT: Schema = _object(
    ("type", "mesh", "name"),
    type={**_TEXT, "const": "ServiceInsight"},
    mesh=_TEXT,
    name=_TEXT,
    creationTime={**_TEXT, "format": "date-time"},
    modificationTime={**_TEXT, "format": "date-time"},
    status={**_TEXT, "enum": ["online", "offline", "partially_degraded", "not_available"]},
    dataplanes=_object(total=_COUNT, online=_COUNT, offline=_COUNT),
    issuedBackends={"type": "object", "additionalProperties": _COUNT},
    serviceType=_TEXT,
    addressPort=_TEXT,
    zones=_list_of(_TEXT),
)
"""One service: the stored kind of that name holds all services of a mesh."""


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_FLAG = {"type": "string", "enum": ["true", "false"]}
_SERVICE_TYPES = "internal, external, gateway_delegated, gateway_builtin"

PARAMETERS: Mapping[str, Schema] = {
    "size": _query("size", {**_COUNT, "minimum": 1, "maximum": 1000, "default": 100}, "How many items a page holds."),
    "offset": _query("offset", _TEXT, "Where the page begins, as `next` of the one before says."),
    "name": _query("name", _TEXT, "A part of the name."),
    "filter": {
        **_query("filter", {"type": "object", "additionalProperties": _TEXT}, "`filter[labels.<key>]=<value>`."),
        "style": "deepObject",
        "explode": True,
    },
    "tag": _query("tag", _list_of(_TEXT), "`<key>:<part of the value>`; all have to fit."),
    "gateway": _query("gateway", {**_TEXT, "enum": ["true", "false", "builtin", "delegated"]}, "Gateways or not."),
    "type": _query("type", _TEXT, f"Types of services, separated by commas: {_SERVICE_TYPES}."),
    "format": _query("format", {**_TEXT, "enum": ["universal", "k8s", "kubernetes"]}, "The form of the document."),
    "namespace": _query("namespace", _TEXT, "The namespace of the Kubernetes form."),
    "shadow": _query("shadow", _FLAG, "Whether policies that are marked as shadow count."),
    "include": _query("include", {**_TEXT, "enum": ["diff"]}, "Adds the difference that shadow policies make."),
}
"""Query parameters by name."""

RESPONSES: Mapping[str, Schema] = {
    "Error": {
        "description": "What is wrong, with every field that is to blame. Unknown paths, methods and media types: text.",
        "content": {"application/json": {"schema": _ref("Error")}, "text/plain": {"schema": _TEXT}},
    }
}

SECURITY: Mapping[str, Schema] = {
    "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "clientCertificate": {"type": "mutualTLS"},
}

_DATAPLANE = "/meshes/{mesh}/dataplanes/{name}"
_OUTBOUND = f"{_DATAPLANE}/_outbounds/{{outbound}}"
_POLICIES = _object(("policies",), policies=_list_of(_OBJECT))
_RULES = _object(
    ("resource", "rules", "httpMatches"), resource=_OBJECT, rules=_list_of(_OBJECT), httpMatches=_list_of(_OBJECT)
)
_CONFIGURATION = _object(("xds",), xds=_OBJECT, diff=_list_of(_OBJECT))

PAGES: Mapping[tuple[str, str], Page] = {
    ("GET", "/"): Page(
        "Who the control plane is.",
        _object(product=_TEXT, version=_TEXT, hostname=_TEXT, instanceId=_TEXT, clusterId=_TEXT, gui=_TEXT),
    ),
    ("GET", "/openapi.json"): Page("This document.", _OBJECT),
    ("GET", "/config"): Page("The configuration in force, secrets masked.", _OBJECT),
    ("GET", "/who-am-i"): Page("Who is asking.", _object(("name", "groups"), name=_TEXT, groups=_list_of(_TEXT))),
    ("GET", "/policies"): Page("Every kind of policy.", _object(("policies",), policies=_list_of(_OBJECT))),
    ("GET", "/_resources"): Page("Every kind of resource.", _object(("resources",), resources=_list_of(_OBJECT))),
    ("GET", "/_kri/{kri}"): Page("A resource by its identifier.", _OBJECT, parameters=("format", "namespace")),
    ("GET", "/global-insight"): Page("Counts over all meshes.", _OBJECT),
    ("GET", "/global-insights"): Page("Counts of global resources, for older clients.", _OBJECT),
    ("GET", "/meshes/{mesh}/{services}/{name}/_hostnames"): Page(
        "The hostnames of a service.",
        _object(
            ("items", "total"),
            items={
                "type": ["array", "null"],
                "items": _object(("hostname", "zones"), hostname=_TEXT, zones=_list_of(_object(name=_TEXT))),
            },
            total=_COUNT,
        ),
    ),
    ("GET", "/meshes/{mesh}/meshservices/{name}/_dataplanes"): Page(
        "The Dataplanes behind a MeshService.", _ref("References"), "MeshService", ("size", "offset", "name")
    ),
    ("GET", "/meshes/{mesh}/meshgateways/{name}/dataplanes"): Page(
        "The gateways that serve a MeshGateway.", _ref("Proxies"), "MeshGateway"
    ),
    ("GET", "/meshes/{mesh}/meshgatewayroutes/{name}/dataplanes"): Page(
        "The gateways that a MeshGatewayRoute is about.", _ref("Proxies"), "MeshGatewayRoute"
    ),
    ("GET", f"{_DATAPLANE}/_config"): Page(
        "The Envoy configuration of a connected proxy.", _CONFIGURATION, "Dataplane", ("shadow", "include")
    ),
    ("GET", "/meshes/{mesh}/meshgateways/{name}/_config"): Page(
        "The Envoy configuration of the connected proxy of this name.",
        _CONFIGURATION,
        "MeshGateway",
        ("shadow", "include"),
    ),
    ("GET", f"{_DATAPLANE}/_rules"): Page("Everything that policies say of a proxy.", _RULES, "Dataplane"),
    ("GET", "/meshes/{mesh}/meshgateways/{name}/_rules"): Page(
        "Everything that policies say of the proxies of a gateway.", _RULES, "MeshGateway"
    ),
    ("GET", f"{_DATAPLANE}/_layout"): Page("Inbounds, outbounds and listeners of a proxy.", _OBJECT, "Dataplane"),
    ("GET", f"{_DATAPLANE}/policies"): Page("The policies of a proxy by the place they hold in.", _OBJECT, "Dataplane"),
    ("GET", f"{_DATAPLANE}/rules"): Page("The rules of a proxy by the place they hold in.", _OBJECT, "Dataplane"),
    ("GET", f"{_DATAPLANE}/_policies"): Page("The policies of a whole proxy.", _POLICIES, "Dataplane"),
    ("GET", f"{_DATAPLANE}/_inbounds/{{inbound}}/_policies"): Page(
        "The policies of an inbound, by its KRI.", _POLICIES, "Dataplane"
    ),
    ("GET", f"{_OUTBOUND}/_policies"): Page("The policies of an outbound, by its KRI.", _POLICIES, "Dataplane"),
    ("GET", f"{_OUTBOUND}/_routes"): Page(
        "The routes of an outbound, by its KRI.", _object(("routes",), routes=_list_of(_OBJECT)), "Dataplane"
    ),
    ("GET", f"{_OUTBOUND}/_routes/{{route}}/_policies"): Page(
        "The policies of a route of an outbound, by the KRI of each.", _POLICIES, "Dataplane"
    ),
    ("GET", f"{_DATAPLANE}/{{operation}}"): _envoy_says("Dataplane"),
    ("GET", "/zoneingresses/{name}/{operation}"): _envoy_says("ZoneIngress"),
    ("GET", "/zone-ingresses/{name}/{operation}"): _envoy_says("ZoneIngress"),
    ("GET", "/zoneegresses/{name}/{operation}"): _envoy_says("ZoneEgress"),
    ("POST", "/tokens/dataplane"): Page(
        "A token for Dataplanes.",
        _TEXT,
        body=_object(
            ("mesh",),
            mesh=_TEXT,
            name=_TEXT,
            tags={"type": "object", "additionalProperties": _list_of(_TEXT)},
            type={**_TEXT, "enum": ["", "dataplane", "ingress", "egress"]},
            workload=_TEXT,
            validFor=_DURATION,
        ),
        media_type="text/plain",
    ),
    ("POST", "/tokens/zone"): Page(
        "A token for the proxies of a zone.",
        _TEXT,
        body=_object(("scope",), zone=_TEXT, scope=_list_of(_TEXT), validFor=_DURATION),
        media_type="text/plain",
    ),
    ("POST", "/tokens/user"): Page(
        "A token for a user of this API.",
        _TEXT,
        body=_object(("name", "validFor"), name=_TEXT, groups=_list_of(_TEXT), validFor=_DURATION),
        media_type="text/plain",
    ),
}
"""Endpoints that are no kind's, or one kind's alone."""
