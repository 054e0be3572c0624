"""Several scrapes as one."""

import itertools

import pytest

from kuma.apps.dataplane.metrics import combining, exposition


@pytest.mark.parametrize(
    ("bodies", "content_type", "whole"),
    [
        ([b"\na 1\n\n", b"b 1"], combining.TEXT, b"a 1\nb 1\n"),
        ([b"a 1\n# EOF\n", b"b 1\n# EOF"], combining.OPEN_METRICS_1_0_0, b"a 1\nb 1\n# EOF\n"),
        ([b"a 1\n# EOF\n", b"b 1\n"], combining.TEXT, b"a 1\nb 1\n"),
    ],
)
def test_bodies_one_after_the_other(bodies: list[bytes], content_type: str, whole: bytes) -> None:
    assert combining.concatenate(bodies, content_type) == whole


NEWEST, NEW, OLD = combining.OPEN_METRICS_1_0_0, combining.OPEN_METRICS_0_0_1, combining.TEXT
KNOWN = {"newest": NEWEST, "new": NEW, "old": OLD}


@pytest.mark.parametrize("names", list(itertools.permutations(KNOWN)) + list(itertools.combinations(KNOWN, 2)))
def test_the_best_format_that_an_application_answers_in_is_that_of_the_whole(names: tuple[str, ...]) -> None:
    best = next(each for each in KNOWN if each in names)
    for accepted in ("", OLD, f"{NEWEST};q=0.1"):
        assert combining.content_type_of([KNOWN[each] for each in names], accepted) == KNOWN[best]
        assert combining.content_type_of([*(KNOWN[each] for each in names), "image/png", ""], accepted) == KNOWN[best]


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("Application/OpenMetrics-Text; Charset=UTF-8; Version=1.0.0", NEWEST),
        ("application/openmetrics-text;charset=utf-8", NEW),
        ("text/plain", OLD),
    ],
)
def test_spellings_of_a_format(written: str, known: str) -> None:
    assert combining.content_type_of([written], "") == known
    assert combining.content_type_of([], written) == known


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", OLD),
        ("image/png, application/json", OLD),
        ("application/openmetrics-text; version=2.0.0", OLD),
        ("text/plain; version=1.0.0, application/openmetrics-text; version=0.0.1; q=0.2", NEW),
        ("text/plain; q=0.3, application/openmetrics-text; version=1.0.0; q=0.31", NEWEST),
        ("text/plain; q=0.32, application/openmetrics-text; version=1.0.0; q=0.31", OLD),
        ("application/openmetrics-text; q=0, image/png", OLD),
        ("application/openmetrics-text; version=1.0.0; q=high", OLD),
        ("application/openmetrics-text; version=1.0.0, text/plain", NEWEST),
    ],
)
def test_without_an_application_the_reader_decides(accepted: str, chosen: str) -> None:
    assert combining.content_type_of([], accepted) == chosen
    assert combining.content_type_of(["application/json"], accepted) == chosen


def test_families_of_several_applications() -> None:
    texts = (
        '# TYPE a gauge\na{app="1"} 1\na 5\n# TYPE b counter\nb 1\n',
        '# TYPE a gauge\na{app="2"} 2\na 6\n# TYPE c gauge\nc 3\n',
        "# TYPE a gauge\na 7\n# TYPE b gauge\nb 2\n",
    )
    whole = combining.combine(exposition.parse(each) for each in texts)
    assert exposition.render(whole.values()) == (
        '# TYPE a gauge\na{app="1"} 1\na 5\na{app="2"} 2\n# TYPE b counter\nb 1\n# TYPE c gauge\nc 3\n'
    )
