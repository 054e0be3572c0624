"""What a JSON Patch (RFC 6902) makes of a document: the operations that the control plane writes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any


def applied(document: Any, operations: Iterable[Mapping[str, Any]]) -> Any:
    """The document after the operations; AssertionError where one does not fit."""
    out = json.loads(json.dumps(document))  # a copy, and of ordered dicts the order does not count
    for each in operations:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in each["path"].split("/")[1:]]
        out = _changed(out, parts, each)
    return out


def _changed(value: Any, parts: list[str], operation: Mapping[str, Any]) -> Any:
    if len(parts) > 1:
        key: Any = int(parts[0]) if isinstance(value, list) else parts[0]
        value[key] = _changed(value[key], parts[1:], operation)
        return value
    if not parts:
        assert operation["op"] != "test" or value == operation["value"], operation
        return None if operation["op"] == "remove" else operation["value"]
    return (
        _items_changed(value, parts[0], operation)
        if isinstance(value, list)
        else _fields_changed(value, parts[0], operation)
    )


def _items_changed(items: list[Any], key: str, operation: Mapping[str, Any]) -> list[Any]:
    if operation["op"] == "add":
        assert 0 <= int(key) <= len(items), operation
        items.insert(int(key), operation["value"])
    else:
        assert items[int(key)] == operation["value"], operation
        if operation["op"] == "remove":
            del items[int(key)]
    return items


def _fields_changed(fields: dict[str, Any], key: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    if operation["op"] == "add":
        assert key not in fields, operation
        fields[key] = operation["value"]
    else:
        assert fields[key] == operation["value"], operation
        if operation["op"] == "remove":
            del fields[key]
    return fields
