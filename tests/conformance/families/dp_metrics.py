"""Family `dp_metrics`: texts of scrapes, and what merging, filtering, converting and combining make of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kuma.apps.dataplane.metrics import combining, config, exposition, merging, points, profiles
from tests.conformance import outcome
from tests.conformance.families import bootstrap

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case, compared as it says."""
    found = _OPERATIONS[case["op"]](case, folder)
    expected = (folder / case["expected"]).read_text()
    match case["compare"]:
        case "unordered-lines":
            return _same(_lines(expected), _lines(found))
        case "json":
            problems = list(bootstrap.differences(_tree(expected), _tree(found)))
            return outcome.failed("\n".join(problems)) if problems else outcome.PASSED
    return _same(expected, found)


def _same(expected: object, found: object) -> outcome.Outcome:
    return outcome.PASSED if expected == found else outcome.failed(f"expected: {expected}\nfound:    {found}")


def _tree(text: str) -> Any:
    """The document with all numbers alike, and without limits that are not known."""
    return json.loads(
        text, parse_int=float, object_hook=lambda each: {k: v for k, v in each.items() if v or k not in ("Min", "Max")}
    )


def _lines(text: str) -> list[str]:
    return sorted(line for line in text.split("\n") if line)


def _merge_clusters(case: dict[str, Any], folder: Path) -> str:
    families = exposition.parse((folder / case["input"]).read_text())
    merging.merge_clusters(families)
    return exposition.render(families.values())


def _filter_profiles(case: dict[str, Any], folder: Path) -> str:
    conf = yaml.safe_load((folder / case["meshMetricSpec"]).read_text())["default"]
    sidecar = msgspec.convert(conf.get("sidecar") or {}, config.Sidecar)
    families = exposition.parse((folder / case["input"]).read_text())
    profiles.filter_profiles(families, sidecar.chosen)
    return exposition.render(families.values())


def _concatenate(case: dict[str, Any], folder: Path) -> str:
    bodies = [(folder / name).read_bytes() for name in case["inputs"]]
    return combining.concatenate(bodies, case["contentType"]).decode()


def _to_otel(case: dict[str, Any], folder: Path) -> str:
    options = case["options"]
    families = exposition.parse((folder / case["input"]).read_text())
    scoped: dict[points.Scope, list[points.Metric]] = {}
    now = _nanoseconds(options["time"])
    for scope, metric in points.convert(families.values(), options["kumaVersion"], options["extraLabels"], now):
        scoped.setdefault(scope, []).append(metric)
    ordered = sorted(scoped.items(), key=lambda each: each[0].name)
    return json.dumps([{"scope": _scope(scope), "metrics": _metrics(metrics)} for scope, metrics in ordered])


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC) - _EPOCH
    return round(seconds.total_seconds()) * 10**9 + int(fraction.ljust(9, "0"))


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}{fraction}Z"


def _scope(scope: points.Scope) -> dict[str, Any]:
    attributes = _attributes(scope.attributes) or None
    return {"Name": scope.name, "Version": scope.version, "SchemaURL": scope.schema_url, "Attributes": attributes}


def _attributes(attributes: points.Attributes) -> list[dict[str, Any]]:
    return [{"Key": name, "Value": {"Type": "STRING", "Value": value}} for name, value in attributes]


def _metrics(metrics: list[points.Metric]) -> list[dict[str, Any]]:
    """In the JSON of Go's `metricdata`."""
    return [
        {
            "Name": each.name,
            "Description": each.description,
            "Unit": "",
            "Data": {**_ABOUT.get(each.kind, {}), "DataPoints": [_point(each.kind, point) for point in each.points]},
        }
        for each in sorted(metrics, key=lambda metric: metric.name)
    ]


_ABOUT: dict[str, dict[str, Any]] = {
    "counter": {"Temporality": "CumulativeTemporality", "IsMonotonic": True},
    "histogram": {"Temporality": "CumulativeTemporality"},
}


def _point(kind: str, point: points.Point) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Attributes": _attributes(point.attributes),
        "StartTime": "0001-01-01T00:00:00Z",
        "Time": _time(point.time),
    }
    match kind:
        case "histogram":
            bounds, counts = points.buckets(point)
            return {**shown, "Count": point.count, "Sum": point.total, "Bounds": bounds, "BucketCounts": counts}
        case "summary":
            quantiles = [{"Quantile": bound, "Value": value} for bound, value in point.bounds]
            return {**shown, "Count": point.count, "Sum": point.total, "QuantileValues": quantiles}
    return {**shown, "Value": point.value}


_OPERATIONS = {
    "MergeClusters": _merge_clusters,
    "ProfileFilter": _filter_profiles,
    "ProcessMetrics": _concatenate,
    "PrometheusToOtel": _to_otel,
}
