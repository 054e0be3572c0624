"""Go's words for quoting, type errors and times."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.base import gotext


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('say "x"', r'"say \"x\""'),
        ("a\\b\n", r'"a\\b\n"'),
        ("\x00\x7f", r'"\x00\x7f"'),
        ("\u200b", r'"\u200b"'),
        ("grün", '"grün"'),
    ],
)
def test_quotes_as_go_does(text: str, quoted: str) -> None:
    assert gotext.quote(text) == quoted


@pytest.mark.parametrize(
    ("value", "wanted", "text"),
    [
        ("x", "uint32", "json: cannot unmarshal string into Go value of type uint32"),
        (-1, "uint32", "json: cannot unmarshal number -1 into Go value of type uint32"),
        (1.5, "uint32", "json: cannot unmarshal number 1.5 into Go value of type uint32"),
        (True, "string", "json: cannot unmarshal bool into Go value of type string"),
        (
            [],
            "map[string]json.RawMessage",
            "json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
        ),
        ({}, "string", "json: cannot unmarshal object into Go value of type string"),
        (3, "string", "json: cannot unmarshal number into Go value of type string"),
    ],
)
def test_type_errors(value: Any, wanted: str, text: str) -> None:
    assert gotext.unmarshal_error(value, wanted) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC), "2026-01-02T03:04:05.25Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T02:04:05Z"),
    ],
)
def test_times_print_only_the_decimals_they_need(moment: datetime, text: str) -> None:
    assert gotext.format_time(moment) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T08:54:28.754597508Z", datetime(2026, 11, 21, 8, 54, 28, 754_597, UTC)),
        ("2026-11-21T08:54:28+02:00", datetime(2026, 11, 21, 6, 54, 28, tzinfo=UTC)),
        ("2026-11-21t08:54:28z", datetime(2026, 11, 21, 8, 54, 28, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, moment: datetime) -> None:
    assert gotext.parse_time(text) == moment


@pytest.mark.parametrize("text", ["", "today", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="parsing time"):
        gotext.parse_time(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_read_back(moment: datetime) -> None:
    assert gotext.parse_time(gotext.format_time(moment)) == moment
