"""Fields of a written document that no type knows: they are dropped, so their author is told.

Kuma drops them without a word, and a misspelt `mtls` is a mesh without encryption. Documents are still accepted.
What is known comes from the struct types, in the spellings that the reader takes.
"""

import difflib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from kuma.base import gotext
from kuma.resources import kind as kinds
from kuma.resources import reader

MOST_WARNINGS = 20
"""How many fields are named one by one: a document may hold hundreds of thousands."""
_LONGEST_GUESSED = 64
_LONGEST_SHOWN = 200
_META = ("type", "mesh", "name", "labels", "creationTime", "modificationTime", "kri", "snis")

Fields = Mapping[str, inspect.Type]


def warnings(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each unknown field of a document, the first MOST_WARNINGS of them.

    The document may break rules: where something of another shape stands than the type has, nothing is looked for.
    """
    count = 0
    for path, name, known in _unknown(kind, document):
        count += 1
        if count <= MOST_WARNINGS:
            yield _sentence(path, name, known)
    if count > MOST_WARNINGS:
        yield f"{count - MOST_WARNINGS} more unknown fields were ignored"


def _sentence(path: str, name: str, known: Fields) -> str:
    shown = path if len(path) <= _LONGEST_SHOWN else path[:_LONGEST_SHOWN] + "..."
    text = f"unknown field {gotext.quote(shown)} was ignored"
    near = difflib.get_close_matches(name, known, n=1) if len(name) <= _LONGEST_GUESSED else []
    return f"{text}, did you mean {gotext.quote(near[0])}?" if near else text


def _unknown(kind: kinds.Kind[Any], document: Mapping[str, Any]) -> Iterator[tuple[str, str, Fields]]:
    """Path, name and known neighbours of each unknown field, in the order of the document."""
    proto = kind.envelope is kinds.Envelope.ROOT
    meta = dict.fromkeys(_META, inspect.AnyType())
    spec: type[msgspec.Struct] = kind.spec
    if proto:
        top: Fields = {**_fields_of(spec, True), **meta}
    else:
        top = {**meta, "spec": inspect.StructType(spec, ()), "status": inspect.AnyType()}
    # By hand instead of by recursion: its author decides how deep a document is nested.
    waiting: list[Iterator[tuple[str, str, Fields | None, inspect.Type, Any]]] = [_members(top, document, "")]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        path, name, known, described, value = found
        if known is not None:
            yield path, name, known
        else:
            waiting.append(_below(described, value, path, proto))


def _below(
    described: inspect.Type, value: Any, path: str, proto: bool
) -> Iterator[tuple[str, str, Fields | None, inspect.Type, Any]]:
    """What a value holds, each with its type; an unknown field carries its known neighbours instead of going deeper."""
    described = _plain(described)
    if isinstance(described, inspect.StructType) and isinstance(value, Mapping):
        yield from _members(_fields_of(described.cls, proto), value, path)
    elif isinstance(described, inspect.VarTupleType) and isinstance(value, list | tuple):
        if _holds_structs(described.item_type):
            for at, each in enumerate(value):
                yield f"{path}[{at}]", "", None, described.item_type, each
    elif (
        isinstance(described, inspect.DictType) and isinstance(value, Mapping) and _holds_structs(described.value_type)
    ):
        for key, each in value.items():
            yield f"{path}[{gotext.quote(str(key))}]", "", None, described.value_type, each


def _members(
    known: Fields, value: Mapping[str, Any], path: str
) -> Iterator[tuple[str, str, Fields | None, inspect.Type, Any]]:
    for key, each in value.items():
        name = str(key)
        described = known.get(name)
        place = f"{path}.{name}" if path else name
        if described is None:
            yield place, name, known, inspect.AnyType(), None
        elif _holds_structs(described):
            yield place, name, None, described, each


@functools.cache
def _fields_of(wanted: type[msgspec.Struct], proto: bool) -> Fields:
    """The type of each field by every spelling; the one that is printed comes first, and so is suggested first."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    found: dict[str, inspect.Type] = {field.encode_name: field.type for field in described.fields}
    for field in described.fields:
        for name in reader.spellings(field, proto=proto):
            found.setdefault(name, field.type)
    return found


def _plain(described: inspect.Type) -> inspect.Type:
    """The type without marks and without the None of optional fields."""
    while True:
        if isinstance(described, inspect.Metadata):
            described = described.type
        elif isinstance(described, inspect.UnionType):
            several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
            described = several[0]
        else:
            return described


def _holds_structs(described: inspect.Type) -> bool:
    """Whether there can be anything unknown below: not in texts, numbers and free maps."""
    described = _plain(described)
    if isinstance(described, inspect.VarTupleType):
        return _holds_structs(described.item_type)
    if isinstance(described, inspect.DictType):
        return _holds_structs(described.value_type)
    return isinstance(described, inspect.StructType)
