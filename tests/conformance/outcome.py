"""What became of one case."""

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """Whether a case holds."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and for cases that do not hold what differs or is missing."""

    verdict: Verdict
    detail: str = ""


PASSED = Outcome(Verdict.PASSED)


def failed(detail: str) -> Outcome:
    """The case does not hold."""
    return Outcome(Verdict.FAILED, detail)


def unsupported(detail: str) -> Outcome:
    """The project has nothing yet that the case could be run against."""
    return Outcome(Verdict.UNSUPPORTED, detail)
