"""Compares the violations a case expects with those that were found."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from kuma.base.errors import Violation
from tests.conformance import outcome


def compare(expected: dict[str, Any], found: Iterable[Violation]) -> outcome.Outcome:
    """Passed where the same violations came, in the same order unless the case says `any`."""
    wanted = [(str(each["field"]), str(each["message"])) for each in expected.get("violations") or ()]
    actual = [(each.field, each.message) for each in found]
    if expected.get("valid"):
        wanted = []
    if wanted == actual:
        return outcome.PASSED
    if expected.get("order") == "any" and Counter(wanted) == Counter(actual):
        return outcome.PASSED
    lines = ["expected:", *_lines(wanted), "found:", *_lines(actual)]
    return outcome.failed("\n".join(lines))


def _lines(violations: list[tuple[str, str]]) -> list[str]:
    return [f"  {field}: {message}" for field, message in violations] or ["  no violation"]
