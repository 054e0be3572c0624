"""Resources as documents: the REST and YAML form, and the bytes that stores keep.

Old kinds put their fields at the root beside the metadata, new kinds nest them under `spec` and `status`.
Source of the form: Kuma's documentation, "Resources"; key order as a running Kuma prints it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from kuma.base import errors, gotext
from kuma.resources import defaults, names, printer, reader, schema
from kuma.resources import kind as kinds
from kuma.resources import resource as res

_META_FIELDS = frozenset({"type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri", "snis"})


def decode(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> res.Resource[Any]:
    """The resource that a parsed REST document spells, with the defaults that the schema of a new kind gives.

    BadRequest where it cannot be read (`field` names the place), InvalidResource with every schema violation for new
    kinds. Rules of the kind itself are not applied here: see `Kind.validate`.
    """
    if kind.envelope is kinds.Envelope.SPEC:
        broken = schema.envelope_violations(kind, document)
        if broken:
            raise errors.InvalidResource(broken)
        document = {**document, "spec": defaults.fill(kind.spec, document["spec"])}
    return decode_unchecked(kind, document)


def decode_unchecked(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> res.Resource[Any]:
    """As `decode`, without schema check and defaults of new kinds: for documents that a control plane printed."""
    meta = decode_meta(kind, document)
    if kind.envelope is kinds.Envelope.ROOT:
        own = {key: value for key, value in document.items() if key not in _META_FIELDS}
        return res.Resource(kind, meta, _read(kind, kind.spec, own, ""))
    spec = _read(kind, kind.spec, document.get("spec") or {}, "spec")
    status = document.get("status")
    if kind.status is None or status is None:
        return res.Resource(kind, meta, spec)
    return res.Resource(kind, meta, spec, _read(kind, kind.status, status, "status"))


def _read(kind: kinds.Kind[Any], wanted: type[msgspec.Struct], document: Any, under: str) -> msgspec.Struct:
    try:
        return reader.read_struct(wanted, document, proto=kind.envelope is kinds.Envelope.ROOT)
    except RecursionError:
        raise errors.BadRequest(f"invalid {kind.name} object: {gotext.quote('exceeded max depth')}") from None
    except reader.Unreadable as failure:
        placed = failure.under(under) if under else failure
        raise errors.BadRequest(
            f"invalid {kind.name} object: {gotext.quote(failure.reason)}", field=placed.field, allowed=failure.allowed
        ) from None


def decode_meta(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> res.Meta:
    """The metadata of a document; BadRequest where a part has the wrong type. Absent parts stay empty."""
    try:
        return res.Meta(
            mesh=_text(document, "mesh") if kind.scope is kinds.Scope.MESH else "",
            name=_text(document, "name"),
            labels=_labels(document),
            creation_time=_time(document, "creationTime"),
            modification_time=_time(document, "modificationTime"),
        )
    except reader.Unreadable as failure:
        raise errors.BadRequest(
            f"invalid {kind.name} object: {gotext.quote(failure.reason)}", field=failure.field
        ) from None


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad_meta(value, key, "string")
    return value


def _labels(document: Mapping[str, Any]) -> Mapping[str, str]:
    value = document.get("labels")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _bad_meta(value, "labels", "map[string]string")
    for each in value.values():
        if each is not None and not isinstance(each, str):
            raise _bad_meta(each, "labels", "string")
    return {key: value[key] or "" for key in sorted(value)}


def _time(document: Mapping[str, Any], key: str) -> datetime:
    text = _text(document, key)
    if not text:
        return res.ZERO_TIME
    try:
        return gotext.parse_time(text)
    except ValueError as failure:
        raise reader.Unreadable(str(failure)).under(key) from None


def _bad_meta(value: Any, key: str, wanted: str) -> reader.Unreadable:
    found = gotext.json_type(value)
    reason = f"json: cannot unmarshal {found} into Go struct field ResourceMeta.{key} of type {wanted}"
    return reader.Unreadable(reason).under(key)


def encode(resource: res.Resource[Any]) -> dict[str, Any]:
    """The REST document of a resource, keys in Kuma's order; empty parts left out, times always there."""
    document = encode_meta(resource)
    if resource.kind.envelope is kinds.Envelope.ROOT:
        document.update(printer.to_builtins(resource.spec))
        return document
    document["spec"] = printer.to_builtins(resource.spec)
    status = status_of(resource)
    if status is not None:
        document["status"] = printer.to_builtins(status)
    return document


def status_of(resource: res.Resource[Any]) -> msgspec.Struct | None:
    """The status as it is shown: kinds that have one show it even before anything is known."""
    if resource.status is None and resource.kind.status is not None:
        return resource.kind.status()
    return resource.status


def encode_meta(resource: res.Resource[Any], type_name: str = "") -> dict[str, Any]:
    """The part of the document before the spec; `type_name` replaces the kind's name (overviews)."""
    meta = resource.meta
    document: dict[str, Any] = {"type": type_name or resource.kind.name}
    if resource.kind.scope is kinds.Scope.MESH:
        document["mesh"] = meta.mesh
    document["name"] = meta.name
    document["creationTime"] = gotext.format_time(meta.creation_time)
    document["modificationTime"] = gotext.format_time(meta.modification_time)
    if meta.labels:
        document["labels"] = {key: meta.labels[key] for key in sorted(meta.labels)}
    kri = resource.kri
    if kri is not None:
        document["kri"] = str(kri)
    snis = _snis(resource)
    if snis:
        document["snis"] = snis
    return document


def _snis(resource: res.Resource[Any]) -> list[dict[str, Any]]:
    """The server names by which proxies ask for each port of a destination, by port; without those that cannot be."""
    kri = resource.kri
    if kri is None or resource.kind.sections is None:
        return []
    named = [(port, kri.with_section(name)) for port, name in sorted(resource.kind.sections(resource.spec))]
    return [{"port": port, "sni": names.sni(each)} for port, each in named if not names.sni_problems(each)]


def encode_spec(spec: msgspec.Struct) -> dict[str, Any]:
    """A spec or status alone, as builtins (overviews, inspect endpoints)."""
    return printer.to_builtins(spec)


def encode_json(resource: res.Resource[Any]) -> bytes:
    """The REST document as compact JSON: metadata, then the spec's bytes as they are."""
    head = printer.builtins_to_json(encode_meta(resource))
    spec = printer.to_json(resource.spec)
    if resource.kind.envelope is kinds.Envelope.ROOT:
        return head if spec == b"{}" else head[:-1] + b"," + spec[1:]
    status = status_of(resource)
    tail = b"" if status is None else b',"status":' + printer.to_json(status)
    return head[:-1] + b',"spec":' + spec + tail + b"}"


def spec_to_json(resource: res.Resource[Any]) -> bytes:
    """The spec as stores keep it."""
    return printer.to_json(resource.spec)


def status_to_json(resource: res.Resource[Any]) -> bytes:
    """The status as stores keep it; empty where there is none."""
    return b"" if resource.status is None else printer.to_json(resource.status)


def spec_from_json(kind: kinds.Kind[Any], raw: bytes | str) -> Any:
    """The spec that `spec_to_json` wrote; BadRequest where the bytes are no such spec."""
    return _read(kind, kind.spec, _parsed(kind, raw), "")


def status_from_json(kind: kinds.Kind[Any], raw: bytes | str) -> msgspec.Struct | None:
    """The status that `status_to_json` wrote; None for none, or for kinds without a status."""
    if kind.status is None or not raw:
        return None
    return _read(kind, kind.status, _parsed(kind, raw), "")


def _parsed(kind: kinds.Kind[Any], raw: bytes | str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as failure:
        raise errors.BadRequest(f"invalid {kind.name} object: {gotext.quote(str(failure))}") from None
