"""What the DNS server counts, as Prometheus text. Names and labels are Kuma's, so dashboards made for it keep working."""

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping

LOCAL = "local"
UPSTREAM = "upstream"

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TYPES = {b"\0\x01": "A", b"\0\x1c": "AAAA"}
_CODES = {0: "noerror", 2: "servfail", 3: "nxdomain"}


class Histogram:
    """Durations in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one duration."""
        self.counts[bisect.bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Its sample lines."""
        seen = 0
        comma = "," if labels else ""
        for bound, count in zip((*_BOUNDS, "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{{labels}{comma}le="{bound if isinstance(bound, str) else f"{bound:g}"}"}} {seen}'
        yield f"{name}_sum{_braced(labels)} {self.total!r}"
        yield f"{name}_count{_braced(labels)} {seen}"


class Measures:
    """All counters of one server."""

    def __init__(self) -> None:
        self.requests = Histogram()
        self.upstream = Histogram()
        self.upstream_failures = 0
        self._queries: Counter[tuple[str, str]] = Counter()
        self._codes: Counter[str] = Counter()

    def count(self, kind: bytes, source: str, code: int, seconds: float) -> None:
        """One question that was answered; `kind` are the two bytes of its type."""
        self._queries[_TYPES.get(kind, "other"), source] += 1
        self._codes[_CODES.get(code, "other")] += 1
        self.requests.observe(seconds)

    def exposition(self, entries: int, labels: Mapping[str, str]) -> str:
        """Everything as text; `entries` are the names known now, `labels` stand on every sample."""
        common = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels.items()))
        more = f"{common}," if common else ""
        families = (
            (
                "queries_total",
                "counter",
                "Questions, by type and by who answered.",
                [
                    f'{{{more}qtype="{kind}",source="{source}"}} {count}'
                    for (kind, source), count in sorted(self._queries.items())
                ],
            ),
            (
                "response_codes_total",
                "counter",
                "Answers by their code.",
                [f'{{{more}rcode="{code}"}} {count}' for code, count in sorted(self._codes.items())],
            ),
            ("entries_total", "gauge", "Names of the mesh that are known.", [f"{_braced(common)} {entries}"]),
            (
                "upstream_request_failure_count",
                "counter",
                "Questions that no name server answered.",
                [f"{_braced(common)} {self.upstream_failures}"],
            ),
        )
        lines: list[str] = []
        for name, kind, text, samples in families:
            lines += _heading(name, kind, text)
            lines += [f"{_PREFIX}{name}{sample}" for sample in samples]
        for name, text, histogram in (
            ("request_duration_seconds", "Time to answer a question.", self.requests),
            ("upstream_request_duration_seconds", "Time that name servers took.", self.upstream),
        ):
            lines += _heading(name, "histogram", text)
            lines += histogram.lines(_PREFIX + name, common)
        return "\n".join(lines) + "\n"


_PREFIX = "kuma_dp_dns_"


def _heading(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} {kind}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
