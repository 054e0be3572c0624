"""Finds out that a silent peer is gone: a PING after some silence, an end when nothing comes back."""

from collections.abc import Callable

from kuma.transport import context as contexts
from kuma.transport import wheel


class Keepalive:
    """One per connection. Anything that is received counts as a sign of life, so a busy peer is never pinged."""

    __slots__ = ("_asked", "_context", "_deadline", "_last", "_on_silence", "_ping")

    def __init__(self, context: contexts.Context, ping: Callable[[], None], on_silence: Callable[[], None]) -> None:
        self._context = context
        self._ping = ping
        self._on_silence = on_silence
        self._asked = False
        self._last = context.loop.time()
        self._deadline: wheel.Deadline | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._arm(self._context.limits.ping_interval_seconds)

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
        bounds = self._context.limits
        silence = self._context.loop.time() - self._last
        if self._asked and silence >= bounds.ping_timeout_seconds:
            self._on_silence()
        elif silence < bounds.ping_interval_seconds:
            self._asked = False
            self._arm(bounds.ping_interval_seconds - silence)
        else:
            self._asked = True
            self._ping()
            self._arm(bounds.ping_timeout_seconds)
