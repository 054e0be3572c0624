"""Regular expressions in the syntax of RE2 (github.com/google/re2/wiki/Syntax), which Envoy and Kuma share.

Python's own syntax is another: it has look-around and back references, which RE2 refuses, and lacks a few words of
RE2. Texts are judged by translating them into Python's words and refusing what RE2 does not have.
"""

import re
from typing import NoReturn

_TOKEN = re.compile(
    r"""
    (?P<quoted>\\Q.*?(?:\\E|\Z))
    | (?P<escape>\\(?:[pP](?:\{\^?\w+\}|\w)|x\{[0-9a-fA-F]+\}|.|\Z))
    | (?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\(?:[pP](?:\{\^?\w+\}|\w)|x\{[0-9a-fA-F]+\}|.)|[^\]\\])*\])
    | (?P<flags>\(\?[imsU]*(?:-[imsU]+)?[:)])
    | (?P<named>\(\?P?<(?![=!])\w+>)
    | (?P<group>\(\?)
    | (?P<repeat>[*+?]\??|\{\d+(?:,\d*)?\}\??)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SET_PART = re.compile(r"\[:\^?\w+:\]|\\(?:[pP](?:\{\^?\w+\}|\w)|x\{[0-9a-fA-F]+\}|.)", re.DOTALL)
_SINGLE = frozenset("aftnrvdDsSwWbBA")
_MOST_REPEATS = 1000


class _Foreign(ValueError):
    """The text uses what RE2 does not have."""


def is_re2(text: str) -> bool:
    """Whether RE2 would compile the text."""
    try:
        re.compile(_translated(text))
    except (re.error, _Foreign, OverflowError, RecursionError):
        return False
    return True


def _translated(text: str) -> str:
    """The same expression for Python's `re`, as far as its syntax goes; _Foreign for what RE2 refuses."""
    out = []
    is_repeated = False
    for found in _TOKEN.finditer(text):
        name, token = found.lastgroup, found.group()
        if name == "repeat" and is_repeated:
            raise _Foreign("a repetition of a repetition")
        is_repeated = name == "repeat"
        out.append(_token(name, token))
    return "".join(out)


def _token(name: str | None, token: str) -> str:
    if name == "quoted":
        return re.escape(token[2:].removesuffix("\\E"))
    if name == "escape":
        return _escape(token)
    if name == "set":
        return _SET_PART.sub(lambda part: "a-z" if part.group().startswith("[:") else _escape(part.group()), token)
    if name == "flags":
        return "(?:" if token.endswith(":") else "(?:)"
    if name == "named":
        return "(?P" + token[2:].removeprefix("P")
    if name == "repeat" and token.startswith("{"):
        _check_counts(token)
    if name == "group":
        _refuse(token)
    return token


def _check_counts(token: str) -> None:
    if any(int(each) > _MOST_REPEATS for each in re.findall(r"\d+", token)[:2]):
        _refuse(token)


def _escape(token: str) -> str:
    """A backslash and what follows it, in Python's words."""
    char = token[1:2]
    if char in ("p", "P"):
        return r"\w"
    if token.startswith("\\x{"):
        return "x"
    if char == "z":
        return r"\Z"
    if char == "C":
        return "."
    if char in _SINGLE or char == "x" or (char.isascii() and not char.isalnum() and char) or char == "0":
        return token
    return _refuse(token)


def _refuse(token: str) -> NoReturn:
    raise _Foreign(f"{token} is not part of RE2")
