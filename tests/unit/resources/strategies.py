"""Random values of any spec type, made from the type itself."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from kuma.resources import values

_TEXT = st.text(max_size=12)
_NANOS = st.integers(min_value=-(10**18), max_value=10**18)
_FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)


def specs(wanted: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Values of a struct type; every field may stay at its default."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    fields = {field.name: _of(field.type, {}) for field in described.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda found: wanted(**found))


def _of(described: inspect.Type, marks: dict[str, Any]) -> st.SearchStrategy[Any]:
    while isinstance(described, inspect.Metadata):
        marks = {**marks, **(described.extra or {})}
        described = described.type
    match described:
        case inspect.UnionType(types=types):
            return st.one_of(*[_of(each, marks) for each in types])
        case inspect.NoneType():
            return st.none()
        case inspect.StructType(cls=cls):
            return st.deferred(lambda: specs(cls))
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of(item, {}), max_size=2).map(tuple)
        case inspect.DictType(value_type=value):
            return st.dictionaries(_TEXT, _of(value, {}), max_size=2)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.CustomType(cls=cls):
            return _NANOS.map(cls)
        case inspect.IntType():
            return st.integers(marks.get("least", 0), marks.get("most", values.UINT32_MAX))
    simple: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
        inspect.StrType: st.sampled_from(marks["enum"]) if "enum" in marks else _TEXT,
        inspect.BoolType: st.booleans(),
        inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
        inspect.BytesType: st.binary(max_size=12),
        inspect.DateTimeType: st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)),
        inspect.AnyType: _FREE,
    }
    return simple[type(described)]
