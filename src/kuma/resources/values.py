"""Field types that specs share: durations in both spellings, sized integers, enums of old kinds, schema marks.

A spec names its fields with these types and gets reading, printing and schema checks from them. Durations are
objects of their own because their text differs between the two generations of kinds.
"""

import enum
import functools
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

import msgspec

from kuma.base import durations


@functools.total_ordering
class _Duration:
    """A length of time. Plain class rather than dataclass: the encoder must hand it to its hook."""

    __slots__ = ("nanoseconds",)
    nanoseconds: int

    def __init__(self, nanoseconds: int) -> None:
        object.__setattr__(self, "nanoseconds", nanoseconds)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.nanoseconds / durations.SECOND

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Self) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.nanoseconds})"


class ProtoDuration(_Duration):
    """A duration of an old kind, printed as proto JSON seconds (`"90s"`, `"1.500s"`)."""

    __slots__ = ()

    def __str__(self) -> str:
        return durations.format_proto(self.nanoseconds)


class GoDuration(_Duration):
    """A duration of a new kind, printed in Go's canonical form (`"1m30s"`)."""

    __slots__ = ()

    def __str__(self) -> str:
        return durations.format_go(self.nanoseconds)


UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

UInt32 = Annotated[int, msgspec.Meta(extra={"go": "uint32", "least": 0, "most": UINT32_MAX})]
"""An unsigned number of 32 bits."""

UInt64 = Annotated[int, msgspec.Meta(extra={"go": "uint64", "least": 0, "most": UINT64_MAX, "text": True})]
"""An unsigned number of 64 bits, printed as a JSON string (proto JSON)."""

Int32 = Annotated[int, msgspec.Meta(extra={"go": "int32", "least": INT32_MIN, "most": INT32_MAX})]
"""A signed number of 32 bits."""

IntOrString = Int32 | str
"""A number that may be written as text where it has decimals (`50`, `"50.5"`); whole numbers have 32 bits."""

Required = msgspec.Meta(extra={"required": True})
"""Marks a field of a new kind that the schema demands; the Python default stands in where it was absent."""


def one_of(*values: str | int) -> msgspec.Meta:
    """Marks a string or number field of a new kind whose schema lists the accepted values."""
    return msgspec.Meta(extra={"enum": values})


def bounded(least: int | None = None, most: int | None = None) -> msgspec.Meta:
    """Marks a number field of a new kind whose schema bounds it, inclusively."""
    return msgspec.Meta(extra={"minimum": least, "maximum": most})


def sized(least: int | None = None, most: int | None = None) -> msgspec.Meta:
    """Marks a string or list field of a new kind whose schema bounds its length, inclusively."""
    return msgspec.Meta(extra={"shortest": least, "longest": most})


def matching(pattern: str) -> msgspec.Meta:
    """Marks a string field of a new kind whose schema gives a regular expression."""
    return msgspec.Meta(extra={"pattern": pattern})


HTTP = ("http", "http2", "grpc")
"""The protocols of requests, by their names in `kuma.io/protocol`."""


def spoken_by(*protocols: str) -> msgspec.Meta:
    """Marks a field of a conf that means something only where one of these protocols is spoken."""
    return msgspec.Meta(extra={"protocols": protocols})


def defaults_to(value: str | int | bool) -> msgspec.Meta:
    """Marks a field of a new kind that is stored with this value where it was not written (`defaults.fill`).

    The Python default stays what says "not written", so that a stored value is printed even where it is this one.
    """
    return msgspec.Meta(extra={"default": value})


class ProtoEnum(enum.StrEnum):
    """An enum of an old kind. The first member is the zero value: absent on the wire. Numbers are accepted on input."""

    __proto_name__: ClassVar[str] = ""


def to_builtin(value: Any) -> Any:
    """The encoder's hook: durations become their text. NotImplementedError for types that specs do not use."""
    if isinstance(value, _Duration):
        return str(value)
    raise NotImplementedError(f"no wire form for {type(value).__name__}")


def from_builtin(wanted: type, value: Any) -> Any:
    """The decoder's hook for documents that this project printed itself; ValueError for text that is no duration."""
    if wanted is ProtoDuration:
        return ProtoDuration(durations.parse_go(value))
    if wanted is GoDuration:
        return GoDuration(durations.parse_go(value))
    raise NotImplementedError(f"no wire form for {wanted.__name__}")


Timestamp = datetime
"""A moment, always in UTC; RFC 3339 text on the wire."""
