"""Schema checks of new kinds, derived from the struct types: type, required, enum, bounds, length, pattern.

They run before decoding and stop it, with the words of Kubernetes' OpenAPI validator, which Kuma uses for the
`spec` envelope. The marks are those of `values` (`Required`, `one_of`, `bounded`, `sized`, `matching`).
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from kuma.base.errors import Violation
from kuma.resources import kind as kinds

_TYPE_NAMES = {
    inspect.StructType: "object",
    inspect.DictType: "object",
    inspect.VarTupleType: "array",
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
}


def envelope_violations(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> list[Violation]:
    """What the schema of a `spec`-envelope kind finds wrong with a REST document: metadata first, then the spec."""
    found = [_located(path, reason) for path, reason in _check_envelope(kind, document)]
    if document.get("spec") is None:
        return [*found, Violation("", ".spec in body is required")]
    spec: type[msgspec.Struct] = kind.spec
    return found + [_located(path, reason) for path, reason in _check(_described(spec), {}, document["spec"], "spec")]


def _check_envelope(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("type", "mesh", "name"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            yield name, f'in body must be of type string: "{_type_of(value)}"'
    if isinstance(document.get("type"), str) and document["type"] != kind.name:
        yield "type", f"in body should be one of [{kind.name}]"
    labels = document.get("labels")
    if labels is None:
        return
    if not isinstance(labels, Mapping):
        yield "labels", f'in body must be of type object: "{_type_of(labels)}"'
        return
    for key in sorted(labels, key=str):
        if not isinstance(labels[key], str):
            yield f"labels.{key}", f'in body must be of type string: "{_type_of(labels[key])}"'


@functools.cache
def _described(spec: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(spec)


def _located(path: str, reason: str) -> Violation:
    """Messages about something inside the spec name its field; the others stand whole under no field."""
    return Violation(path, reason) if path.startswith("spec.") else Violation("", f"{path} {reason}")


def _check(described: inspect.Type, marks: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every (path, reason) where `value` breaks the type."""
    while isinstance(described, inspect.Metadata):
        marks = {**marks, **(described.extra or {})}
        described = described.type
    if isinstance(described, inspect.UnionType):
        several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
        if len(several) == 1 or not any(_is_accepted(each, value, path) for each in several):
            if len(several) > 1:
                yield f'"{path}"', "must validate at least one schema (anyOf)"
            yield from _check(several[0], marks, value, path)
        return
    if isinstance(described, inspect.AnyType):
        return
    wanted = _TYPE_NAMES.get(type(described), "string")
    found = _type_of(value)
    if not _fits(wanted, found, value):
        yield path, f'in body must be of type {wanted}: "{found}"'
        return
    yield from _check_marks(marks, value, path)
    if isinstance(described, inspect.StructType):
        yield from _check_fields(described, value, path)
    elif isinstance(described, inspect.VarTupleType):
        for index, each in enumerate(value):
            yield from _check(described.item_type, {}, each, f"{path}[{index}]")
    elif isinstance(described, inspect.DictType):
        for key in sorted(value):
            yield from _check(described.value_type, {}, value[key], f"{path}.{key}")


def _is_accepted(described: inspect.Type, value: Any, path: str) -> bool:
    return next(_check(described, {}, value, path), None) is None


def _check_fields(described: inspect.StructType, value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for field in described.fields:
        if field.encode_name in value:
            yield from _check(field.type, {}, value[field.encode_name], f"{path}.{field.encode_name}")
        elif _is_required(field.type):
            yield f"{path}.{field.encode_name}", "in body is required"


def _is_required(described: inspect.Type) -> bool:
    while isinstance(described, inspect.Metadata):
        if (described.extra or {}).get("required"):
            return True
        described = described.type
    return False


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _fits(wanted: str, found: str, value: Any) -> bool:
    if wanted == "integer":
        return found == "number" and float(value).is_integer()
    return wanted == found


def _check_marks(marks: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The marks of one field against a value that has its type."""
    accepted = marks.get("enum")
    if accepted is not None and value not in accepted:
        yield path, f"in body should be one of [{' '.join(map(str, accepted))}]"
    least, most = marks.get("minimum"), marks.get("maximum")
    if least is not None and value < least:
        yield path, f"in body should be greater than or equal to {least}"
    if most is not None and value > most:
        yield path, f"in body should be less than or equal to {most}"
    yield from _check_length(marks, value, path)
    pattern = marks.get("pattern")
    if pattern is not None and not _is_like(pattern, value):
        yield path, f"in body should match '{pattern}'"


def _is_like(pattern: str, text: str) -> bool:
    """Whether a text fits. Go's final `$` is the end of the text, where Python's also is before a last newline."""
    return re.search(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern, text) is not None


def _check_length(marks: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
    shortest, longest = marks.get("shortest"), marks.get("longest")
    if isinstance(value, str):
        if shortest is not None and len(value) < shortest:
            yield path, f"in body should be at least {shortest} chars long"
        if longest is not None and len(value) > longest:
            yield path, f"in body should be at most {longest} chars long"
        return
    if shortest is not None and len(value) < shortest:
        yield path, f"in body should have at least {shortest} items"
    if longest is not None and len(value) > longest:
        yield path, f"in body should have at most {longest} items"
