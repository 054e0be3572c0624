"""The difference of two JSON documents as a JSON Patch (RFC 6902). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def patch(before: Any, after: Any) -> list[dict[str, Any]]:
    """Operations that make `before` into `after`, in the order of their paths.

    Lists of equal length are compared item by item; others, and values of different types, are replaced as a whole.
    A removal also shows the value that goes, as Kuma does.
    """
    return list(_operations(before, after, ""))


def _operations(before: Any, after: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            here = f"{path}/{_escaped(str(key))}"
            if key not in after:
                yield {"op": "remove", "path": here, "value": before[key]}
            elif key not in before:
                yield {"op": "add", "path": here, "value": after[key]}
            else:
                yield from _operations(before[key], after[key], here)
        return
    if _is_list(before) and _is_list(after) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _operations(old, new, f"{path}/{index}")
        return
    if before != after:
        yield {"op": "replace", "path": path, "value": after}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _escaped(key: str) -> str:
    """A reference token of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
