"""Puts the answers of several scrapes into one, and chooses the format of the whole.

Two ways: as they came, one after the other (`concatenate`, for a Mesh's Prometheus backend), or family by family
(`combine`, for MeshMetric), which Prometheus needs where two applications offer a metric of the same name.
"""

from collections.abc import Iterable

from kuma.apps.dataplane.metrics.exposition import Families, Sample

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_1_0_0 = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPEN_METRICS_0_0_1 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

_END = b"# EOF"


def concatenate(bodies: Iterable[bytes], content_type: str) -> bytes:
    """All bodies as one exposition: no blank lines, and the end mark of OpenMetrics only where it belongs."""
    lines = [line for body in bodies for line in body.split(b"\n") if line.strip() and line.rstrip() != _END]
    if content_type in (OPEN_METRICS_1_0_0, OPEN_METRICS_0_0_1):
        lines.append(_END)
    return b"\n".join(lines) + b"\n"


def combine(scrapes: Iterable[Families]) -> Families:
    """One set of families. Where several have one of the same name, its first kind and its first equal series count."""
    combined: Families = {}
    seen: dict[str, set[tuple[str, str, str]]] = {}
    for families in scrapes:
        for name, family in families.items():
            first = combined.setdefault(name, family)
            if first is family:
                continue
            if first.kind != family.kind:
                continue
            known = seen.setdefault(name, {_series(each) for each in first.samples})
            fresh = [each for each in family.samples if _series(each) not in known]
            known.update(map(_series, fresh))
            first.samples += fresh
    return combined


def _series(sample: Sample) -> tuple[str, str, str]:
    return sample.name, sample.labels, sample.bound


def content_type_of(answered: Iterable[str], accepted: str) -> str:
    """The format of the whole: the best that any application answered in, else the best that the reader accepts."""
    known = [each for each in map(_known_format, answered) if each]
    for best in (OPEN_METRICS_1_0_0, OPEN_METRICS_0_0_1, TEXT):
        if best in known:
            return best
    return _negotiated(accepted)


def _known_format(content_type: str) -> str:
    """The one of our formats that a `content-type` or a part of `accept` names; empty for any other."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    version = next((each[8:].strip() for each in parameters if each.startswith("version=")), "")
    if media == "application/openmetrics-text":
        return {"1.0.0": OPEN_METRICS_1_0_0, "0.0.1": OPEN_METRICS_0_0_1, "": OPEN_METRICS_0_0_1}.get(version, "")
    return TEXT if media == "text/plain" and version in ("", "0.0.4") else ""


def _negotiated(accepted: str) -> str:
    best, weight = TEXT, 0.0
    for part in accepted.split(","):
        fits = _known_format(part)
        if fits and _weight(part) > weight:
            best, weight = fits, _weight(part)
    return best


def _weight(part: str) -> float:
    """The `q` of a part of `accept` (RFC 9110 section 12.4.2)."""
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
