"""Text as Go writes it: quoted strings (`%q`), names of JSON types, RFC 3339 times with nanoseconds.

Clients of Kuma match on these texts, so errors and times keep their form.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
)


def quote(text: str) -> str:
    """The text in double quotes with Go's escapes (pkg.go.dev/strconv#Quote)."""
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_type(value: Any) -> str:
    """What encoding/json calls the type of a parsed JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def unmarshal_error(value: Any, wanted: str) -> str:
    """The words of encoding/json for a value that does not fit the Go type `wanted`."""
    found = json_type(value)
    if found == "number" and wanted[:3] in ("uin", "int"):
        found = f"number {json.dumps(value)}"
    return f"json: cannot unmarshal {found} into Go value of type {wanted}"


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with as many decimals as needed: `2026-01-02T03:04:05.25Z`."""
    own = moment.astimezone(UTC) if moment.tzinfo is not UTC else moment
    text = f"{own.year:04d}-{own.month:02d}-{own.day:02d}T{own.hour:02d}:{own.minute:02d}:{own.second:02d}"
    if own.microsecond:
        text += f".{own.microsecond:06d}".rstrip("0")
    return text + "Z"


def parse_time(text: str) -> datetime:
    """The moment, cut to microseconds, in UTC; ValueError in Go's words where the text is not RFC 3339."""
    found = _TIME.fullmatch(text)
    if found is None:
        layout = "2006-01-02T15:04:05Z07:00"
        raise ValueError(
            f"parsing time {quote(text)} as {quote(layout)}: cannot parse {quote(text)} as {quote('2006')}"
        )
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second),
            int((fraction or "").ljust(6, "0")[:6]), tzinfo=UTC,
        )  # fmt: skip
        if sign:
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        raise ValueError(f"parsing time {quote(text)}: day or hour out of range") from None
    return moment
