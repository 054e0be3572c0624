"""Flags as Kuma's command lines spell them: shorthands, Go durations, lists by comma and `key=value` maps.

A `Flag` is an option of click that also knows the word shown for its value and whether the command needs it.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click import shell_completion

from kuma.base import durations


class Form(enum.Enum):
    """What a flag holds; the value is the word that help shows after the name."""

    SWITCH = ""
    TEXT = "string"
    NUMBER = "int"
    DURATION = "duration"
    LIST = "strings"
    REPEATED = "stringArray"
    MAP = "stringToString"


class BadValue(click.BadParameter):
    """A value that its flag cannot hold; `raw` is what the user wrote."""

    def __init__(self, raw: str, message: str) -> None:
        self.raw = raw
        super().__init__(message)


class Flag(click.Option):
    """One flag. `required` is checked when the command runs, after every flag was read, as cobra does.

    `offers` are the words that a shell completes; others are not refused here.
    """

    def __init__(
        self,
        name: str,
        *,
        help: str,
        form: Form = Form.TEXT,
        short: str = "",
        default: str | int | bool | None = None,
        required: bool = False,
        hidden: bool = False,
        deprecated_hint: str = "",
        offers: Sequence[str] = (),
    ) -> None:
        self.long = name
        self.offers = offers
        self.short = short
        self.form = form
        self.needed = required
        self.shown_default = default
        self.deprecated_hint = deprecated_hint
        declared = [f"--{name}", name.replace("-", "_").replace(".", "_")]
        if short:
            declared.append(f"-{short}")
        many = form in (Form.LIST, Form.REPEATED, Form.MAP)
        extra: dict[str, Any] = {"is_flag": True} if form is Form.SWITCH else {"type": _TYPES[form], "multiple": many}
        super().__init__(declared, help=help, default=_initial(form, default), hidden=hidden, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[shell_completion.CompletionItem]:
        """The words to offer for its value."""
        found = [shell_completion.CompletionItem(each) for each in self.offers if each.startswith(incomplete)]
        return found or super().shell_complete(ctx, incomplete)

    @property
    def spelled(self) -> str:
        """How error texts name it: `-m, --mesh` or `--name`."""
        return f"-{self.short}, --{self.long}" if self.short else f"--{self.long}"


class _Whole(click.ParamType[Any]):
    name = "int"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value, 0)
        except ValueError:
            raise BadValue(value, "not a whole number") from None


class _Duration(click.ParamType[Any]):
    """Nanoseconds; written as Go text (`1h30m`)."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return durations.parse_go(value)
        except ValueError:
            raise BadValue(value, "not a duration such as 30s, 10m or 24h") from None


class _Pair(click.ParamType[Any]):
    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if "=" not in value:
            raise BadValue(value, f"{value} must be formatted as key=value")
        return str(value)


_TYPES: dict[Form, click.ParamType[Any]] = {
    Form.TEXT: click.STRING,
    Form.NUMBER: _Whole(),
    Form.DURATION: _Duration(),
    Form.LIST: click.STRING,
    Form.REPEATED: click.STRING,
    Form.MAP: _Pair(),
}


def _initial(form: Form, default: str | int | bool | None) -> Any:
    if default is not None:
        return default
    return {Form.SWITCH: False, Form.TEXT: "", Form.NUMBER: 0, Form.DURATION: 0}.get(form, ())


def split_list(values: Sequence[str]) -> list[str]:
    """The items of a repeated comma-separated flag (`--scope ingress,egress --scope x`)."""
    return [item for value in values for item in value.split(",") if item]


def split_pairs(values: Sequence[str]) -> Mapping[str, str]:
    """The map of a repeated `key=value` flag.

    One value may hold several pairs by comma; a comma without a second `=` belongs to the value (`k=v1,v2`).
    """
    pairs: dict[str, str] = {}
    for value in values:
        parts = value.split(",") if value.count("=") > 1 else [value]
        for part in parts:
            key, _, text = part.partition("=")
            pairs[key] = text.strip('"')
    return pairs
