"""Prints specs as builtins and JSON. The reverse of `reader`.

msgspec does the work; what it cannot know is that proto JSON writes 64-bit integers as strings. Types that hold such
fields (insights) get a rewriting pass, compiled from the type; all others go straight to the C encoder.
"""

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

from kuma.resources import values

_encoder = msgspec.json.Encoder(enc_hook=values.to_builtin)
Rewrite = Callable[[Any], Any]


def to_builtins(struct: msgspec.Struct) -> dict[str, Any]:
    """The struct as dicts, lists and scalars, fields in their declared order."""
    plain: dict[str, Any] = msgspec.to_builtins(struct, enc_hook=values.to_builtin)
    rewrite = _rewriter(type(struct))
    return plain if rewrite is None else rewrite(plain)


def to_json(struct: msgspec.Struct) -> bytes:
    """The struct as compact JSON, fields in their declared order."""
    if _rewriter(type(struct)) is None:
        return _encoder.encode(struct)
    return _encoder.encode(to_builtins(struct))


def builtins_to_json(document: Any) -> bytes:
    """Compact JSON of a value that may hold structs whose types need no rewriting."""
    return _encoder.encode(document)


@functools.cache
def _rewriter(wanted: type[msgspec.Struct]) -> Rewrite | None:
    """What turns the 64-bit integers of a printed struct into strings; None where it holds none."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    found = {
        field.encode_name: rewrite for field in described.fields if (rewrite := _rewrite_of(field.type)) is not None
    }
    if not found:
        return None

    def rewrite_fields(plain: dict[str, Any]) -> dict[str, Any]:
        return {name: found[name](value) if name in found else value for name, value in plain.items()}

    return rewrite_fields


def _rewrite_of(described: inspect.Type) -> Rewrite | None:
    while isinstance(described, inspect.Metadata):
        if (described.extra or {}).get("text"):
            return str
        described = described.type
    if isinstance(described, inspect.UnionType):
        several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
        return _rewrite_of(several[0]) if len(several) == 1 else None
    if isinstance(described, inspect.StructType):
        return _rewriter(described.cls)
    if isinstance(described, inspect.VarTupleType):
        each_item = _rewrite_of(described.item_type)
        return None if each_item is None else lambda items: [each_item(item) for item in items]
    if isinstance(described, inspect.DictType):
        each_value = _rewrite_of(described.value_type)
        return None if each_value is None else lambda pairs: {key: each_value(value) for key, value in pairs.items()}
    return None
