"""Says in the log which proxies are turned away and why: once, not each time that Envoy tries again.

Whoever is refused has proved nothing yet, so what they can make us remember is limited.
"""

import contextlib
from collections.abc import Callable, Iterator

import structlog

from kuma.base import errors

AGAIN_AFTER = 600.0
"""Seconds after which the same refusal of the same proxy is worth another line."""

_REMEMBERED = 1000

_LOG = structlog.get_logger("proxies")


class Refusals:
    """The refusals of late. `now` is a steady clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._said: dict[tuple[str, str], float] = {}

    @contextlib.contextmanager
    def reported(self, proxy: str) -> Iterator[None]:
        """Reports why the admission of a proxy (the id of its node) fails, unless it is us who cannot say."""
        try:
            yield
        except errors.Unavailable:
            raise
        except errors.KumaError as error:
            self._report(proxy, error)
            raise

    def _report(self, proxy: str, error: errors.KumaError) -> None:
        """One line for each proxy and reason. Errors of admission never contain credentials."""
        refusal, now = (proxy[:256], str(error)[:1024]), self._now()
        if now - self._said.get(refusal, -AGAIN_AFTER) < AGAIN_AFTER:
            return
        self._said.pop(refusal, None)
        self._said[refusal] = now
        if len(self._said) > _REMEMBERED:
            self._said.pop(next(iter(self._said)))  # the oldest
        _LOG.info("proxy refused", proxy=refusal[0], reason=refusal[1])
