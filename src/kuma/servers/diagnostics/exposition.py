"""The Prometheus text format, version 0.0.4, with every family under the name of its samples.

prometheus_client appends `_total` to the name of each counter in the TYPE line; Kuma's counters have none.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import metrics_core, samples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=values"


def render(families: Iterable[metrics_core.Metric]) -> bytes:
    """All families, each with HELP and TYPE, ordered by name."""
    ordered = sorted(families, key=lambda family: family.name)
    return "".join(line + "\n" for family in ordered for line in _lines(family)).encode()


def _lines(family: metrics_core.Metric) -> Iterator[str]:
    # `_created` is a time, not a measurement; the text format has no place for it.
    kept = [sample for sample in family.samples if not sample.name.endswith("_created")]
    if not kept:
        return
    name = kept[0].name if family.type == "counter" else family.name
    shown_type = "untyped" if family.type == "unknown" else family.type
    if shown_type == "info":
        name, shown_type = f"{family.name}_info", "gauge"
    yield f"# HELP {name} {_escape(family.documentation)}"
    yield f"# TYPE {name} {shown_type}"
    for sample in kept:
        yield f"{sample.name}{_label_set(sample)} {_number(sample.value)}"


def _label_set(sample: samples.Sample) -> str:
    if not sample.labels:
        return ""
    pairs = (f'{key}="{_escape(value, quotes=True)}"' for key, value in sorted(sample.labels.items()))
    return "{" + ",".join(pairs) + "}"


def _escape(text: str, quotes: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    if value == float("-inf"):
        return "-Inf"
    if value != value:
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
