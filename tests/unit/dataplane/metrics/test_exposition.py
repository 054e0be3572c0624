"""Texts of scrapes, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.apps.dataplane.metrics import exposition


def again(text: str) -> str:
    return exposition.render(exposition.parse(text).values())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a 1", "# TYPE a untyped\na 1\n"),
        ("# HELP a A thing\n# TYPE a gauge\na{} 1.50", "# HELP a A thing\n# TYPE a gauge\na 1.5\n"),
        ('# TYPE a counter\na{x="1"} 2 1395066363000', '# TYPE a counter\na{x="1"} 2 1395066363000\n'),
        ("# TYPE a gauge\r\na -1e-05\r\n", "# TYPE a gauge\na -1e-05\n"),
        ("a NaN\nb +Inf\nc -Inf", "# TYPE a untyped\na NaN\n# TYPE b untyped\nb +Inf\n# TYPE c untyped\nc -Inf\n"),
        ('a{b="} # {c=\\"1"} 1', '# TYPE a untyped\na{b="} # {c=\\"1"} 1\n'),
        ('# TYPE a gauge\na{b="} # {c"} 1', '# TYPE a gauge\na{b="} # {c"} 1\n'),
        ("# TYPE a gauge\n# a comment\n#TYPE b gauge\n\na 1", "# TYPE a gauge\na 1\n"),
        ('# TYPE a gauge\na{x="1",} 2', '# TYPE a gauge\na{x="1",} 2\n'),
        # a family that comes in two parts is one
        ("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"1\"} 2", '# TYPE a gauge\na 1\na{x="1"} 2\n# TYPE b gauge\nb 1\n'),
        # a family without samples says nothing
        ("# TYPE a gauge\n# HELP a nothing", ""),
    ],
)  # fmt: skip
def test_what_is_read_is_written(text: str, written: str) -> None:
    assert again(text) == written


@pytest.mark.parametrize(
    "line", ["a", "a b", "a{ 1", 'a{x="1" 1', "1a 1", "a 1 x", "a 1_000", "a 0x1", "{} 1", "a{x} 1", 'a{x="1"y="2"} 1']
)
def test_a_line_that_is_no_sample_costs_itself_alone(line: str) -> None:
    assert again(f"# TYPE a gauge\na 1\n{line}\na 2") == "# TYPE a gauge\na 1\na 2\n"


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ('le="3600000"', 'le="3.6e+06"'),
        ('x="1",le="0.50"', 'x="1",le="0.5"'),
        ('le="+Inf",x="1"', 'x="1",le="+Inf"'),
        ('x="1",le="1",y="2"', 'x="1",y="2",le="1"'),
        ('le = "1", x = "2"', 'x="2",le="1"'),
        ('file="le",le="1"', 'file="le",le="1"'),
    ],
)
def test_bounds_stand_last(labels: str, written: str) -> None:
    assert again(f"# TYPE h histogram\nh_bucket{{{labels}}} 1\n") == f"# TYPE h histogram\nh_bucket{{{written}}} 1\n"


def test_histograms_and_summaries_are_whole() -> None:
    text = (
        '# TYPE h histogram\nh_bucket{x="1",le="1"} 1\nh_bucket{x="1",le="+Inf"} 2\nh_sum{x="1"} 3\nh_count{x="1"} 2\n'
        '# TYPE s summary\ns{quantile="0.5"} 3\ns_sum 4\ns_count 2\n'
    )
    assert list(exposition.parse(text)) == ["h", "s"]
    assert again(text) == text


def test_openmetrics_is_read_as_the_older_format() -> None:
    text = """# TYPE a counter
# UNIT a seconds
a_total{x="1"} 5 # {trace_id="}"} 1.0 123.456
a_created{x="1"} 99
a_total{x="2"} 6 1395066363.5
# TYPE b info
b_info{version="1"} 1
# TYPE c unknown
c 1
# TYPE d stateset
d{d="on"} 1
# EOF
"""
    assert again(text) == (
        '# TYPE a_total counter\na_total{x="1"} 5\na_total{x="2"} 6 1395066363500\n'
        '# TYPE a_created untyped\na_created{x="1"} 99\n'
        '# TYPE b_info gauge\nb_info{version="1"} 1\n# TYPE c untyped\nc 1\n# TYPE d gauge\nd{d="on"} 1\n'
    )


@pytest.mark.parametrize(
    ("labels", "extra", "all_labels"),
    [
        ("", {"mesh": "m"}, '{mesh="m"}'),
        ('{x="1"}', {"mesh": "m", "zone": 'a"b\\'}, '{x="1",mesh="m",zone="a\\"b\\\\"}'),
        ('{x="1",}', {"mesh": "m"}, '{x="1",mesh="m"}'),
        ('{mesh="old",x="a\\nb"}', {"mesh": "new"}, '{mesh="new",x="a\\nb"}'),
        ('{x="1"}', {}, '{x="1"}'),
    ],
)
def test_further_labels(labels: str, extra: dict[str, str], all_labels: str) -> None:
    families = exposition.parse(f"# TYPE a gauge\na{labels} 1").values()
    exposition.with_labels(families, extra)
    assert exposition.render(families) == f"# TYPE a gauge\na{all_labels} 1\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-3.0, "-3"),
        (12.5, "12.5"),
        (0.0001, "0.0001"),
        (0.000171854, "0.000171854"),
        (6.1185e-05, "6.1185e-05"),
        (123456.789, "123456.789"),
        (999999.0, "999999"),
        (1e6, "1e+06"),
        (-1234567.5, "-1.2345675e+06"),
        (1687600556.0881631, "1.6876005560881631e+09"),
        (1e21, "1e+21"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, text: str) -> None:
    assert exposition.format_number(value) == text


@given(st.floats(allow_nan=False))
def test_a_written_number_is_the_same_number(value: float) -> None:
    assert float(exposition.format_number(value)) == value


@given(st.text(alphabet=st.sampled_from('abel_{}",=# \\\n019+.eInfNa\tTYPEHELP\r')))
def test_any_text_is_read_and_what_is_written_is_stable(text: str) -> None:
    written = again(text)
    assert again(written) == written


GROUPS = (
    "# HELP a About\n# TYPE a counter\na_total 1\n# TYPE b histogram\n"
    'b_bucket{le="1"} 1\nb_sum 2\nb_count 1\nc 3\nd 4\n# TYPE e info\ne_info{v="1"} 1\n# EOF\n'
)


def test_families_one_by_one_are_those_of_the_whole() -> None:
    assert list(exposition.read(GROUPS)) == list(exposition.parse(GROUPS).values())


def test_only_what_was_read_so_far_is_held() -> None:
    reading = exposition.read(GROUPS + "x" * 200_000)
    assert [len(next(reading).samples) for _ in range(2)] == [1, 3]


def test_a_family_whose_lines_are_scattered_comes_in_parts() -> None:
    text = "# TYPE a counter\na 1\n# TYPE b gauge\nb 1\na 2\n# TYPE c gauge\nc 1\n"
    parts = [(each.name, each.kind, [sample.value for sample in each.samples]) for each in exposition.read(text)]
    assert parts == [("a", "counter", ["1"]), ("a", "counter", ["2"]), ("b", "gauge", ["1"]), ("c", "gauge", ["1"])]
    assert [sample.value for sample in exposition.parse(text)["a"].samples] == ["1", "2"]


def test_a_text_longer_than_a_block_loses_no_line() -> None:
    text = "".join(f'a{{x="{each}"}} {each}\n' for each in range(20_000))
    assert [each.value for each in exposition.parse(text)["a"].samples] == [str(each) for each in range(20_000)]
