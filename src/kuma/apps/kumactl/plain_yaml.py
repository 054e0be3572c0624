"""Reads the plain layout in which kumactl writes its configuration, without loading a YAML parser.

A quarter of the time of a short call went into the parser. Anything beyond block maps, block lists and simple words
(quotes, comments, numbers, snake_case keys) makes `read` give up, and the caller takes the full parser.
"""

import re
from typing import Any

_LINE = re.compile(r"^( *)((?:- )?)([a-z][A-Za-z]*):(?: ([A-Za-z/~][A-Za-z0-9_./:@~+=-]*))?$")
_AMBIGUOUS = frozenset({"y", "n", "yes", "no", "on", "off", "null", "~", "true", "false"})


def read(text: str) -> dict[str, Any] | None:
    """The tree that the text spells, or None where it is not in the plain layout."""
    found = [_LINE.match(line) for line in text.splitlines()]
    if not found or not all(found) or ": " in "".join(each.group(4) or "" for each in found if each):
        return None
    lines = [(len(each.group(1)), bool(each.group(2)), each.group(3), each.group(4)) for each in found if each]
    try:
        tree, rest = _block(lines, 0, 0)
    except ValueError:
        return None
    return tree if rest == len(lines) and isinstance(tree, dict) else None


Line = tuple[int, bool, str, str | None]


def _block(lines: list[Line], at: int, indent: int) -> tuple[Any, int]:
    """The list or map that starts at line `at` with this indent, and the line after it."""
    if lines[at][1]:
        items = []
        while at < len(lines) and lines[at][0] == indent and lines[at][1]:
            first = lines[at]
            lines[at] = (indent + 2, False, first[2], first[3])
            item, at = _block(lines, at, indent + 2)
            items.append(item)
        return items, at
    tree: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent and not lines[at][1]:
        _, _, key, value = lines[at]
        at += 1
        if key in tree:
            raise ValueError("a key stands twice")
        if value is not None:
            tree[key] = _scalar(value)
        else:
            inner = lines[at][0] if at < len(lines) else -1
            if inner < indent or (inner == indent and not lines[at][1]):
                raise ValueError("a key without a value")
            tree[key], at = _block(lines, at, inner)
    return tree, at


def _scalar(value: str) -> str | bool:
    if value == "true":
        return True
    if value.lower() in _AMBIGUOUS or value.endswith(":"):
        raise ValueError("not a plain word")
    return value
