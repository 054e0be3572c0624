"""Reads parsed JSON or YAML into specs, the way Kuma's decoders do, with their words where they refuse.

One reader is compiled per struct type, from the type itself. Old kinds follow proto JSON (protobuf.dev, JSON
mapping): both spellings of a name, null as absent, numbers as text, enums by name or number. New kinds follow Go's
encoding/json. Both drop unknown fields. Strings that repeat (tags, kinds) become one object, and list items of types
that say `__interned__` are shared where equal, because thousands of proxies say the same things.
"""

import base64
import binascii
import enum
import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from kuma.base import durations, gotext
from kuma.resources import values

T = TypeVar("T", bound=msgspec.Struct)
Read = Callable[[Any], Any]

_RAW_MAP = "map[string]json.RawMessage"
_RAW_LIST = "[]json.RawMessage"
_BASE64 = re.compile(r"[A-Za-z0-9+/]")
_MOST_SHARED, _LONGEST_SHARED = 65_536, 256
_LEAST_SCIENTIFIC = 1e21
"""From here on Go prints a float with an exponent."""


class Unreadable(ValueError):
    """The document does not fit the type. The text is the reason in the words of Kuma's decoder, which leave the field
    out; `field` is its dotted path, `allowed` the words it takes where they are few.
    """

    def __init__(self, reason: str, field: str = "", allowed: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.allowed = allowed

    def under(self, parent: str) -> "Unreadable":
        """The same, seen from the value that holds this one as `parent` (a name, or `[3]`)."""
        joint = "." if self.field and not self.field.startswith("[") else ""
        return Unreadable(self.reason, parent + joint + self.field, self.allowed)


def read_struct(wanted: type[T], document: Any, *, proto: bool) -> T:
    """The struct that a parsed document spells; Unreadable where a value does not fit.

    `proto` chooses between the rules of old kinds (proto JSON) and of new ones.
    """
    result: T = _struct_reader(wanted, proto)(document)
    return result


@functools.cache
def _struct_reader(wanted: type[msgspec.Struct], proto: bool) -> Read:
    """The compiled reader of one struct type. Fields are compiled on first use, so types may refer to themselves."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    table: dict[str, tuple[str, Read]] = {}
    is_shared = getattr(wanted, "__interned__", False)
    for field in described.fields:
        read_field = _reader(field.type, proto)
        if (
            is_shared
            and isinstance(field.type, inspect.DictType)
            and isinstance(field.type.value_type, inspect.StrType)
        ):
            # Many such structs differ in an address or a port alone: a map takes three quarters of their memory.
            read_field = _shared_map_reader(read_field)
        entry = (field.name, read_field)
        table[field.encode_name] = entry
        for name in spellings(field, proto=proto):
            table.setdefault(name, entry)
    message = _RAW_MAP if proto else f"v1alpha1.{wanted.__name__}"
    find = table.get

    def read(document: Any) -> msgspec.Struct:
        if type(document) is not dict and not isinstance(document, Mapping):
            raise Unreadable(gotext.unmarshal_error(document, message))
        found = {}
        for key, value in document.items():
            entry = find(key)
            if entry is not None and value is not None:
                try:
                    found[entry[0]] = entry[1](value)
                except Unreadable as failure:
                    raise failure.under(str(key)) from None
        return wanted(**found)

    return read


def spellings(field: inspect.Field, *, proto: bool) -> tuple[str, ...]:
    """Every name under which a field is read, the printed one first; old kinds also take the names of the proto file."""
    if not proto:
        return (field.encode_name,)
    return field.encode_name, _snake(field.encode_name), field.name.rstrip("_")


def _snake(name: str) -> str:
    """The proto spelling of a lowerCamelCase name: `advertisedAddress` is `advertised_address`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _reader(described: inspect.Type, proto: bool) -> Read:
    """The reader of one field type."""
    extra: dict[str, Any] = {}
    while isinstance(described, inspect.Metadata):
        extra = {**extra, **(described.extra or {})}
        described = described.type
    if isinstance(described, inspect.UnionType):
        several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
        return _reader(several[0], proto) if len(several) == 1 else _read_int_or_string
    if isinstance(described, inspect.IntType):
        return _integer_reader(extra, proto)
    if isinstance(described, inspect.StructType):
        return functools.partial(_read_later, described.cls, proto)
    if isinstance(described, inspect.VarTupleType):
        return _list_reader(described, proto)
    if isinstance(described, inspect.DictType):
        return _map_reader(described, proto)
    if isinstance(described, inspect.EnumType):
        return _enum_reader(described.cls)
    if isinstance(described, inspect.CustomType):
        return _read_proto_duration if described.cls is values.ProtoDuration else _read_go_duration
    simple: dict[type[inspect.Type], Read] = {
        inspect.StrType: _read_string,
        inspect.BoolType: _read_bool,
        inspect.FloatType: functools.partial(_read_float, proto),
        inspect.BytesType: _read_bytes,
        inspect.DateTimeType: _read_time,
        inspect.AnyType: _read_any,
    }
    return simple[type(described)]


def _read_later(wanted: type[msgspec.Struct], proto: bool, value: Any) -> Any:
    return _struct_reader(wanted, proto)(value)


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise Unreadable(gotext.unmarshal_error(value, "string"))
    return sys.intern(value) if len(value) < 64 else value


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Unreadable(gotext.unmarshal_error(value, "bool"))
    return value


def _number(value: Any, proto: bool) -> Any:
    """Proto JSON accepts numbers as text; text that is no number fails like broken JSON."""
    if not (proto and isinstance(value, str)):
        return value
    try:
        return int(value)
    except ValueError:
        pass  # a fraction or an exponent, perhaps
    try:
        return float(value)
    except ValueError:
        first = value[:1]
        reason = (
            f"invalid character '{first}' looking for beginning of value" if first else "unexpected end of JSON input"
        )
        raise Unreadable(reason) from None


def _integer_reader(extra: dict[str, Any], proto: bool) -> Read:
    go, least, most = extra.get("go", "int"), extra.get("least", -(2**63)), extra.get("most", 2**63 - 1)

    def read(value: Any) -> int:
        number = value if type(value) is int else _number(value, proto)
        if type(number) is float and number.is_integer() and isinstance(value, str) is False and abs(number) < 2**53:
            number = int(number)
        if type(number) is not int or not least <= number <= most:
            raise Unreadable(gotext.unmarshal_error(number, go))
        return number

    return read


def _read_float(proto: bool, value: Any) -> float:
    """The number; a whole one as an integer, so that it is printed as Go prints it: 50, not 50.0."""
    number = _number(value, proto)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise Unreadable(gotext.unmarshal_error(value, "float64"))
    is_whole = abs(number) < _LEAST_SCIENTIFIC and number == int(number)
    return int(number) if is_whole else float(number)


def _read_int_or_string(value: Any) -> int | str:
    """The form of Kubernetes' IntOrString: text as it is, a whole number of 32 bits."""
    if type(value) is str:
        return _read_string(value)
    number = int(value) if type(value) is float and value.is_integer() else value
    if type(number) is not int or not values.INT32_MIN <= number <= values.INT32_MAX:
        raise Unreadable(gotext.unmarshal_error(value, "int32"))
    return number


def _read_bytes(value: Any) -> bytes:
    text = _read_string(value)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        broken = next((i for i, char in enumerate(text) if not _BASE64.match(char)), len(text) - len(text) % 4)
        raise Unreadable(f"illegal base64 data at input byte {broken}") from None


def _read_time(value: Any) -> datetime:
    try:
        return gotext.parse_time(_read_string(value))
    except Unreadable:
        raise
    except ValueError as failure:
        raise Unreadable(f"bad Timestamp: {failure}") from None


def _read_proto_duration(value: Any) -> values.ProtoDuration:
    try:
        return values.ProtoDuration(durations.parse_go(_read_string(value)))
    except Unreadable:
        raise
    except ValueError as failure:
        raise Unreadable(f"bad Duration: {failure}") from None


def _read_go_duration(value: Any) -> values.GoDuration:
    try:
        return values.GoDuration(durations.parse_go(_read_string(value)))
    except Unreadable:
        raise
    except ValueError as failure:
        raise Unreadable(str(failure)) from None


def _read_any(value: Any) -> Any:
    """A free value: whole floats become integers, as Kuma prints them; names of maps are sorted."""
    if isinstance(value, Mapping):
        return {str(key): _read_any(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_read_any(each) for each in value]
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _enum_reader(wanted: type[enum.Enum]) -> Read:
    members = list(wanted)
    by_name = {member.value: member for member in members}
    full_name = getattr(wanted, "__proto_name__", wanted.__name__)

    def read(value: Any) -> Any:
        if type(value) is str:
            member = by_name.get(value)
            if member is None:
                reason = f"unknown value {gotext.quote(gotext.quote(value))} for enum {full_name}"
                raise Unreadable(reason, allowed=tuple(by_name))
            return member
        if type(value) is not int:
            raise Unreadable(gotext.unmarshal_error(value, "protoreflect.EnumNumber"))
        if not 0 <= value < len(members):
            raise Unreadable(f"unknown value {value} for enum {full_name}", allowed=tuple(by_name))
        return members[value]

    return read


def _list_reader(described: inspect.VarTupleType, proto: bool) -> Read:
    item = described.item_type
    read_item = _reader(item, proto)
    inner = item.type if isinstance(item, inspect.Metadata) else item
    empty: Any = {} if isinstance(inner, inspect.StructType) else ("" if isinstance(inner, inspect.StrType) else 0)
    message = _RAW_LIST if proto else "[]interface {}"
    if isinstance(inner, inspect.StructType) and getattr(inner.cls, "__interned__", False):
        read_item = _shared_reader(read_item)

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Unreadable(gotext.unmarshal_error(value, message))
        items: list[Any] = []
        try:
            for each in value:
                items.append(read_item(empty if each is None else each))
        except Unreadable as failure:
            raise failure.under(f"[{len(items)}]") from None
        return tuple(items)

    return read


def _shared_reader(read_item: Read) -> Read:
    """Reads equal small documents once and hands out the same struct. The table starts afresh when full."""
    known: dict[bytes, Any] = {}

    def read(value: Any) -> Any:
        try:
            key = msgspec.json.encode(value)
        except (TypeError, ValueError):
            return read_item(value)
        found = known.get(key)
        if found is not None:
            return found
        made = read_item(value)
        if len(key) <= _LONGEST_SHARED:
            if len(known) >= _MOST_SHARED:
                known.clear()
            known[key] = made
        return made

    return read


def _shared_map_reader(read_map: Read) -> Read:
    """Hands out the same map for equal maps of text to text. The table starts afresh when full."""
    known: dict[tuple[tuple[str, str], ...], Any] = {}

    def read(value: Any) -> Any:
        if type(value) is not dict or not all(type(each) is str for pair in value.items() for each in pair):
            return read_map(value)
        key = tuple(value.items())
        found = known.get(key)
        if found is None:
            found = read_map(value)
            if sum(map(len, value)) + sum(map(len, value.values())) <= _LONGEST_SHARED:
                if len(known) >= _MOST_SHARED:
                    known.clear()
                known[key] = found
        return found

    return read


def _map_reader(described: inspect.DictType, proto: bool) -> Read:
    value_type = described.value_type
    if isinstance(value_type, inspect.AnyType):
        return _read_free_map
    read_value = _reader(value_type, proto)
    inner = value_type.type if isinstance(value_type, inspect.Metadata) else value_type
    empty: Any = {} if isinstance(inner, inspect.StructType) else ("" if isinstance(inner, inspect.StrType) else 0)
    message = _RAW_MAP if proto else "map[string]string"

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Unreadable(gotext.unmarshal_error(value, message))
        found: dict[str, Any] = {}
        key: Any = ""
        try:
            for key in sorted(value, key=str) if len(value) > 1 else value:
                each = value[key]
                found[_key(key)] = read_value(empty if each is None else each)
        except Unreadable as failure:
            raise failure.under(f"[{gotext.quote(str(key))}]") from None
        return found

    return read


def _key(key: Any) -> str:
    return sys.intern(key) if type(key) is str else str(key)


def _read_free_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(gotext.unmarshal_error(value, _RAW_MAP))
    result: dict[str, Any] = _read_any(value)
    return result
