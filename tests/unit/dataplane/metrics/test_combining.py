"""Several scrapes as one."""

import pytest

from kuma.apps.dataplane.metrics import combining, exposition

OPEN = "application/openmetrics-text"
PROMETHEUS = f"{OPEN};version=1.0.0;q=0.5,{OPEN};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


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


@pytest.mark.parametrize(
    ("answered", "accepted", "chosen"),
    [
        ([f"{OPEN}; version=0.0.1; charset=utf-8", "", "text/plain"], PROMETHEUS, combining.OPEN_METRICS_0_0_1),
        ([f"{OPEN}; version=1.0.0", f"{OPEN}; version=0.0.1"], "", combining.OPEN_METRICS_1_0_0),
        (["text/plain; version=0.0.4"], PROMETHEUS, combining.TEXT),
        (["text/html"], PROMETHEUS, combining.OPEN_METRICS_1_0_0),
        ([], "text/plain;q=0.9, application/openmetrics-text;q=0.8", combining.TEXT),
        ([], "*/*", combining.TEXT),
        ([], f"{OPEN};version=9.9.9", combining.TEXT),
        ([], "text/plain;q=nonsense", combining.TEXT),
        ([], "", combining.TEXT),
    ],
)
def test_content_type(answered: list[str], accepted: str, chosen: str) -> None:
    assert combining.content_type_of(answered, accepted) == chosen


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
