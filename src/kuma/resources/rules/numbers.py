"""Bounds of numbers and durations in old kinds, in the words that users of Kuma know.

Every check takes the path of a field and its value, None where the user did not write it; then nothing is wrong.
"""

from collections.abc import Iterator

from kuma.base import durations
from kuma.base.errors import Violation
from kuma.resources import values

POSITIVE = "must have a positive value"
_LONGEST = 315_576_000_000 * durations.SECOND
"""What a protobuf Duration can hold: about 10,000 years."""


def check_positive(path: str, duration: values.ProtoDuration | None) -> Iterator[Violation]:
    """A duration above zero, and not longer than a protobuf Duration can be."""
    if duration is None:
        return
    if abs(duration.nanoseconds) > _LONGEST:
        yield Violation(path, "must have a valid value")
    elif duration.nanoseconds <= 0:
        yield Violation(path, POSITIVE)


def check_percentage(path: str, number: float | None) -> Iterator[Violation]:
    """A number between 0 and 100, inclusively."""
    if number is not None and not 0.0 <= number <= 100.0:
        yield Violation(path, "has to be in [0.0 - 100.0] range")
