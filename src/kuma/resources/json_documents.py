"""JSON bytes of a request into a parsed document, refused in the words of Go's encoding/json.

Parsing itself is msgspec's. Only where it fails does a small reader walk the text again to say what Go would have
said, because clients show that text (pkg.go.dev/encoding/json, SyntaxError).
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from kuma.base import errors, gotext

_SPACE = b" \t\r\n"
_DIGITS = b"0123456789"
_END = "unexpected end of JSON input"


def parse(kind: str, raw: bytes) -> Mapping[str, Any]:
    """The JSON object that `raw` holds; BadRequest, naming the kind that was expected, for anything else."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise _refusal(kind, _Syntax(raw).problem() or str(failure)) from None
    if not isinstance(document, dict):
        raise _refusal(kind, gotext.unmarshal_error(document, "v1alpha1.ResourceMeta"))
    return document


def _refusal(kind: str, reason: str) -> errors.BadRequest:
    return errors.BadRequest(f"invalid {kind} object: {gotext.quote(reason)}")


class _Broken(Exception):
    """Carries Go's sentence for the first error."""


class _Syntax:
    """Walks JSON text and stops at the first error. Nesting is tracked by hand, so depth costs no stack."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def problem(self) -> str | None:
        """Go's sentence for the first syntax error; None where the syntax is sound."""
        try:
            self._document()
        except _Broken as broken:
            return str(broken)
        return None

    def _document(self) -> None:
        closers: list[int] = []
        opened = self._value(closers)
        while closers or opened:
            if not opened:
                opened = self._after_value(closers)
                continue
            if self._peek() == closers[-1]:
                self._at += 1
                closers.pop()
                opened = False
                continue
            if closers[-1] == ord("}"):
                self._key("looking for beginning of object key string")
            opened = self._value(closers)
        if self._peek() is not None:
            self._fail("after top-level value")

    def _after_value(self, closers: list[int]) -> bool:
        """Steps over what follows an element; whether a container was opened."""
        char, closer = self._peek(), closers[-1]
        if char == closer:
            self._at += 1
            closers.pop()
            return False
        is_object = closer == ord("}")
        if char != ord(","):
            self._fail("after object key:value pair" if is_object else "after array element")
        self._at += 1
        if is_object:
            self._key("looking for beginning of object key string")
        return self._value(closers)

    def _value(self, closers: list[int]) -> bool:
        """Steps over a scalar, or into a container (True)."""
        char = self._peek()
        if char in (ord("{"), ord("[")):
            self._at += 1
            closers.append(ord("}") if char == ord("{") else ord("]"))
            return True
        if char == ord('"'):
            self._string()
        elif char is not None and (char in _DIGITS or char == ord("-")):
            self._number()
        else:
            self._word(char)
        return False

    def _key(self, context: str) -> None:
        if self._peek() != ord('"'):
            self._fail(context)
        self._string()
        if self._peek() != ord(":"):
            self._fail("after object key")
        self._at += 1

    def _string(self) -> None:
        self._at += 1
        while (char := self._next("in string literal")) != ord('"'):
            if char == ord("\\"):
                escape = self._next("in string escape code")
                if escape == ord("u"):
                    for _ in range(4):
                        if self._next("in \\u hexadecimal character escape") not in b"0123456789abcdefABCDEF":
                            self._fail("in \\u hexadecimal character escape", -1)
                elif escape not in b'"\\/bfnrt':
                    self._fail("in string escape code", -1)
            elif char < 0x20:
                self._fail("in string literal", -1)

    def _number(self) -> None:
        if self._raw[self._at] == ord("-"):
            self._at += 1
            if self._here() not in _DIGITS_SET:
                self._fail("in numeric literal")
        if self._here() == ord("0"):
            self._at += 1
        else:
            self._digits()
        if self._here() == ord("."):
            self._at += 1
            if self._here() not in _DIGITS_SET:
                self._fail("after decimal point in numeric literal")
            self._digits()
        if self._here() in (ord("e"), ord("E")):
            self._at += 1
            if self._here() in (ord("+"), ord("-")):
                self._at += 1
            if self._here() not in _DIGITS_SET:
                self._fail("in exponent of numeric literal")
            self._digits()

    def _digits(self) -> None:
        while self._here() in _DIGITS_SET:
            self._at += 1

    def _word(self, first: int | None) -> None:
        word = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}.get(first or 0)
        if word is None:
            self._fail("looking for beginning of value")
        else:
            for index, wanted in enumerate(word):
                if self._here() != wanted:
                    self._fail(f"in literal {word.decode()} (expecting '{chr(word[index])}')")
                self._at += 1

    def _here(self) -> int | None:
        return self._raw[self._at] if self._at < len(self._raw) else None

    def _peek(self) -> int | None:
        while self._at < len(self._raw) and self._raw[self._at] in _SPACE:
            self._at += 1
        return self._here()

    def _next(self, context: str) -> int:
        char = self._here()
        if char is None:
            self._fail(context)
        self._at += 1
        assert char is not None, "the end of the text has raised"
        return char

    def _fail(self, context: str, offset: int = 0) -> None:
        at = self._at + offset
        if at >= len(self._raw):
            raise _Broken(_END)
        raise _Broken(f"invalid character {_quoted(self._raw[at])} {context}")


_DIGITS_SET = frozenset(_DIGITS)


def _quoted(char: int) -> str:
    """A character as Go shows it in syntax errors."""
    if char == ord("'"):
        return "'\\''"
    if char == ord('"'):
        return "'\"'"
    return "'" + json.dumps(chr(char))[1:-1] + "'" if char >= 0x20 else "'" + gotext.quote(chr(char))[1:-1] + "'"
