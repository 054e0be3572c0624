"""What Go's YAML library makes of a document whose type it knows: numbers and booleans become text where text is due.

Kuma's own tests read specs that way (sigs.k8s.io/yaml), so `retryOn: [500]` is fine there. Its REST API and command
line read without the type and refuse it.
"""

from typing import Any

import msgspec
from msgspec import inspect


def fitted(spec: type[msgspec.Struct], document: Any) -> Any:
    """The parsed document with scalars turned into text where the struct type says so."""
    return _fit(inspect.type_info(spec), document)


def _fit(described: inspect.Type, value: Any) -> Any:
    if isinstance(described, inspect.Metadata):
        return _fit(described.type, value)
    if isinstance(described, inspect.UnionType):
        several = [each for each in described.types if not isinstance(each, inspect.NoneType)]
        return _fit(several[0], value) if len(several) == 1 else value
    if isinstance(described, inspect.StructType) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in described.fields}
        return {key: _fit(types[key], each) if key in types else each for key, each in value.items()}
    if isinstance(described, inspect.VarTupleType) and isinstance(value, list):
        return [_fit(described.item_type, each) for each in value]
    if isinstance(described, inspect.DictType) and isinstance(value, dict):
        return {key: _fit(described.value_type, each) for key, each in value.items()}
    if isinstance(described, inspect.StrType):
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int | float) else value
    return value
