"""Which members of a conf mean something only where certain protocols are spoken; models mark them (`values.spoken_by`).

Source of what is marked where: the page of each policy in Kuma's documentation.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import inspect

Part = tuple[str, tuple[str, ...]]
"""The path of a member, and the protocols that know it."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A field by its name in Python and on the wire; no `protocols` means all."""

    attribute: str
    name: str
    protocols: tuple[str, ...]


def parts(conf: msgspec.Struct) -> Iterator[Part]:
    """The marked members that a conf has written, the outermost alone."""
    for member in _members(type(conf)):
        value = getattr(conf, member.attribute)
        if value is None:
            continue
        if member.protocols:
            yield member.name, member.protocols
        elif isinstance(value, msgspec.Struct):
            yield from ((f"{member.name}.{path}", protocols) for path, protocols in parts(value))
        elif isinstance(value, tuple):
            yield from _of_items(member.name, value)


def _of_items(name: str, items: Sequence[object]) -> Iterator[Part]:
    for at, each in enumerate(items):
        if isinstance(each, msgspec.Struct):
            yield from ((f"{name}[{at}].{path}", protocols) for path, protocols in parts(each))


@functools.cache
def _members(struct: type[msgspec.Struct]) -> tuple[_Member, ...]:
    """The fields that are marked, or below which there is something marked."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    found = (_Member(each.name, each.encode_name, _protocols(each.type)) for each in described.fields)
    kept = zip(found, described.fields, strict=True)
    return tuple(member for member, each in kept if member.protocols or _has_marks(each.type))


def _protocols(described: inspect.Type) -> tuple[str, ...]:
    while isinstance(described, inspect.Metadata):
        marked: tuple[str, ...] = (described.extra or {}).get("protocols", ())
        if marked:
            return marked
        described = described.type
    return ()


def _has_marks(described: inspect.Type) -> bool:
    if isinstance(described, inspect.Metadata):
        return _has_marks(described.type)
    if isinstance(described, inspect.UnionType):
        return any(_has_marks(each) for each in described.types)
    if isinstance(described, inspect.VarTupleType):
        return _has_marks(described.item_type)
    return isinstance(described, inspect.StructType) and bool(_members(described.cls))
