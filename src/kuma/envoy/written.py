"""Envoy messages that users write themselves, as documents: finding the type by its name, reading, checking.

Modules of Envoy's API are imported as the documents name them, so nothing is loaded that nobody writes about.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory

from kuma.base import gotext
from kuma.envoy import (
    constraints,
    set_filter_state,  # noqa: F401 - what users write may have its fields
)

_TYPE_NAME = re.compile(r"(?:envoy|xds|udpa)(?:\.[a-z][a-z0-9_]*)+(?:\.[A-Z][A-Za-z0-9_]*)+")
_UNKNOWN_ENUM = re.compile(r"Invalid enum value (.*) for enum type (\S+)")


def read(type_name: str, document: Any, *, whole: bool = True) -> Any:
    """The message of a type (`envoy.config.cluster.v3.Cluster`) that a parsed document spells.

    `whole` also asks that it can stand alone: that Envoy's constraints on its fields hold, which a patch need not.
    ValueError with the reason. Unknown fields are dropped, as in every resource.
    """
    descriptor = _descriptor_of(type_name)
    message = message_factory.GetMessageClass(descriptor)()
    try:
        json_format.ParseDict(_known_part(document or {}, descriptor, "", []), message)
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    except (json_format.Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as failure:
        # The parser expects the shapes that JSON of a message has, and trips over others in many ways.
        raise ValueError(_reason(failure)) from None
    if whole:
        broken = constraints.first_violation(message)
        if broken:
            raise ValueError(broken)
    return message


def read_any(document: Any, *, whole: bool = True) -> Any:
    """The message of a document that says its own type under `@type`; ValueError as `read`."""
    url = document.get("@type") if isinstance(document, Mapping) else None
    if not isinstance(url, str) or not url:
        raise ValueError("Any JSON doesn't have '@type'")
    return read(url.rpartition("/")[2], {key: value for key, value in document.items() if key != "@type"}, whole=whole)


def unknown_fields(type_name: str, document: Any) -> list[str]:
    """The fields that `read` drops from a document which it accepts, each by its path: `load_assignment.endponts`."""
    dropped: list[str] = []
    _known_part(document or {}, _descriptor_of(type_name), "", dropped)
    return dropped


def as_document(message: Any) -> Any:
    """A message as the document that spells it; what stands in an `Any` is spelled out as well. ValueError if it cannot."""
    try:
        return json_format.MessageToDict(message)
    except (json_format.Error, TypeError) as failure:
        raise ValueError(_reason(failure)) from None


def unpack(packed: Any) -> Any:
    """The message in an `Any`; ValueError for unknown types."""
    out = message_factory.GetMessageClass(_descriptor_of(packed.type_url.rpartition("/")[2]))()
    out.ParseFromString(packed.value)
    return out


def _reason(failure: Exception) -> str:
    """The first line of the parser's complaint, which names the place; Go's words where they are known."""
    text = str(failure).split("\n", 1)[0].rstrip(". ")
    unknown = _UNKNOWN_ENUM.search(text)
    if unknown:
        value, enum = unknown.groups()
        return f"unknown value {gotext.quote(gotext.quote(value))} for enum {enum}"
    return text


def _known_part(value: Any, descriptor: Any, path: str, dropped: list[str]) -> Any:
    """The document without fields that the type lacks, whose paths are added to `dropped`.

    A parser that drops them itself drops unknown enums as well.
    """
    if not isinstance(value, Mapping):
        return value
    if descriptor.full_name == "google.protobuf.Any":
        return _known_part_of_any(value, path, dropped)
    if descriptor.full_name.startswith("google.protobuf."):
        return value
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    dropped.extend(_below(path, key) for key in value if key not in fields)
    return {
        key: _known_value(each, fields[key], _below(path, key), dropped) for key, each in value.items() if key in fields
    }


def _known_part_of_any(value: Mapping[str, Any], path: str, dropped: list[str]) -> Any:
    url = value.get("@type")
    if not isinstance(url, str) or not url:
        return value
    descriptor = _descriptor_of(url.rpartition("/")[2])
    if descriptor.full_name.startswith("google.protobuf."):
        return value
    inner = {key: each for key, each in value.items() if key != "@type"}
    return {"@type": url, **_known_part(inner, descriptor, path, dropped)}


def _known_value(value: Any, field: Any, path: str, dropped: list[str]) -> Any:
    inner = field.message_type
    if inner is None:
        return value
    if inner.GetOptions().map_entry:
        inner = inner.fields_by_name["value"].message_type
        if inner is None or not isinstance(value, Mapping):
            return value
        return {key: _known_part(each, inner, _below(path, key), dropped) for key, each in value.items()}
    if field.is_repeated and isinstance(value, list):
        return [_known_part(each, inner, f"{path}[{at}]", dropped) for at, each in enumerate(value)]
    return _known_part(value, inner, path, dropped)


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _descriptor_of(type_name: str) -> Any:
    """The type's descriptor; imports the modules of its package on the first question. ValueError for unknown types."""
    pool: Any = descriptor_pool.Default()
    for load in (False, True):
        if load:
            _import_package_of(type_name)
        try:
            return pool.FindMessageTypeByName(type_name)
        except KeyError:
            continue
    raise ValueError(f"could not resolve Any message type: {type_name}")


def _import_package_of(type_name: str) -> None:
    """Imports the messages that stand beside a type of Envoy's API; other names, and unknown packages, do nothing."""
    if not _TYPE_NAME.fullmatch(type_name):
        return
    package = ".".join(part for part in type_name.split(".") if part[0].islower())
    try:
        path = importlib.import_module(package).__path__
    except (ImportError, AttributeError):
        return
    for each in pkgutil.iter_modules(path):
        if each.name.endswith("_pb2"):
            importlib.import_module(f"{package}.{each.name}")
