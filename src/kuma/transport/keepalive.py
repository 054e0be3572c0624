"""Finds out that a silent peer is gone: a PING after some silence, an end when nothing comes back."""

from collections.abc import Callable

from kuma.transport import context as contexts
from kuma.transport import wheel

_SPREAD = 32


class Keepalive:
    """One per connection. Anything that is received counts as a sign of life, so a busy peer is never pinged.

    The interval is up to a fifth shorter than the limit, differently for each connection: peers that all heard the same
    push should not all be asked in the same tick.
    """

    __slots__ = ("_asked_at", "_context", "_deadline", "_interval", "_last", "_on_silence", "_ping")

    def __init__(self, context: contexts.Context, ping: Callable[[], None], on_silence: Callable[[], None]) -> None:
        self._context = context
        self._ping = ping
        self._on_silence = on_silence
        share = next(context.serial) % _SPREAD / _SPREAD
        self._interval = context.limits.ping_interval_seconds * (1 - share / 5)
        self._last = context.loop.time()
        self._asked_at: float | None = None
        self._deadline: wheel.Deadline | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._arm(self._interval)

    def heard(self) -> None:
        """Something was received. Cheap: deadlines move only when they fire."""
        self._last = self._context.loop.time()

    def stop(self) -> None:
        """Ends the watch."""
        if self._deadline is not None:
            self._deadline.cancel()

    def _arm(self, seconds: float) -> None:
        self._deadline = self._context.wheel.after(seconds, self._look)

    def _look(self) -> None:
        now = self._context.loop.time()
        if self._asked_at is not None and self._last < self._asked_at:
            self._on_silence()
        elif now - self._last < self._interval:
            self._asked_at = None
            self._arm(self._interval - (now - self._last))
        else:
            self._asked_at = now
            self._ping()
            self._arm(self._context.limits.ping_timeout_seconds)
