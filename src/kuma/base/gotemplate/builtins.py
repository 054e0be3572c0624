"""The functions that every template may call, as Go defines them. Strings are measured and cut in bytes.

`call` is missing: no value of ours is a function. Source: pkg.go.dev/text/template, "Functions".
"""

import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from kuma.base import gotext

Value = Any
Functions = Mapping[str, Callable[..., Value]]

NO_VALUE = "<no value>"
"""What Go prints for a key that a map lacks."""

_VERB = re.compile(r"%(.)", re.DOTALL)
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_JS = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        **{each: f"\\u{ord(each):04X}" for each in ("<", ">", "&", "=", *map(chr, range(32)))},
    }
)


def truth(value: Value) -> bool:
    """Whether a condition with this value holds."""
    return value not in (None, "", 0, False)


def shown(value: Value) -> str:
    """A value as Go prints it."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _and(*arguments: Value) -> Value:
    return next((each for each in arguments if not truth(each)), arguments[-1])


def _or(*arguments: Value) -> Value:
    return next((each for each in arguments if truth(each)), arguments[-1])


def _eq(first: Value, *others: Value) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for each in others:
        if type(each) is not type(first):
            raise ValueError("incompatible types for comparison")
        if each == first:
            return True
    return False


def _lt(first: Value, second: Value) -> bool:
    if isinstance(first, bool) or first is None:
        raise ValueError("invalid type for comparison")
    if type(first) is not type(second):
        raise ValueError("incompatible types for comparison")
    return bool(first < second)


def _le(first: Value, second: Value) -> bool:
    return _lt(first, second) or _eq(first, second)


def _slice(text: str, *bounds: int) -> str:
    raw = text.encode()
    if len(bounds) > 2:
        raise ValueError("cannot 3-index slice a string")
    for each in bounds:
        if not 0 <= each <= len(raw):
            raise ValueError(f"index out of range: {each}")
    start, end = (*bounds, *(0, len(raw))[len(bounds) :])
    if start > end:
        raise ValueError(f"invalid slice index: {start} > {end}")
    return raw[start:end].decode(errors="replace")


def _index(text: str, *at: int) -> Value:
    """A string has bytes, and a byte has no members."""
    if not at:
        return text
    if len(at) > 1:
        raise ValueError("can't index item of type uint8")
    raw = text.encode()
    if not 0 <= at[0] < len(raw):
        raise ValueError(f"index out of range: {at[0]}")
    return raw[at[0]]


def _print(*arguments: Value) -> str:
    """Like Go's Sprint: a space between two operands where neither is a string."""
    out = ""
    for index, each in enumerate(arguments):
        if index and not isinstance(each, str) and not isinstance(arguments[index - 1], str):
            out += " "
        out += shown(each)
    return out


def _printf(form: str, *arguments: Value) -> str:
    """Like Go's Sprintf for the verbs that texts need: `%s`, `%v`, `%d`, `%q`."""
    given = iter(arguments)
    out = _VERB.sub(lambda found: "%" if found.group(1) == "%" else _formatted(found.group(1), next(given, None)), form)
    if next(given, None) is not None:
        raise ValueError("more values than verbs")
    return out


def _formatted(verb: str, value: Value) -> str:
    if verb not in "svdq" or value is None or (verb == "d") != (verb != "v" and type(value) is int):
        raise ValueError(f"%{verb} does not fit its value")
    return gotext.quote(value) if verb == "q" else shown(value)


BUILTINS: Functions = {
    "and": _and,
    "or": _or,
    "not": lambda value: not truth(value),
    "eq": _eq,
    "ne": lambda first, second: not _eq(first, second),
    "lt": _lt,
    "le": _le,
    "gt": lambda first, second: not _le(first, second),
    "ge": lambda first, second: not _lt(first, second),
    "len": lambda value: len(value.encode(errors="replace")),
    "slice": _slice,
    "index": _index,
    "print": _print,
    "printf": _printf,
    "println": lambda *arguments: " ".join(shown(each) for each in arguments) + "\n",
    "html": lambda *arguments: _print(*arguments).translate(_HTML),
    "js": lambda *arguments: _print(*arguments).translate(_JS),
    "urlquery": lambda *arguments: urllib.parse.quote_plus(_print(*arguments)),
}
"""By name."""
