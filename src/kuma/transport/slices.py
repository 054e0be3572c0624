"""A message made of many byte parts, read in pieces of any size without joining it first."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence


class Slices:
    """Walks over parts. `size` is the number of bytes that there are, `left` the number not taken yet."""

    __slots__ = ("_ends", "_index", "_parts", "left", "size")

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self._ends = list(itertools.accumulate(map(len, parts)))
        self._index = 0
        self.size = self.left = self._ends[-1] if self._ends else 0

    def take(self, size: int, into: list[bytes | memoryview]) -> None:
        """Appends the next `size` bytes to `into`: whole parts as they are, cut ones as views. There must be enough."""
        start = self.size - self.left
        stop = start + size
        self.left -= size
        first, ends = self._index, self._ends
        last = self._index = bisect_right(ends, stop, lo=first)
        if first == last:
            into.append(self._view(first, start, stop))
            return
        if start > ends[first] - len(self._parts[first]):
            into.append(self._view(first, start, ends[first]))
            first += 1
        into += self._parts[first:last]
        if last < len(ends) and ends[last - 1] < stop:
            into.append(self._view(last, ends[last - 1], stop))

    def _view(self, index: int, start: int, stop: int) -> memoryview:
        """The bytes of one part from `start` to `stop`, both counted from the first byte of the message."""
        base = self._ends[index] - len(self._parts[index])
        return memoryview(self._parts[index])[start - base : stop - base]
