"""Custom resource definitions of Kubernetes, one for each kind that lies there as an object of its own.

Specs of new kinds are described by their types; those of old kinds are kept whole and checked by the control plane, for
they may be written in more than one spelling. Source of names, scopes and columns: Kuma's definitions; of the rules for
schemas: Kubernetes' documentation, "Specifying a structural schema".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kuma.resources import json_schema, kubernetes_kinds
from kuma.resources import kind as kinds

GROUP = "kuma.io"
VERSION = "v1alpha1"

AnyKind = kinds.Kind[Any]
Document = dict[str, Any]

_NOT_OWN = frozenset({"Config", "GlobalSecret", "Secret"})
"""Kept in objects that Kubernetes brings along: ConfigMap and Secret."""

_NAMESPACED_OLD = frozenset(
    {"Dataplane", "DataplaneInsight", "ZoneEgress", "ZoneEgressInsight", "ZoneIngress", "ZoneIngressInsight"}
)
_ONLY_STATUS = frozenset({"DataplaneInsight"})
_REFERENCES = "#/"
_ANYTHING: Document = {"x-kubernetes-preserve-unknown-fields": True}
_KEPT = frozenset(
    [
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "required",
        "type",
    ]
)
"""What a structural schema says in the same words as JSON Schema."""


def is_namespaced(kind: AnyKind) -> bool:
    """Whether objects of a kind lie in a namespace; the others belong to the whole cluster."""
    return kind.envelope is kinds.Envelope.SPEC or kind.name in _NAMESPACED_OLD


def definitions(catalog: Iterable[AnyKind]) -> list[Document]:
    """A definition for each kind of the catalog that has one, and for the kinds of Kubernetes alone, by name."""
    found = [_definition_of(kind) for kind in catalog if kind.name not in _NOT_OWN]
    found += _kubernetes_only()
    return sorted(found, key=lambda each: str(each["metadata"]["name"]))


def _definition_of(kind: AnyKind) -> Document:
    columns = list(_columns(kind))
    version: Document = {"additionalPrinterColumns": columns} if columns else {}
    if kind.envelope is kinds.Envelope.SPEC:
        properties = {"spec": structural(kind.spec)}
        if kind.status is not None:
            properties["status"] = structural(kind.status)
    else:
        part = "status" if kind.name in _ONLY_STATUS else "spec"
        properties = {"mesh": {"type": "string", "description": "The mesh it belongs to."}, part: dict(_ANYTHING)}
    return _definition(kind.name, kind.plural.replace("-", ""), kind.short, is_namespaced(kind), properties, version)


def _definition(
    name: str, plural: str, short: str, namespaced: bool, properties: Mapping[str, Document], version: Document
) -> Document:
    names = {
        "kind": name,
        "listKind": f"{name}List",
        "plural": plural,
        "singular": name.lower(),
        "categories": ["kuma"],
    }
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **properties,
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {**names, "shortNames": [short]} if short else names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
            ],
        },
    }


def _columns(kind: AnyKind) -> Iterator[Document]:
    """What `kubectl get` shows beside the name."""
    if kind.policy is not None and kind.policy.target_ref:
        for field in ("kind", "name"):
            title = f"TargetRef {field.capitalize()}"
            yield {"name": title, "type": "string", "jsonPath": f".spec.targetRef.{field}"}
    elif kind.sections is not None:
        yield {"name": "Hostname", "type": "string", "jsonPath": ".status.addresses[0].hostname"}
    elif kind.name == "Dataplane":
        for index, which in enumerate(("first", "second", "third", "fourth")):
            column = {
                "name": "kuma.io/service",
                "type": "string",
                "description": f"Service tag of the {which} inbound",
                "jsonPath": f".spec.networking.inbound[{index}].tags['kuma\\.io/service']",
            }
            yield column if index < 2 else {**column, "priority": 1}
    elif kind.name in ("ZoneIngress", "ZoneEgress"):
        yield {"name": "zone", "type": "string", "description": "Zone name", "jsonPath": ".spec.zone"}


def _kubernetes_only() -> Iterator[Document]:
    mesh = {"mesh": {"type": "string"}}
    patch = {**mesh, "spec": structural(kubernetes_kinds.ContainerPatch)}
    yield _definition("ContainerPatch", "containerpatches", "", True, patch, {})
    for spec, status, namespaced in (
        (kubernetes_kinds.MeshGatewayConfig, kubernetes_kinds.GatewayConfigStatus, False),
        (kubernetes_kinds.MeshGatewayInstance, kubernetes_kinds.GatewayInstanceStatus, True),
    ):
        name = spec.__name__
        properties = {"spec": structural(spec), "status": structural(status)}
        yield _definition(name, f"{name.lower()}s", "", namespaced, properties, {"subresources": {"status": {}}})


# Schemas


def structural_words() -> frozenset[str]:
    """Every key that a schema of ours may have."""
    own = ("additionalProperties", "anyOf", "properties", "x-kubernetes-int-or-string", *_ANYTHING)
    return _KEPT.union(own)


def structural(struct: type[msgspec.Struct]) -> Document:
    """The structural schema of a type: JSON Schema without references, in the words that Kubernetes knows."""
    collected = json_schema.Definitions(_REFERENCES)
    return _inlined(collected.reference(struct), collected.schemas, ())


def _inlined(schema: Document, known: Mapping[str, Document], above: tuple[str, ...]) -> Document:
    reference = str(schema.get("$ref", "")).removeprefix(_REFERENCES)
    if reference:
        if reference in above:
            return dict(_ANYTHING)  # a schema without references cannot describe what holds itself
        return _inlined(known[reference], known, (*above, reference))
    if schema.keys() <= {"description"}:
        return {**_ANYTHING, **schema}
    if "anyOf" in schema or isinstance(schema.get("type"), list):
        return _int_or_string(schema)
    found = {key: msgspec.to_builtins(value) for key, value in schema.items() if key in _KEPT}
    if schema.get("contentEncoding") == "base64":
        found["format"] = "byte"
    if str(found.get("format", "")).startswith("uint"):
        del found["format"]
        found.setdefault("minimum", 0)
    if "items" in found:
        found["items"] = _inlined(found["items"], known, above)
    if schema.get("properties"):
        found["properties"] = {name: _inlined(each, known, above) for name, each in schema["properties"].items()}
    if "additionalProperties" in schema:
        found["additionalProperties"] = _inlined(schema["additionalProperties"], known, above)
    return found


def _int_or_string(schema: Document) -> Document:
    described: Document = {key: schema[key] for key in ("description", "default") if key in schema}
    return {**described, "anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
