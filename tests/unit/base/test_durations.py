"""Durations in their three spellings."""

import pytest
from google.protobuf import duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from kuma.base import durations as d


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("8951733.492053189s", 8_951_733_492_053_189),
        ("0", 0),
        ("5s", 5 * d.SECOND),
        ("1m30s", 90 * d.SECOND),
        ("1.5h", 90 * d.MINUTE),
        (".5s", 500 * d.MILLISECOND),
        ("-2ms", -2 * d.MILLISECOND),
        ("+3us", 3 * d.MICROSECOND),
        ("7µs", 7 * d.MICROSECOND),
    ],
)
def test_go_text_is_read(text: str, nanos: int) -> None:
    assert d.parse_go(text) == nanos


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("zz", 'time: invalid duration "zz"'),
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("1s5", 'time: missing unit in duration "1s5"'),
    ],
)
def test_what_is_no_go_text_is_refused_in_gos_words(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refusal:
        d.parse_go(text)
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0s"),
        (90 * d.SECOND, "1m30s"),
        (d.HOUR, "1h0m0s"),
        (101 * d.SECOND, "1m41s"),
        (500 * d.MILLISECOND, "500ms"),
        (1_500 * d.MILLISECOND, "1.5s"),
        (1_500, "1.5µs"),
        (7, "7ns"),
        (-d.MINUTE, "-1m0s"),
    ],
)
def test_go_prints_its_canonical_form(nanos: int, text: str) -> None:
    assert d.format_go(nanos) == text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "0s"), (5 * d.SECOND, "5s"), (1_500 * d.MILLISECOND, "1.500s"), (1, "0.000000001s"), (-d.SECOND, "-1s")],
)
def test_proto_prints_seconds(nanos: int, text: str) -> None:
    assert d.format_proto(nanos) == text


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("2y", 730 * d.DAY), ("1w", 7 * d.DAY), ("30d", 30 * d.DAY), ("15ms", 15 * d.MILLISECOND), ("0", 0)],
)
def test_rotation_text_is_read(text: str, nanos: int) -> None:
    assert d.parse_kuma(text) == nanos


@pytest.mark.parametrize("text", ["", "1", "1h30m", "-1h", "1.5h", "d"])
def test_what_is_no_rotation_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a valid duration string"):
        d.parse_kuma(text)


nanoseconds = st.integers(min_value=-(2**62), max_value=2**62)


@given(nanoseconds)
def test_protobuf_reads_what_is_printed(nanos: int) -> None:
    read = duration_pb2.Duration()
    read.FromJsonString(d.format_proto(nanos))
    assert read.ToNanoseconds() == nanos


@given(nanoseconds)
def test_go_text_reads_back(nanos: int) -> None:
    assert d.parse_go(d.format_go(nanos)) == nanos
