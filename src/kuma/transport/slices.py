"""A message made of many byte parts, read in pieces of any size without joining it first."""

from collections.abc import Sequence


class Slices:
    """Walks over parts. `left` is the number of bytes not taken yet, `len()` the number there were."""

    __slots__ = ("_index", "_offset", "_parts", "_size", "left")

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self._index = 0
        self._offset = 0
        self._size = self.left = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def take(self, size: int, into: list[bytes | memoryview]) -> None:
        """Appends the next `size` bytes to `into`: whole parts as they are, cut ones as views. There must be enough."""
        self.left -= size
        parts, index, offset = self._parts, self._index, self._offset
        while size:
            part = parts[index]
            rest = len(part) - offset
            if rest <= size:
                into.append(memoryview(part)[offset:] if offset else part)
                size -= rest
                index += 1
                offset = 0
            else:
                into.append(memoryview(part)[offset : offset + size])
                offset += size
                size = 0
        self._index, self._offset = index, offset
