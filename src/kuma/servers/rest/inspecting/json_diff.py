"""The difference of two JSON documents as a JSON Patch (RFC 6902). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


def patch(before: Any, after: Any) -> list[Operation]:
    """Operations that, one after the other, make `before` into `after`.

    What goes is tested and removed, with its value, before something else takes its place, as Kuma shows it. What two
    lists have in common at their ends stays; between that their items are compared one by one.
    """
    return list(_operations(before, after, ""))


def _operations(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            here = f"{path}/{_escaped(str(key))}"
            if key not in after:
                yield from _removal(here, before[key])
            elif key not in before:
                yield _addition(here, after[key])
            else:
                yield from _operations(before[key], after[key], here)
    elif _is_list(before) and _is_list(after):
        yield from _of_lists(before, after, path)
    elif before != after:
        yield from _removal(path, before)
        yield _addition(path, after)


def _of_lists(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Operation]:
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    paired = min(len(old), len(new))
    for index in range(paired):
        yield from _operations(old[index], new[index], f"{path}/{start + index}")
    here = f"{path}/{start + paired}"
    for each in old[paired:]:
        yield from _removal(here, each)
    for each in reversed(new[paired:]):
        yield _addition(here, each)


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items two lists begin with alike."""
    for index, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine != its:
            return index
    return min(len(one), len(other))


def _removal(path: str, value: Any) -> Iterator[Operation]:
    yield {"op": "test", "path": path, "value": value}
    yield {"op": "remove", "path": path, "value": value}


def _addition(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _escaped(key: str) -> str:
    """A reference token of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
