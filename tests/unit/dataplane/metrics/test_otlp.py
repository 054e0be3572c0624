"""OTLP requests, read back with messages of OpenTelemetry's (whose scopes have an older name, and the same numbers)."""

import itertools
from collections.abc import Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from kuma.apps.dataplane.metrics import exposition, otlp, points

TEXT = """# HELP c About c
# TYPE c counter
c{x="1"} 5 1395066363000
# TYPE g gauge
g{x="1"} -2.5
# TYPE h histogram
h_bucket{x="1",le="1"} 1
h_bucket{x="1",le="5"} 3
h_bucket{x="1",le="+Inf"} 4
h_sum{x="1"} 9.5
h_count{x="1"} 4
# TYPE s summary
s{quantile="0.5"} 3
s_sum 7
s_count 2
# TYPE l gauge
l{otel_scope_name="lib",otel_scope_version="2",otel_scope_schema_url="u",x="1"} 1
"""


def read(text: str) -> list[ExportMetricsServiceRequest]:
    scoped = points.convert(exposition.parse(text).values(), "1.2.3", {"mesh": "dé"}, 9)
    return [ExportMetricsServiceRequest.FromString(each) for each in otlp.requests(scoped, "1.2.3")]


def pairs(attributes: Sequence[KeyValue]) -> list[tuple[str, str]]:
    return [(each.key, each.value.string_value) for each in attributes]


def test_every_kind_of_metric() -> None:
    request, of_library = read(TEXT)
    resource = request.resource_metrics[0]
    assert pairs(resource.resource.attributes) == [("service.name", "kuma-dp"), ("service.version", "1.2.3")]
    scope = resource.instrumentation_library_metrics[0]
    assert (scope.instrumentation_library.name, scope.instrumentation_library.version) == ("kuma", "1.2.3")
    counter, gauge, histogram, summary = scope.metrics

    assert (counter.name, counter.description, counter.sum.is_monotonic) == ("c", "About c", True)
    assert counter.sum.aggregation_temporality == 2
    point = counter.sum.data_points[0]
    assert (point.as_double, point.time_unix_nano) == (5.0, 1395066363000000000)
    assert pairs(point.attributes) == [("mesh", "dé"), ("x", "1")]

    assert (gauge.gauge.data_points[0].as_double, gauge.gauge.data_points[0].time_unix_nano) == (-2.5, 9)

    assert histogram.histogram.aggregation_temporality == 2
    buckets = histogram.histogram.data_points[0]
    assert (list(buckets.explicit_bounds), list(buckets.bucket_counts)) == ([1.0, 5.0], [1, 2, 1])
    assert (buckets.count, buckets.sum, pairs(buckets.attributes)) == (4, 9.5, [("mesh", "dé"), ("x", "1")])

    quantiles = summary.summary.data_points[0]
    assert [(each.quantile, each.value) for each in quantiles.quantile_values] == [(0.5, 3.0)]
    assert (quantiles.count, quantiles.sum, quantiles.time_unix_nano) == (2, 7.0, 9)

    library = of_library.resource_metrics[0].instrumentation_library_metrics[0]
    assert (library.instrumentation_library.name, library.schema_url) == ("lib", "u")
    assert library.metrics[0].name == "l"


def test_no_request_is_too_large_for_a_collector() -> None:
    label = "x" * 500
    lines = (f'm{metric}{{l="{label}{each}"}} {each}' for metric, each in itertools.product((1, 2, 3), range(3000)))
    scoped = points.convert(exposition.parse("\n".join(lines)).values(), "1", {}, 9)
    requests = list(otlp.requests(scoped, "1"))

    assert len(requests) > 1
    assert max(map(len, requests)) < 2 * otlp.LARGEST_REQUEST
    found = [
        (metric.name, point.as_double)
        for request in map(ExportMetricsServiceRequest.FromString, requests)
        for metric in request.resource_metrics[0].instrumentation_library_metrics[0].metrics
        for point in metric.gauge.data_points
    ]
    assert sorted(found) == [(f"m{metric}", float(each)) for metric, each in itertools.product((1, 2, 3), range(3000))]


def test_nothing_to_say_is_no_request() -> None:
    assert read("") == []
