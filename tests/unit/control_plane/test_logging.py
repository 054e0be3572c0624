import io
import json
import logging as stdlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from kuma.apps.control_plane import logging
from kuma.base import errors

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = stdlib.getLogger().handlers, stdlib.getLogger().level
    yield
    structlog.reset_defaults()
    stdlib.getLogger().handlers = handlers
    stdlib.getLogger().setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_component_and_its_fields(stream: io.StringIO, lines: Lines) -> None:
    logging.configure(logging.Levels(), stream=stream)
    structlog.get_logger("publisher").info("published", proxies=3)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "published", "level": "info", "logger": "publisher", "proxies": 3}


@pytest.mark.parametrize(
    ("level", "written"),
    [("off", []), ("info", ["info", "warning", "error"]), ("debug", ["debug", "info", "warning", "error"])],
)
def test_levels_admit(level: str, written: list[str], stream: io.StringIO, lines: Lines) -> None:
    logging.configure(logging.Levels(level), stream=stream)
    log = structlog.get_logger("any")
    for method in ("debug", "info", "warning", "error"):
        getattr(log, method)("x")
    assert [line["level"] for line in lines()] == written


def test_a_component_and_its_family_can_be_louder_or_silent(stream: io.StringIO, lines: Lines) -> None:
    levels = logging.Levels("info")
    logging.configure(levels, stream=stream)
    levels.set("xds", "debug")
    levels.set("xds.noisy", "off")
    for component in ("xds", "xds.streams.one", "xds.noisy", "xdsother"):
        structlog.get_logger(component).debug("x")
    assert [line["logger"] for line in lines()] == ["xds", "xds.streams.one"]
    levels.reset("xds.noisy")
    assert levels.of("xds.noisy") == "debug"
    assert levels.reset_all() == {"xds": "debug"}
    assert levels.of("xds") == "info"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(errors.BadRequest, match='unknown log level "loud"'):
        logging.Levels("loud")


def test_secrets_do_not_reach_the_log(stream: io.StringIO) -> None:
    logging.configure(logging.Levels(), stream=stream)
    pem = "-----BEGIN EC PRIVATE KEY-----\nAAAAsecretAAAA\n-----END EC PRIVATE KEY-----"
    structlog.get_logger("x").info(
        f"got {pem} and Bearer secret-1",
        token="secret",
        Authorization="secret",
        spec={"data": "secret", "nested": [{"api_key": "secret", "dp-token": "secret"}]},
        raw=b"secret",
        failure=ValueError("eyJhbGciOiJSUzI1.secret.secret was refused"),
    )
    assert "secret" not in stream.getvalue()
    assert "was refused" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_show_no_variables_and_no_keys(as_json: bool, stream: io.StringIO) -> None:
    logging.configure(logging.Levels(), json=as_json, stream=stream)
    hidden = "the-signing-" + "key"
    try:
        raise RuntimeError("-----BEGIN PRIVATE KEY-----\nAAAA" + hidden)
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
    assert "Traceback" in stream.getvalue()
    assert hidden not in stream.getvalue()


def test_libraries_that_use_standard_logging_come_along(stream: io.StringIO, lines: Lines) -> None:
    logging.configure(logging.Levels(), stream=stream)
    stdlib.getLogger("uvicorn.error").warning("bound %d", 1)
    assert [(line["logger"], line["level"], line["event"]) for line in lines()] == [
        ("uvicorn.error", "warning", "bound 1")
    ]


def test_lines_are_reported_to_the_hook_when_written(stream: io.StringIO) -> None:
    seen: list[tuple[str, str]] = []
    logging.configure(logging.Levels(), stream=stream, on_line=lambda level, logger: seen.append((level, logger)))
    structlog.get_logger("a").info("x")
    structlog.get_logger("a").debug("x")
    assert seen == [("info", "a")]
