"""The OpenAPI 3.1 description of the API, made from the routes that are served and the catalog. Pure.

Every route has to be known here, by its shape (what kinds have) or by its template (`openapi_pages`): an endpoint that
nobody described stops the generation. Source of the form: spec.openapis.org, version 3.1.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kuma.resources import catalog as catalogs
from kuma.resources import json_schema
from kuma.resources import kind as kinds
from kuma.servers.rest.openapi import pages as openapi_pages

Schema = dict[str, Any]
AnyKind = kinds.Kind[Any]

_REF = "#/components/"
_PAGING = ("size", "offset", "name")
_LEGACY = {
    "dataplanes+insights": "Dataplane",
    "zones+insights": "Zone",
    "zoneingresses+insights": "ZoneIngress",
    "zoneegressoverviews": "ZoneEgress",
}
_TIME = {"type": "string", "format": "date-time", "readOnly": True}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}


def build_document(
    catalog: catalogs.Catalog, served: Iterable[tuple[str, str]], version: str, base_path: str = "/"
) -> dict[str, Any]:
    """The description of `served`, pairs of method and template. ValueError for a route that has no description."""
    definitions = json_schema.Definitions()
    paths: dict[str, dict[str, Any]] = {}
    described = _Operations(catalog)
    for method, template in served:
        operation = described.operation(method, template)
        parameters = [_path_parameter(each) for each in _names(template)]
        path = paths.setdefault(template, {"parameters": parameters} if parameters else {})
        path[method.lower()] = operation
    schemas = _Envelopes(definitions).schemas(catalog)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kuma control plane", "version": version, "description": openapi_pages.ABOUT},
        "servers": [{"url": base_path.rstrip("/") or "/"}],
        "security": [{}, {"userToken": []}, {"clientCertificate": []}],
        "tags": [{"name": each.name} for each in catalog if each.exposed] + [{"name": "Control plane"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "parameters": openapi_pages.PARAMETERS,
            "responses": openapi_pages.RESPONSES,
            "securitySchemes": openapi_pages.SECURITY,
        },
    }


class _Operations:
    """What each route does."""

    def __init__(self, catalog: catalogs.Catalog) -> None:
        self._catalog = catalog

    def operation(self, method: str, template: str) -> Schema:
        """The operation object of a route."""
        page = openapi_pages.PAGES.get((method, template))
        found = self._page(page) if page is not None else self._of_kind(method, template)
        if found is None:
            raise ValueError(f"{method} {template} has no description in openapi_pages")
        return {"operationId": _operation_id(method, template), **found}

    def _page(self, page: openapi_pages.Page) -> Schema:
        content = {page.media_type: {"schema": page.schema}} if page.schema is not None else {}
        shown: Schema = {
            "summary": page.summary,
            "tags": [page.tag],
            "responses": _responses(
                {"200": {"description": "The answer.", **({"content": content} if content else {})}}
            ),
        }
        if page.parameters:
            shown["parameters"] = [_parameter(each) for each in page.parameters]
        if page.body is not None:
            shown["requestBody"] = {"required": True, "content": _json(page.body)}
        return shown

    def _of_kind(self, method: str, template: str) -> Schema | None:
        segments = template.strip("/").split("/")
        if segments[:2] == ["meshes", "{mesh}"]:
            segments = segments[2:]
        path, rest = segments[0], segments[1:]
        if path in _LEGACY:
            return self._overview(
                self._catalog.find(_LEGACY[path]), ["_overview"] if not rest else ["{name}", "_overview"]
            )
        kind = self._catalog.at_path(path)
        if kind is None:
            return None
        if not rest:
            return _list(kind, kind.name, f"Lists resources of kind {kind.name}.")
        if rest == ["{name}"]:
            return _item(method, kind)
        if rest[-1:] == ["_overview"]:
            return self._overview(kind, rest)
        if rest == ["{name}", "_resources", "dataplanes"]:
            return _references(kind, f"The Dataplanes that a {kind.name} is about.")
        if rest == ["{name}", "_warnings"]:
            return _answer(kind, f"Why a {kind.name}, or an entry of it, has no effect.", "Warnings")
        if rest == ["{name}", "dataplanes"]:
            return _answer(kind, f"The Dataplanes that a {kind.name} takes hold in, and where.", "Attached")
        return None

    def _overview(self, kind: AnyKind | None, rest: list[str]) -> Schema | None:
        if kind is None:
            return None
        if rest == ["_overview"]:
            return _list(kind, kind.overview, f"Lists resources of kind {kind.name} with what is known of them.")
        return _answer(kind, f"A {kind.name} with what is known of it.", kind.overview)


def _list(kind: AnyKind, schema: str, summary: str) -> Schema:
    parameters = [*_PAGING, "filter"]
    if kind.name in ("Dataplane", "ExternalService"):
        parameters.append("tag")
    if kind.name == "Dataplane":
        parameters.append("gateway")
    if kind.name == "ServiceInsight":
        parameters = [*_PAGING, "type"]
    return {
        "summary": summary,
        "tags": [kind.name],
        "parameters": [_parameter(each) for each in parameters],
        "responses": _responses({"200": _ok(_page_of(schema))}),
    }


def _references(kind: AnyKind, summary: str) -> Schema:
    return {
        "summary": summary,
        "tags": [kind.name],
        "parameters": [_parameter(each) for each in _PAGING],
        "responses": _responses({"200": _ok({"$ref": f"{_REF}schemas/References"})}),
    }


def _item(method: str, kind: AnyKind) -> Schema:
    if method == "GET":
        shown = _answer(kind, f"A resource of kind {kind.name}.", kind.name)
        return shown | {"parameters": [_parameter("format"), _parameter("namespace")]}
    written = {"$ref": f"{_REF}schemas/Written"}
    if method == "DELETE":
        return {
            "summary": f"Removes a resource of kind {kind.name} and all it owns.",
            "tags": [kind.name],
            "responses": _responses({"200": _ok(written)}),
        }
    return {
        "summary": f"Creates or replaces a resource of kind {kind.name}.",
        "tags": [kind.name],
        "requestBody": {"required": True, "content": _json({"$ref": f"{_REF}schemas/{kind.name}"})},
        "responses": _responses({"200": _ok(written, "Replaced."), "201": _ok(written, "Created.")}),
    }


def _answer(kind: AnyKind, summary: str, schema: str) -> Schema:
    return {
        "summary": summary,
        "tags": [kind.name],
        "responses": _responses({"200": _ok({"$ref": f"{_REF}schemas/{schema}"})}),
    }


class _Envelopes:
    """The documents of kinds around their specs."""

    def __init__(self, definitions: json_schema.Definitions) -> None:
        self._definitions = definitions

    def schemas(self, catalog: catalogs.Catalog) -> dict[str, Schema]:
        """Every schema: documents, overviews, and all that they refer to."""
        named: dict[str, Schema] = dict(openapi_pages.SCHEMAS)
        for kind in catalog:
            if not kind.exposed:
                continue
            named[kind.name] = self._document(kind)
            if kind.overview:
                named[kind.overview] = self._overview(kind, catalog.find(kind.insight))
        if "ServiceInsight" in named:
            named["ServiceInsight"] = openapi_pages.SERVICE_INSIGHT
        return {**self._definitions.schemas, **named}

    def _document(self, kind: AnyKind) -> Schema:
        properties = _meta(kind, kind.name)
        required = ["type", "name"]
        if kind.envelope is kinds.Envelope.ROOT:
            spec = self._definitions.struct(kind.spec)
            properties.update(spec["properties"])
            required += ["mesh"] if kind.scope is kinds.Scope.MESH else []
            return {
                "type": "object",
                "description": spec["description"],
                "properties": properties,
                "required": required,
            }
        properties["spec"] = self._definitions.reference(kind.spec, f"{kind.name}Spec")
        if kind.status is not None:
            properties["status"] = {**self._definitions.reference(kind.status, f"{kind.name}Status"), "readOnly": True}
        return {"type": "object", "properties": properties, "required": [*required, "spec"]}

    def _overview(self, kind: AnyKind, insight: AnyKind | None) -> Schema:
        properties = _meta(kind, kind.overview)
        properties[_field(kind.name)] = self._definitions.reference(kind.spec, f"{kind.name}Spec")
        if insight is not None:
            properties[_field(insight.name)] = self._definitions.reference(insight.spec, f"{insight.name}Spec")
        return {"type": "object", "properties": properties, "required": ["type", "name", _field(kind.name)]}


def _meta(kind: AnyKind, type_name: str) -> dict[str, Schema]:
    properties: dict[str, Schema] = {"type": {"type": "string", "const": type_name}}
    if kind.scope is kinds.Scope.MESH:
        properties["mesh"] = {"type": "string"}
    properties |= {"name": {"type": "string"}, "creationTime": _TIME, "modificationTime": _TIME, "labels": _LABELS}
    if kind.short:
        properties["kri"] = {"type": "string", "readOnly": True}
    return properties


def _field(name: str) -> str:
    return name[:1].lower() + name[1:]


def _page_of(schema: str) -> Schema:
    items = {"type": "array", "items": {"$ref": f"{_REF}schemas/{schema}"}}
    properties = {"total": {"type": "integer"}, "items": items, "next": {"type": ["string", "null"]}}
    return {"type": "object", "properties": properties, "required": ["total", "items", "next"]}


def _ok(schema: Schema, description: str = "The answer.") -> Schema:
    return {"description": description, "content": _json(schema)}


def _json(schema: Schema) -> Mapping[str, Schema]:
    return {"application/json": {"schema": schema}}


def _responses(own: Mapping[str, Schema]) -> dict[str, Schema]:
    return {**own, "default": {"$ref": f"{_REF}responses/Error"}}


def _parameter(name: str) -> Schema:
    return {"$ref": f"{_REF}parameters/{name}"}


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _names(template: str) -> list[str]:
    return [each[1:-1] for each in template.split("/") if each.startswith("{")]


def _operation_id(method: str, template: str) -> str:
    """A name that is unique as the route is, made of letters, digits and underscores."""
    shown = [each.strip("{}").replace("-", "_").replace("+", "_with_") for each in template.strip("/").split("/")]
    return "_".join([method.lower(), *filter(None, shown)])
