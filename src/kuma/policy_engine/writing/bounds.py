"""Bounds of numbers, percentages and durations in policies, reported in the words that users of Kuma know.

Every check takes the path of a field and its value, None where the user did not write it; then nothing is wrong.
"""

import decimal
import re
from collections.abc import Iterator

from kuma.base.errors import Violation
from kuma.resources import values

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)


def decimal_of(number: int | str) -> decimal.Decimal | None:
    """The number that an int-or-string spells; None for text that spells none."""
    if isinstance(number, int):
        return decimal.Decimal(number)
    return decimal.Decimal(number) if _DECIMAL.fullmatch(number) else None


def check_positive(path: str, number: int | None) -> Iterator[Violation]:
    """A whole number above zero."""
    if number is not None and number <= 0:
        yield Violation(path, "must be greater than 0")


def check_range(path: str, number: int | None, least: int, most: int) -> Iterator[Violation]:
    """A whole number between two others, inclusively."""
    if number is not None and not least <= number <= most:
        yield Violation(path, f"must be in inclusive range [{least}, {most}]")


def check_percentage(path: str, number: int | str | None, *, zero: bool = True) -> Iterator[Violation]:
    """An int-or-string between 0 and 100, inclusively; `zero` says whether 0 makes sense."""
    if number is None:
        return
    found = decimal_of(number)
    if found is None:
        yield Violation(path, "string must be a valid number")
    elif not 0 <= found <= 100:
        yield Violation(path, "must be in inclusive range [0.0, 100.0]")
    elif not zero and found == 0:
        yield Violation(path, "must be greater than 0")


def check_positive_duration(path: str, duration: values.GoDuration | None) -> Iterator[Violation]:
    """A duration above zero."""
    if duration is not None and duration.nanoseconds <= 0:
        yield Violation(path, "must be greater than zero when defined")


def check_duration(path: str, duration: values.GoDuration | None) -> Iterator[Violation]:
    """A duration that is zero (often: "no limit") or above."""
    if duration is not None and duration.nanoseconds < 0:
        yield Violation(path, "must not be negative when defined")
