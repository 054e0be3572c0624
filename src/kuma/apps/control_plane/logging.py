"""How the control plane speaks: structlog to stderr, a level that can be changed per component while it runs, no secrets.

A component is the name given to `structlog.get_logger("publisher")`; dots make a family (`xds` governs `xds.streams`).
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

import structlog

from kuma.base import errors

LEVELS = ("off", "info", "debug")
MASK = "*****"

EventDict = MutableMapping[str, Any]
LineHook = Callable[[str, str], None]

_RANKS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_THRESHOLDS = {"debug": 10, "info": 20, "off": 100}
_SECRET_KEYS = frozenset(
    ("token", "authorization", "data", "key", "password", "secret", "cookie", "private_key", "privatekey", "inline")
)
_SECRET_ENDINGS = ("_token", "_password", "_secret", "_key", "_key_pem", "token", "password")
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    r"|(?i:bearer) [A-Za-z0-9._~+/=-]+",
    re.DOTALL,
)


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int:
        """Takes a finished line."""

    def flush(self) -> None:
        """Lets go of what was taken."""

    def isatty(self) -> bool:
        """Whether a person reads along."""


class Levels:
    """The level of every component: one for all, and what was set apart for some."""

    def __init__(self, level: str = "info") -> None:
        self._base = _checked(level)
        self._overrides: dict[str, str] = {}
        self.on_line: LineHook | None = None
        """Told of every line written, once there is somebody who counts."""

    def overrides(self) -> Mapping[str, str]:
        """The components with a level of their own."""
        return dict(self._overrides)

    def set(self, component: str, level: str) -> None:
        """Gives a component (and those below it) a level; BadRequest for an unknown one."""
        self._overrides[component] = _checked(level)

    def reset(self, component: str) -> None:
        """The component follows the general level again."""
        self._overrides.pop(component, None)

    def reset_all(self) -> Mapping[str, str]:
        """Forgets all that was set apart and returns it."""
        were, self._overrides = self._overrides, {}
        return were

    def of(self, component: str) -> str:
        """The level that holds for a component: its own, that of the nearest family, or the general one."""
        name = component
        while name and self._overrides:
            if name in self._overrides:
                return self._overrides[name]
            name = name.rpartition(".")[0]
        return self._base

    def admits(self, component: str, method: str) -> bool:
        """Whether a line of this severity (`info`, `warning` ...) is written."""
        return _RANKS.get(method, 40) >= _THRESHOLDS[self.of(component)]


def _checked(level: str) -> str:
    if level not in LEVELS:
        raise errors.BadRequest(f'unknown log level "{level}"')
    return level


class _Output:
    """What structlog calls a logger: a named writer of finished lines."""

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


def configure(
    levels: Levels, json: bool | None = None, stream: Stream | None = None, on_line: LineHook | None = None
) -> None:
    """Sets up structlog, and the standard library's logging on top of it, for the whole process.

    `json` None means: JSON unless the stream is a terminal. `on_line(level, component)` is told of every line written.
    """
    output = stream or sys.stderr
    as_json = not output.isatty() if json is None else json
    renderer: Any = structlog.processors.JSONRenderer(default=str)
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(
            colors=output.isatty(), sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )

    def admit(logger: Any, method: str, event: EventDict) -> EventDict:
        component = str(event.get("logger") or getattr(logger, "name", ""))
        if not levels.admits(component, method):
            raise structlog.DropEvent
        if component:
            event["logger"] = component
        for told in (on_line, levels.on_line):
            if told is not None:
                told(method, component)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            admit,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Plain tracebacks in both forms: pretty ones print local variables, and with them secrets.
            structlog.processors.format_exc_info,
            mask_secrets,
            _ordered,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *names: _Output(output, str(names[0]) if names else ""),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(logging.INFO)


class _Bridge(logging.Handler):
    """Passes records of libraries that use the standard library's logging on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        exc_info = {"exc_info": record.exc_info} if record.exc_info else {}
        method = record.levelname.lower() if record.levelname.lower() in _RANKS else "info"
        getattr(logger, method)(record.getMessage(), **exc_info)


def mask_secrets(_: Any, __: str, event: EventDict) -> EventDict:
    """A structlog processor: values under telling names are masked at any depth, and so are tokens and keys in texts."""
    return {key: _masked(key, value) for key, value in event.items()}


def _ordered(_: Any, __: str, event: EventDict) -> EventDict:
    """When, how bad, who and what come first, so that lines read alike."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event") if key in event}
    return {**first, **event}


def _masked(key: str, value: Any) -> Any:
    if _is_secret(key) and value not in (None, "", False):
        return MASK
    if isinstance(value, str):
        return _SECRET_TEXT.sub(MASK, value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", each) for each in value]
    if isinstance(value, BaseException):
        return _SECRET_TEXT.sub(MASK, str(value) or type(value).__name__)
    return value


def _is_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return name in _SECRET_KEYS or name.endswith(_SECRET_ENDINGS)
