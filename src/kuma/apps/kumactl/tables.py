"""Tables as `kumactl get` prints them: columns three spaces apart, upper-case headings, no borders; and ages."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

GAP = "   "
_LONGEST = (2**63 - 1) // 1_000_000_000
"""Seconds in the longest duration Kuma can hold; older moments show as this age (292y)."""


def render(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as text, one line a row, each ended by a newline."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(headings))]
    text = ""
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)]
        text += GAP.join([*cells, line[-1]]) + "\n"
    return text


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names, to the microsecond."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def age(moment: str | None, now: datetime) -> str:
    """How long ago `moment` (RFC 3339) was, in its largest unit: `45s`, `5m`, `3h`, `2d`, `1y`; `never` if in the future."""
    if not moment:
        return "never"
    seconds = (now - parse_time(moment)).total_seconds()
    if seconds < -1:
        return "never"
    whole = min(max(int(seconds), 0), _LONGEST)
    for unit, size in (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def date(moment: str | None) -> str:
    """A moment as `2006-01-02 15:04:05`, `-` where there is none."""
    return parse_time(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def now() -> datetime:
    """The moment ages are counted from."""
    return datetime.now(UTC)
