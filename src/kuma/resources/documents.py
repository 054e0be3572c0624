"""YAML text as documents. JSON is YAML, so both are read here; requests that say they are JSON have a parser of their own.

Kuma turns YAML into JSON before it reads it, so only what JSON can hold comes out: no dates, no repeated keys.
"""

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from kuma.base import errors

_SEPARATOR = re.compile(r"^---[ \t]*(?:#.*)?$", re.MULTILINE)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MOST_NODES = 1_000_000
_DEEPEST = 1_000
"""Levels. The C parser recurses without a bound of its own, and ends the process at about a hundred times as many."""
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainLoader(_BASE):  # type: ignore[misc]  # the C loader exists on most builds only, so the base is chosen above
    """Values of the types that JSON has: dates stay text. A text that does not fit its tag is a YAML error."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in rules if tag != _TIMESTAMP]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """The value of a node; the library lets Python's own errors through (`!!bool x`, `!!int ""`, an endless number)."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            reason = f"the value does not fit its tag {node.tag}"
            raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark) from None


class _Loader(PlainLoader):
    """Refuses repeated keys too, and makes every key a text."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "found a key that is no scalar", key_node.start_mark)
        name = _key(key)
        if name in found:
            reason = f"key {name!r} already set in map"
            raise yaml.constructor.ConstructorError(None, None, reason, key_node.start_mark)
        found[name] = loader.construct_object(value_node, deep=True)
    return found


def _key(key: Hashable) -> str:
    """The key as JSON would have it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml_documents(text: str) -> list[dict[str, Any]]:
    """Every document of a text, split at lines of `---`; empty ones are left out.

    BadRequest, with the line in the whole text, where one is broken or no map.
    """
    documents = []
    for line, part in _parts(text):
        found = _parse(part, line)
        if found is None:
            continue
        if not isinstance(found, dict):
            raise errors.BadRequest(f"yaml: line {line}: a resource has to be a map")
        documents.append(found)
    return documents


def parse_yaml(text: str) -> Any:
    """The value of one document, None where it is empty; BadRequest with the line where it is broken."""
    return _parse(text, 1)


def _parts(text: str) -> list[tuple[int, str]]:
    """The pieces between separators, each with the number of its first line."""
    parts, start, line = [], 0, 1
    for found in _SEPARATOR.finditer(text):
        parts.append((line, text[start : found.start()]))
        line += text.count("\n", start, found.end())
        start = found.end()
    parts.append((line, text[start:]))
    return parts


def load(text: str, loader: type[PlainLoader] = PlainLoader) -> Any:
    """The value of one document, None where it is empty.

    yaml.YAMLError where it is broken, nested too deeply, or would be endless with its aliases written out;
    RecursionError where the pure Python parser of some builds gave up.
    """
    _require_shallow(text)
    reader = loader(text)
    try:
        found = reader.get_single_data()
    finally:
        reader.dispose()
    if "*" in text and "&" in text and _is_excessive(found):
        raise yaml.YAMLError("document contains excessive aliasing")
    return found


def _require_shallow(text: str) -> None:
    """Raises where lists and maps are nested too deeply. Few texts have brackets and dashes enough to be looked at."""
    if sum(map(text.count, "[{-?")) <= _DEEPEST:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                mark: Any = event.start_mark  # of the C parser or the other; stubs know one of them
                raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _parse(text: str, first_line: int) -> Any:
    try:
        return load(text, _Loader)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        line = first_line + (mark.line if mark else 0)
        raise errors.BadRequest(f"yaml: line {line}: {failure.problem or failure.context}") from None
    except (yaml.YAMLError, RecursionError) as failure:
        reason = "nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise errors.BadRequest(f"yaml: line {first_line}: {reason}") from None


def _is_excessive(value: Any) -> bool:
    """Whether aliases make the document larger, written out, than anybody means it to be (or endless)."""
    open_values, seen = [value], 0
    while open_values:
        seen += 1
        if seen > _MOST_NODES:
            return True
        each = open_values.pop()
        if isinstance(each, dict):
            open_values.extend(each.values())
        elif isinstance(each, list):
            open_values.extend(each)
    return False
