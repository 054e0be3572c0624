"""JSON Schema (2020-12) of the types of specs, from the types themselves and their marks (`values`).

Describes the form in which documents are printed; old kinds also read other spellings of it. Each struct becomes a
definition of its own, named after its file and class, so that names do not depend on which kinds there are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from kuma.resources import values

Schema = dict[str, Any]

_FORMATS = {"int32": "int32", "uint32": "uint32", "uint64": "uint64"}
_SCALARS: Mapping[type[inspect.Type], Schema] = {
    inspect.BoolType: {"type": "boolean"},
    inspect.FloatType: {"type": "number"},
    inspect.StrType: {"type": "string"},
    inspect.BytesType: {"type": "string", "contentEncoding": "base64"},
    inspect.DateTimeType: {"type": "string", "format": "date-time"},
    inspect.AnyType: {},
}


class Definitions:
    """Collects the definitions of structs. `prefix` is what a reference to one starts with."""

    def __init__(self, prefix: str = "#/components/schemas/") -> None:
        self.schemas: dict[str, Schema] = {}
        self._prefix = prefix
        self._owners: dict[str, type[msgspec.Struct]] = {}

    def reference(self, struct: type[msgspec.Struct], name: str = "") -> Schema:
        """A reference to the definition of a struct, which is made if it is new; ValueError for a name in use."""
        own = name or _name_of(struct)
        if self._owners.setdefault(own, struct) is not struct:
            raise ValueError(f"two types are called {own}: {struct} and {self._owners[own]}")
        if own not in self.schemas:
            self.schemas[own] = {}  # before its fields: a type may refer to itself
            self.schemas[own] = self.struct(struct)
        return {"$ref": self._prefix + own}

    def struct(self, struct: type[msgspec.Struct]) -> Schema:
        """The definition of a struct, not yet named."""
        described = inspect.type_info(struct)
        assert isinstance(described, inspect.StructType)
        schema: Schema = {"type": "object", "description": _first_sentence(struct), "properties": {}}
        required = []
        for field in described.fields:
            schema["properties"][field.encode_name] = self._of(field.type)
            if _marks(field.type).get("required"):
                required.append(field.encode_name)
        if required:
            schema["required"] = required
        return schema

    def _of(self, described: inspect.Type) -> Schema:
        marks = _marks(described)
        while isinstance(described, inspect.Metadata):
            described = described.type
        schema = self._plain(described, marks)
        for mark, key in (("enum", "enum"), ("minimum", "minimum"), ("maximum", "maximum"), ("default", "default")):
            if marks.get(mark) is not None:
                schema[key] = list(marks[mark]) if mark == "enum" else marks[mark]
        if marks.get("pattern") is not None:
            schema["pattern"] = marks["pattern"]
        sizes = ("minItems", "maxItems") if schema.get("type") == "array" else ("minLength", "maxLength")
        for mark, key in zip(("shortest", "longest"), sizes, strict=True):
            if marks.get(mark) is not None:
                schema[key] = marks[mark]
        return schema

    def _plain(self, described: inspect.Type, marks: Mapping[str, Any]) -> Schema:
        """The schema of a type without its marks."""
        if isinstance(described, inspect.UnionType):
            several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
            return self._of(several[0]) if len(several) == 1 else {"anyOf": [self._of(each) for each in several]}
        if isinstance(described, inspect.IntType):
            return _integer(marks)
        if isinstance(described, inspect.StructType):
            return self.reference(described.cls)
        if isinstance(described, inspect.VarTupleType | inspect.ListType):
            return {"type": "array", "items": self._of(described.item_type)}
        if isinstance(described, inspect.DictType):
            return {"type": "object", "additionalProperties": self._of(described.value_type)}
        if isinstance(described, inspect.EnumType):
            return {"type": "string", "enum": [str(each.value) for each in described.cls]}
        if isinstance(described, inspect.CustomType):
            return _custom(described.cls)
        return dict(_SCALARS[type(described)])


def _marks(described: inspect.Type) -> dict[str, Any]:
    """Every mark of a field's type, the outer ones first; those of the only member of a union with None count too."""
    found: dict[str, Any] = {}
    while isinstance(described, inspect.Metadata):
        found = {**(described.extra or {}), **found}
        described = described.type
    return found


def _integer(marks: Mapping[str, Any]) -> Schema:
    schema: Schema = {"type": "integer"}
    if marks.get("go") in _FORMATS:
        schema["format"] = _FORMATS[marks["go"]]
    # 64 bits do not fit into a JSON number: they are printed as text, and read as both.
    return {"type": ["string", "integer"], "format": schema["format"]} if marks.get("text") else schema


def _custom(wanted: type) -> Schema:
    if issubclass(wanted, values.ProtoDuration):
        return {"type": "string", "description": 'A duration in seconds, such as "90s" or "1.500s".'}
    if issubclass(wanted, values.GoDuration):
        return {"type": "string", "description": 'A duration, such as "1m30s" or "500ms".'}
    raise TypeError(f"no schema for {wanted.__name__}")


def _name_of(struct: type[msgspec.Struct]) -> str:
    """The name of a definition: that of the file (or folder, for a policy's model), then the class."""
    folder, _, file = struct.__module__.rpartition(".")
    return f"{folder.rpartition('.')[2] if file == 'model' else file}.{struct.__name__}"


def _first_sentence(struct: type[msgspec.Struct]) -> str:
    return " ".join((struct.__doc__ or "").split("\n\n", 1)[0].split())
