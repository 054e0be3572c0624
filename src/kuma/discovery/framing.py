"""Resources ready for the wire, in one piece where many streams send the same.

A thousand streams that move to the same set send the same hundred resources. The second stream joins their bytes; the
others cut frames out of one piece instead of looking at a hundred.
"""

from collections.abc import Iterable, Sequence

from kuma.discovery import resources as res

Common = tuple[res.Rendered, ...]
"""Resources that streams have in common: one tuple object for all of them."""

JOINED_BYTES = 32 * 1024 * 1024
"""Memory for joined pieces: the sets of a hundred shapes of a hundred clusters."""

SEEN = 1024
"""Tuples that are remembered to have been sent."""


def pieces_of(resources: Iterable[res.Rendered], *, delta: bool) -> list[bytes]:
    """The field `resources` of a response of either variant: the shared bytes themselves."""
    if delta:
        return [part for each in resources for part in (each.delta_head, each.sotw)]
    return [each.sotw for each in resources]


class Frames:
    """Shared by all streams of a server. Entries hold their tuples, so that an id means one of them while it is here."""

    def __init__(self, joined_bytes: int = JOINED_BYTES, seen: int = SEEN) -> None:
        self._limits = joined_bytes, seen
        self._known: dict[tuple[int, bool], tuple[Common, tuple[bytes, ...]]] = {}
        self._size = 0

    def of(self, common: Common, *, delta: bool) -> Sequence[bytes]:
        """The bytes of resources; joined from the second time on, as long as there is room."""
        key = (id(common), delta)
        known = self._known.get(key)
        if known is not None and known[1]:
            return known[1]
        pieces = pieces_of(common, delta=delta)
        joined_bytes, seen = self._limits
        if len(pieces) < 2 or sum(map(len, pieces)) > joined_bytes:
            return pieces
        joined = (b"".join(pieces),) if known is not None else ()
        self._known.pop(key, None)
        self._known[key] = (common, joined)
        self._size += sum(map(len, joined))
        while self._size > joined_bytes or len(self._known) > seen:
            _, dropped = self._known.pop(next(iter(self._known)))  # the oldest
            self._size -= sum(map(len, dropped))
        return joined or pieces
