"""Fills in what the schema of a new kind gives to fields that were not written (`values.defaults_to`).

Kuma stores these defaults, as Kubernetes' API server does, so a document shows them when it is read back. They are
put into the parsed document, before it becomes a struct: a struct read elsewhere keeps what it was written with.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

Fill = Callable[[Any], Any]


def fill(spec: type[msgspec.Struct], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with its defaults; itself where the type has none. It has to fit the schema."""
    filling = _filling(spec)
    filled: Mapping[str, Any] = document if filling is None else filling(document)
    return filled


@functools.cache
def _filling(wanted: type[msgspec.Struct]) -> Fill | None:
    """What fills a document of one struct type; None where nothing in it has a default. Types must not nest in themselves."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    absent: dict[str, Any] = {}
    inner: dict[str, Fill] = {}
    for field in described.fields:
        default = _default_of(field.type)
        if default is not None:
            absent[field.encode_name] = default
        filling = _filling_of(field.type)
        if filling is not None:
            inner[field.encode_name] = filling
    if not absent and not inner:
        return None

    def fill_fields(document: Mapping[str, Any]) -> Mapping[str, Any]:
        out = {name: inner[name](value) if name in inner else value for name, value in document.items()}
        for name, value in absent.items():
            out.setdefault(name, value)
        return out

    return fill_fields


def _default_of(described: inspect.Type) -> Any:
    """The marked default of a field type; None where there is none."""
    if isinstance(described, inspect.Metadata):
        return (described.extra or {}).get("default", _default_of(described.type))
    if isinstance(described, inspect.UnionType):
        return next((found for each in described.types if (found := _default_of(each)) is not None), None)
    return None


def _filling_of(described: inspect.Type) -> Fill | None:
    if isinstance(described, inspect.Metadata):
        return _filling_of(described.type)
    if isinstance(described, inspect.UnionType):
        several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
        return _filling_of(several[0]) if len(several) == 1 else None
    if isinstance(described, inspect.StructType):
        return _filling(described.cls)
    if isinstance(described, inspect.VarTupleType):
        each_item = _filling_of(described.item_type)
        return None if each_item is None else lambda items: [each_item(item) for item in items]
    if isinstance(described, inspect.DictType):
        each_value = _filling_of(described.value_type)
        return None if each_value is None else lambda pairs: {key: each_value(value) for key, value in pairs.items()}
    return None
