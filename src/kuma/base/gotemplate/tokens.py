"""Cuts a template into tokens, with the complaints of Go's lexer."""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kuma.base import gotext


class TemplateError(ValueError):
    """A template cannot be compiled or filled in. The text is Go's, with place: `template: :1: ...`."""


class Kind(enum.Enum):
    """What a token is."""

    TEXT = enum.auto()
    LEFT = enum.auto()
    RIGHT = enum.auto()
    SPACE = enum.auto()
    FIELD = enum.auto()
    DOT = enum.auto()
    VARIABLE = enum.auto()
    IDENTIFIER = enum.auto()
    KEYWORD = enum.auto()
    NIL = enum.auto()
    BOOL = enum.auto()
    NUMBER = enum.auto()
    CHAR_CONSTANT = enum.auto()
    STRING = enum.auto()
    RAW_STRING = enum.auto()
    OPEN = enum.auto()
    CLOSE = enum.auto()
    PIPE = enum.auto()
    ASSIGN = enum.auto()
    DECLARE = enum.auto()
    CHAR = enum.auto()
    ERROR = enum.auto()
    EOF = enum.auto()


KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"))

_LEFT, _RIGHT = "{{", "}}"
_SPACES = " \t\r\n"
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(
    r"[+-]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9_]+(\.[0-9_]*)?|\.[0-9_]+)([eE][+-]?[0-9_]+)?i?"
)
_QUOTED = {
    '"': (re.compile(r'"(?:\\[^\n]|[^"\\\n])*"'), Kind.STRING, "unterminated quoted string"),
    "'": (re.compile(r"'(?:\\[^\n]|[^'\\\n])*'"), Kind.CHAR_CONSTANT, "unterminated character constant"),
    "`": (re.compile(r"`[^`]*`"), Kind.RAW_STRING, "unterminated raw quoted string"),
}
_SINGLE = {"|": Kind.PIPE, "=": Kind.ASSIGN}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: what it says, and where in the template it starts."""

    kind: Kind
    text: str
    at: int

    def __str__(self) -> str:
        """As Go's messages show it."""
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.NIL):
            return f"<{self.text}>"
        return f"{gotext.quote(self.text[:10])}..." if len(self.text) > 10 else gotext.quote(self.text)


def cut(source: str) -> Iterator[Token]:
    """The tokens of a template; the last is EOF or ERROR."""
    return _Lexer(source).tokens()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def tokens(self) -> Iterator[Token]:
        while True:
            start = self._source.find(_LEFT, self._at)
            if start < 0:
                if self._at < len(self._source):
                    yield self._token(Kind.TEXT, self._at, len(self._source))
                yield self._token(Kind.EOF, len(self._source), len(self._source))
                return
            inside, trims = self._opening(start)
            text_end = start
            if trims:
                text_end = self._at + len(self._source[self._at : start].rstrip(_SPACES))
            if text_end > self._at:
                yield self._token(Kind.TEXT, self._at, text_end)
            self._at = inside
            if self._source.startswith("/*", inside):
                failure = self._skip_comment()
                if failure is not None:
                    yield failure
                    return
                continue
            yield self._token(Kind.LEFT, start, start + len(_LEFT))
            for token in self._action():
                yield token
                if token.kind is Kind.ERROR:
                    return

    def _token(self, kind: Kind, start: int, end: int) -> Token:
        return Token(kind, self._source[start:end], start)

    def _error(self, message: str) -> Token:
        return Token(Kind.ERROR, message, self._at)

    def _opening(self, start: int) -> tuple[int, bool]:
        """Where the inside of an action begins, and whether its delimiter trims the text before."""
        inside = start + len(_LEFT)
        trims = self._source.startswith("-", inside) and self._source[inside + 1 : inside + 2] in tuple(_SPACES)
        return (inside + 2 if trims else inside), trims

    def _closing(self) -> tuple[int, bool] | None:
        """Where the text after a right delimiter that stands here begins, and whether it trims; None where none stands."""
        rest = self._source
        if rest[self._at : self._at + 1] in tuple(_SPACES) and rest.startswith(f"-{_RIGHT}", self._at + 1):
            return self._at + 2 + len(_RIGHT), True
        if rest.startswith(_RIGHT, self._at):
            return self._at + len(_RIGHT), False
        return None

    def _leave(self, after: int, trims: bool) -> None:
        self._at = after
        if trims:
            while self._source[self._at : self._at + 1] in tuple(_SPACES):
                self._at += 1

    def _skip_comment(self) -> Token | None:
        end = self._source.find("*/", self._at)
        if end < 0:
            return self._error("unclosed comment")
        self._at = end + 2
        closing = self._closing()
        if closing is None:
            return self._error("comment ends before closing delimiter")
        self._leave(*closing)
        return None

    def _action(self) -> Iterator[Token]:
        """The tokens of one action, its right delimiter included."""
        self._depth = 0
        while True:
            closing = self._closing()
            if closing is not None:
                if self._depth:
                    yield self._error("unclosed left paren")
                    return
                yield Token(Kind.RIGHT, _RIGHT, self._at)
                self._leave(*closing)
                return
            if self._at >= len(self._source):
                yield self._error("unclosed action")
                return
            yield self._next_inside()

    def _next_inside(self) -> Token:
        start, char = self._at, self._source[self._at]
        following = self._source[start + 1 : start + 2]
        if char in _SPACES:
            while self._source[self._at : self._at + 1] in tuple(_SPACES) and self._closing() is None:
                self._at += 1
            return self._token(Kind.SPACE, start, self._at)
        if char in _QUOTED:
            return self._quoted(*_QUOTED[char])
        if char == "$" or (char == "." and not following.isdigit()):
            return self._field_or_variable(char)
        if char.isdigit() or char in "+-.":
            return self._number()
        if char.isalpha() or char == "_":
            return self._word()
        self._at += 1
        if char in _SINGLE:
            return self._token(_SINGLE[char], start, self._at)
        if char == ":":
            if following != "=":
                return self._error("expected :=")
            self._at += 1
            return self._token(Kind.DECLARE, start, self._at)
        if char in "()":
            self._depth += 1 if char == "(" else -1
            if self._depth < 0:
                return self._error("unexpected right paren")
            return self._token(Kind.OPEN if char == "(" else Kind.CLOSE, start, self._at)
        if char.isascii() and char.isprintable():
            return self._token(Kind.CHAR, start, self._at)
        return self._error(f"unrecognized character in action: {_code_point(char)}")

    def _quoted(self, pattern: re.Pattern[str], kind: Kind, complaint: str) -> Token:
        found = pattern.match(self._source, self._at)
        if found is None:
            return self._error(complaint)
        start, self._at = self._at, found.end()
        return self._token(kind, start, self._at)

    def _field_or_variable(self, char: str) -> Token:
        start = self._at
        self._at += 1
        if self._is_terminated():
            return self._token(Kind.VARIABLE if char == "$" else Kind.DOT, start, self._at)
        return self._until_terminator(start, Kind.VARIABLE if char == "$" else Kind.FIELD)

    def _word(self) -> Token:
        start = self._at
        token = self._until_terminator(start, Kind.IDENTIFIER)
        if token.kind is Kind.ERROR:
            return token
        kind = Kind.IDENTIFIER
        if token.text in KEYWORDS:
            kind = Kind.KEYWORD
        elif token.text == "nil":
            kind = Kind.NIL
        elif token.text in ("true", "false"):
            kind = Kind.BOOL
        return self._token(kind, start, self._at)

    def _until_terminator(self, start: int, kind: Kind) -> Token:
        found = _WORD.match(self._source, self._at)
        if found is not None:
            self._at = found.end()
        if not self._is_terminated():
            return self._error(f"bad character {_code_point(self._source[self._at])}")
        return self._token(kind, start, self._at)

    def _is_terminated(self) -> bool:
        if self._at >= len(self._source) or self._source.startswith(_RIGHT, self._at):
            return True
        return self._source[self._at] in _SPACES + ".,|:()"

    def _number(self) -> Token:
        start = self._at
        found = _NUMBER.match(self._source, self._at)
        end = found.end() if found else start + 1
        after = self._source[end : end + 1]
        if found is None or (after and (after.isalnum() or after == "_")):
            return self._error(f"bad number syntax: {gotext.quote(self._source[start : end + len(after)])}")
        self._at = end
        return self._token(Kind.NUMBER, start, end)


def _code_point(char: str) -> str:
    """The form of Go's `%#U`: `U+005B '['`."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
