"""Metrics in OpenTelemetry's words: the families of a scrape as points of scopes.

Counters become monotonic cumulative sums, gauges and untyped metrics gauges, histograms and summaries what they are.
Labels `otel_scope_*` say which scope a sample belongs to; what has none belongs to the scope `kuma`.
Sources: Kuma's mapping; opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kuma.apps.dataplane.metrics.exposition import Family, Sample, label_pairs

Attributes = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

_SCOPE = "otel_scope_"
_MILLISECOND = 1_000_000
_LARGEST = 2.0**64


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation that metrics come from."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: Attributes = ()


@dataclass(slots=True)
class Point:
    """One series at one time (nanoseconds). `value` of numbers; `count`, `total` and `bounds` of the other kinds.

    `bounds` are upper bounds with cumulative counts, or quantiles with values, in the order of the scrape.
    """

    attributes: Attributes
    time: int
    value: float = 0.0
    count: int = 0
    total: float = 0.0
    bounds: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Metric:
    """The points of one family in one scope. `kind` is counter, gauge, histogram or summary."""

    name: str
    description: str
    kind: str
    points: list[Point] = field(default_factory=list)


def convert(
    families: Iterable[Family], version: str, extra: Mapping[str, str], now: int
) -> Iterator[tuple[Scope, Metric]]:
    """All samples, each family once for each of its scopes, as they come.

    `version` is that of the scope `kuma`, `now` the time of samples without their own.
    """
    known: dict[str, tuple[Scope, Attributes]] = {}
    own = Scope("kuma", version)
    for family in families:
        metrics: dict[Scope, Metric] = {}
        points: dict[str, Point] = {}
        for sample in family.samples:
            found = known.get(sample.labels)
            if found is None:
                found = known[sample.labels] = _split(sample.labels, own, extra)
            point = points.get(sample.labels)
            # Only samples of histograms and summaries share a point; any other sample is one of its own.
            if point is None or family.kind not in ("histogram", "summary"):
                point = points[sample.labels] = Point(found[1], _time_of(sample, now))
                metric = metrics.get(found[0])
                if metric is None:
                    metric = metrics[found[0]] = Metric(family.name, family.help, _kind_of(family))
                metric.points.append(point)
            _fill(point, family, sample)
        yield from metrics.items()


def _split(labels: str, own: Scope, extra: Mapping[str, str]) -> tuple[Scope, Attributes]:
    """The scope that labels name, and the attributes that are left, `extra` among them and above them."""
    pairs = label_pairs(labels)
    about_scope = {name.removeprefix(_SCOPE): value for name, value in pairs if name.startswith(_SCOPE)}
    attributes = {name: value for name, value in pairs if not name.startswith(_SCOPE)} | dict(extra)
    scope = own
    if about_scope:
        scope = Scope(
            about_scope.pop("name", ""),
            about_scope.pop("version", ""),
            about_scope.pop("schema_url", ""),
            tuple(sorted(about_scope.items())),
        )
    return scope, tuple(sorted(attributes.items()))


def _time_of(sample: Sample, now: int) -> int:
    return _whole(float(sample.timestamp) * _MILLISECOND) if sample.timestamp else now


def _kind_of(family: Family) -> str:
    return family.kind if family.kind in ("counter", "histogram", "summary") else "gauge"


def _fill(point: Point, family: Family, sample: Sample) -> None:
    value = float(sample.value)
    if family.kind not in ("histogram", "summary"):
        point.value = value
    elif sample.name.endswith("_sum"):
        point.total = value
    elif sample.name.endswith("_count"):
        point.count = _whole(value)
    elif sample.bound:
        point.bounds.append((float(sample.bound), value))


def buckets(point: Point) -> tuple[list[float], list[int]]:
    """Finite upper bounds, and the count of each bucket alone, that above the last bound included."""
    cumulative = dict(sorted(point.bounds))
    total = cumulative.pop(math.inf, point.count)
    steps = [0.0, *cumulative.values(), total]
    return list(cumulative), [_whole(above - below) for below, above in itertools.pairwise(steps)]


def _whole(value: float) -> int:
    """A count or a time as OTLP can say it; nonsense is 0."""
    return int(value) if 0 <= value < _LARGEST else 0
