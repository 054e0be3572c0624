"""Ages, dates and column widths."""

from datetime import UTC, datetime, timedelta

import pytest

from kuma.apps.kumactl import tables

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(seconds=0.4), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(minutes=59), "59m"),
        (timedelta(hours=3, minutes=59), "3h"),
        (timedelta(days=2), "2d"),
        (timedelta(days=364), "364d"),
        (timedelta(days=365), "1y"),
        (timedelta(seconds=-0.5), "0s"),
        (timedelta(seconds=-2), "never"),
    ],
)
def test_age_is_the_largest_whole_unit(ago: timedelta, shown: str) -> None:
    moment = (NOW - ago).isoformat().replace("+00:00", "Z")
    assert tables.age(moment, NOW) == shown


def test_age_of_a_time_never_set_is_the_longest_there_is() -> None:
    assert tables.age("0001-01-01T00:00:00Z", NOW) == "292y"


def test_age_of_nothing() -> None:
    assert tables.age(None, NOW) == "never"


def test_nanoseconds_are_read() -> None:
    assert tables.age("2026-01-31T11:59:57.190637433Z", NOW) == "2s"


def test_columns_are_three_spaces_apart_and_the_last_is_not_padded() -> None:
    text = tables.render(("NAME", "AGE"), [("a-long-name", "1s"), ("b", "10s")])
    assert text == "NAME          AGE\na-long-name   1s\nb             10s\n"


def test_an_empty_table_has_its_headings() -> None:
    assert tables.render(("NAME", "AGE"), []) == "NAME   AGE\n"
