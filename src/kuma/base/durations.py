"""Durations as users write them: Go text (`1m30s`), proto JSON (`"90s"`) and Kuma's rotation text (`30d`).

A duration is held as an `int` of nanoseconds everywhere inside.
"""

import re

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_GO_UNITS = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_KUMA_UNITS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND}


def parse_go(text: str) -> int:
    """Nanoseconds of a Go duration; ValueError with Go's wording where it is not one (pkg.go.dev/time#ParseDuration)."""
    body, sign = text, 1
    if body[:1] in ("+", "-"):
        sign = -1 if body[0] == "-" else 1
        body = body[1:]
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body):
        part = _GO_PART.match(body, at)
        if part is None:
            break
        number, unit = part.groups()
        whole, _, fraction = number.partition(".")
        total += int(whole or 0) * _GO_UNITS[unit] + int(fraction or 0) * _GO_UNITS[unit] // 10 ** len(fraction)
        at = part.end()
    if not body or at != len(body):
        rest = body[at:]
        digits = re.match(r"(\d+\.?\d*|\.\d+)(.*)$", rest)
        if digits and not digits.group(2):
            raise ValueError(f'time: missing unit in duration "{text}"')
        if digits:
            unit = re.match(r"[^\d.]*", digits.group(2))
            raise ValueError(f'time: unknown unit "{unit.group(0) if unit else ""}" in duration "{text}"')
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def format_go(nanos: int) -> str:
    """Go's canonical text: `1h0m0s`, `1.5s`, `250ms`, `0s`."""
    if nanos == 0:
        return "0s"
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    if rest < SECOND:
        for unit, size in (("ms", MILLISECOND), ("µs", MICROSECOND), ("ns", NANOSECOND)):
            if rest >= size:
                return f"{sign}{_decimal(rest, size)}{unit}"
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{_decimal(rest, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    if minutes:
        return f"{sign}{minutes}m{seconds}"
    return f"{sign}{seconds}"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{fraction:0{digits}d}".rstrip("0").rstrip(".") if fraction else str(whole)


def format_proto(nanos: int) -> str:
    """Proto JSON text with 0, 3, 6 or 9 decimals: `5s`, `1.500s`."""
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    whole, fraction = divmod(rest, SECOND)
    if not fraction:
        return f"{sign}{whole}s"
    text = f"{fraction:09d}"
    while text.endswith("000"):
        text = text[:-3]
    return f"{sign}{whole}.{text}s"


def parse_kuma(text: str) -> int:
    """Nanoseconds of Kuma's rotation text: one number and one of y w d h m s ms, or `0`; ValueError otherwise."""
    if text == "0":
        return 0
    found = re.fullmatch(r"(\d+)(y|w|d|h|ms|m|s)", text)
    if found is None:
        raise ValueError(f'not a valid duration string: "{text}"')
    return int(found.group(1)) * _KUMA_UNITS[found.group(2)]
