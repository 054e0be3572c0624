"""Runs families and counts what became of their cases."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import corpus, outcome

Run = Callable[[dict[str, Any], Path], outcome.Outcome]
TYPED_FAMILIES = frozenset({"validators"})
"""Families that the report also splits by type."""


@dataclass(slots=True)
class Tally:
    """Counts of one row."""

    cases: int = 0
    passed: int = 0
    failed: int = 0
    unsupported: int = 0

    def add(self, verdict: outcome.Verdict) -> None:
        """Counts one case."""
        self.cases += 1
        setattr(self, verdict.value, getattr(self, verdict.value) + 1)

    @property
    def percent(self) -> float:
        """Passed of all cases."""
        return 100.0 * self.passed / self.cases if self.cases else 0.0

    def as_json(self) -> dict[str, int]:
        """The counts under the names of the report."""
        names = ("cases", "passed", "failed", "unsupported")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Selection:
    """What `--family NAME[/TYPE]` asks for; nothing asked means everything."""

    wanted: Sequence[str] = ()

    def has_family(self, family: str) -> bool:
        """Whether any case of the family is asked for."""
        return not self.wanted or any(each.partition("/")[0] == family for each in self.wanted)

    def has_case(self, case: corpus.Case) -> bool:
        """Whether the case is asked for."""
        return not self.wanted or any(each in (case.family, f"{case.family}/{case.type}") for each in self.wanted)


def runner_of(family: str) -> Run | None:
    """What runs a family's cases; None where nothing does yet."""
    name = f"tests.conformance.families.{family}"
    if importlib.util.find_spec(name) is None:
        return None
    run: Run = importlib.import_module(name).run
    return run


def run_corpus(folder: Path, selection: Selection) -> Iterator[tuple[corpus.Case, outcome.Outcome]]:
    """Every selected case with what became of it. A case that blows up has failed."""
    for family in corpus.families(folder):
        if not selection.has_family(family):
            continue
        run = runner_of(family)
        for case in corpus.cases(folder, family):
            if selection.has_case(case):
                yield case, _run_one(run, case, folder / family)


def _run_one(run: Run | None, case: corpus.Case, folder: Path) -> outcome.Outcome:
    if run is None:
        return outcome.unsupported("no module for this family yet")
    try:
        return run(case.entry, folder)
    except Exception as failure:  # one broken case must not hide the others
        return outcome.failed(f"{type(failure).__name__}: {failure}")


def tally(
    results: Iterator[tuple[corpus.Case, outcome.Outcome]] | Sequence[tuple[corpus.Case, outcome.Outcome]],
) -> dict[str, Tally]:
    """Counts by family, and by `family/type` for the families that are split."""
    rows: dict[str, Tally] = {}
    for case, became in results:
        rows.setdefault(case.family, Tally()).add(became.verdict)
        if case.family in TYPED_FAMILIES:
            rows.setdefault(f"{case.family}/{case.type}", Tally()).add(became.verdict)
    return rows
