"""Families of a scrape in OpenTelemetry's words."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from kuma.apps.dataplane.metrics import assembly, exposition, points, profiles
from kuma.apps.dataplane.metrics.points import Scope

NOW = 1_700_000_000_000_000_000
KUMA = Scope("kuma", "1.2.3")


def converted(text: str, **extra: str) -> dict[Scope, list[points.Metric]]:
    found: dict[Scope, list[points.Metric]] = {}
    for scope, metric in points.convert(exposition.parse(text).values(), "1.2.3", extra, NOW):
        found.setdefault(scope, []).append(metric)
    return found


def test_numbers() -> None:
    found = converted(
        '# HELP c About\n# TYPE c counter\nc{b="2",a="1"} 5 1395066363000\nc{a="x"} 6\n# TYPE u untyped\nu 7'
    )
    counter, untyped = found[KUMA]
    assert (counter.name, counter.description, counter.kind) == ("c", "About", "counter")
    assert [(each.attributes, each.time, each.value) for each in counter.points] == [
        ((("a", "1"), ("b", "2")), 1395066363000000000, 5.0),
        ((("a", "x"),), NOW, 6.0),
    ]
    assert (untyped.name, untyped.kind, untyped.points[0].value) == ("u", "gauge", 7.0)


def test_further_attributes_are_above_those_of_the_scrape() -> None:
    found = converted('a{mesh="old",x="\\"1\\\\"} 1', mesh="new")
    assert found[KUMA][0].points[0].attributes == (("mesh", "new"), ("x", '"1\\'))


def test_scopes() -> None:
    about = 'otel_scope_name="lib",otel_scope_version="2",otel_scope_schema_url="u",otel_scope_extra="e"'
    found = converted(f'# TYPE a gauge\na{{{about},x="1"}} 1\na{{x="2"}} 2\n# TYPE b gauge\nb{{{about}}} 3')
    library = Scope("lib", "2", "u", (("extra", "e"),))
    assert {scope: [(each.name, len(each.points)) for each in metrics] for scope, metrics in found.items()} == {
        library: [("a", 1), ("b", 1)],
        KUMA: [("a", 1)],
    }
    assert found[library][0].points[0].attributes == (("x", "1"),)


def test_a_histogram_is_one_point_a_series() -> None:
    found = converted(
        "# TYPE h histogram\n"
        'h_bucket{x="1",le="1"} 1\nh_bucket{x="1",le="5"} 3\nh_bucket{x="1",le="+Inf"} 4\nh_sum{x="1"} 9.5\nh_count{x="1"} 4\n'
        'h_bucket{x="2",le="5"} 7\nh_bucket{x="2",le="1"} 2\nh_count{x="2"} 8\nh_sum{x="2"} 1\n'
    )
    first, second = found[KUMA][0].points
    assert (first.count, first.total, points.buckets(first)) == (4, 9.5, ([1.0, 5.0], [1, 2, 1]))
    assert (second.count, second.total, points.buckets(second)) == (8, 1.0, ([1.0, 5.0], [2, 5, 1]))


def test_a_summary_is_one_point_a_series() -> None:
    found = converted('# TYPE s summary\ns{quantile="0.5"} 3\ns{quantile="1"} 4\ns_sum 7\ns_count 2\n')
    point = found[KUMA][0].points[0]
    assert (point.count, point.total, point.bounds) == (2, 7.0, [(0.5, 3.0), (1.0, 4.0)])


NUMBERS = st.sampled_from(["NaN", "+Inf", "-Inf", "-1", "0", "1e300", "-1e300", "18446744073709551616", "3"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["h_bucket", "h_sum", "h_count", "s", "s_count", "c"]), NUMBERS, NUMBERS, NUMBERS)
    )
)
def test_no_number_is_too_strange_for_a_collector(lines: list[tuple[str, str, str, str]]) -> None:
    text = "# TYPE h histogram\n# TYPE s summary\n# TYPE c counter\n" + "".join(
        f'{name}{{le="{bound}",quantile="{bound}"}} {value} {time.partition("e")[0].lstrip("+")}\n'
        for name, bound, value, time in lines
    )
    texts = assembly.Texts(text, [], profiles.Profiles(("All",)), {})
    assert len(list(assembly.as_requests(texts, NOW))) <= 1


def test_what_envoy_and_an_application_both_offer_counts_once() -> None:
    envoy = '# TYPE a counter\na{x="1"} 1\n# TYPE k gauge\nk 1\n# TYPE unwanted gauge\nunwanted 1\n'
    applications = ['# TYPE a counter\na{x="1"} 9\na{x="2"} 2\n# TYPE k counter\nk 9\n', "own 3\n", "own 9\n"]
    everything = profiles.Profiles(("All",), exclude=(profiles.Selector("Exact", "unwanted"),))
    requests = assembly.as_requests(assembly.Texts(envoy, applications, everything, {}), NOW)
    (request,) = map(ExportMetricsServiceRequest.FromString, requests)
    metrics = request.resource_metrics[0].instrumentation_library_metrics[0].metrics
    assert [each.name for each in metrics] == ["a", "k", "own"]
    assert [each.as_double for each in metrics[0].sum.data_points] == [1.0, 2.0]
    assert [each.gauge.data_points[0].as_double for each in metrics[1:]] == [1.0, 3.0]
