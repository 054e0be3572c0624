"""What a benchmark yields: named figures beside the project's target and, where it was measured, Kuma's own figure."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; less is better unless `more_is_better`. `target` and `kuma` are in the same unit, None where unknown."""

    name: str
    value: float
    unit: str
    target: float | None = None
    kuma: float | None = None
    more_is_better: bool = False

    @property
    def of_target(self) -> str:
        """The share of the target that was used, or that was reached."""
        return f"{self.value / self.target:.2f}" if self.target else ""

    @property
    def than_kuma(self) -> str:
        """How many times better than Kuma's."""
        if self.kuma is None or not self.value:
            return ""
        return f"{self.value / self.kuma if self.more_is_better else self.kuma / self.value:.1f}x"


HEADINGS = ("figure", "value", "target", "of target", "Kuma", "better")


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table, which reads well on a terminal too."""
    rows = [HEADINGS, *(_row(each) for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [f"| {' | '.join(_aligned(row, widths))} |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def medians(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """One list for several runs of the same benchmark, the median of each figure."""
    return [
        Figure(first.name, statistics.median(each.value for each in same), first.unit, first.target, first.kuma)
        for same in zip(*runs, strict=True)
        for first in same[:1]
    ]


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values are; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def _row(figure: Figure) -> tuple[str, ...]:
    target, kuma = (_text(each, figure.unit) if each is not None else "" for each in (figure.target, figure.kuma))
    sign = ("> " if figure.more_is_better else "< ") if target else ""
    return (figure.name, _text(figure.value, figure.unit), sign + target, figure.of_target, kuma, figure.than_kuma)


def _text(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
