"""How often a peer may do what costs us more than it costs the peer: resets, pings, settings, frames without use.

The floods these limits stop: rapid reset (CVE-2023-44487), and the ping, settings, reset and empty-frame floods of
CVE-2019-9512, 9514, 9515 and 9518.
"""

from kuma.transport import context as contexts
from kuma.transport.frames import Code, ConnectionFault
from kuma.transport.limits import Limits, Refusal


class Rates:
    """Counters of one connection, all within the same running second."""

    __slots__ = ("_context", "_counts", "_until")

    def __init__(self, context: contexts.Context) -> None:
        self._context = context
        self._counts: dict[Refusal, int] = {}
        self._until = 0.0

    def hit(self, kind: Refusal) -> None:
        """Counts one event. Raises ConnectionFault when there were too many of its kind in this second."""
        now = self._context.loop.time()
        if now >= self._until:
            self._until = now + 1.0
            self._counts.clear()
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count > _allowed(self._context.limits, kind):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, kind.value.replace("_", " "), kind)


def _allowed(bounds: Limits, kind: Refusal) -> int:
    if kind is Refusal.RESETS:
        return bounds.resets_per_second
    if kind is Refusal.PINGS:
        return bounds.pings_per_second
    if kind is Refusal.SETTINGS:
        return bounds.settings_per_second
    return bounds.oddities_per_second
