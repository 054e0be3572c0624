"""How many records a request of OTLP holds: log records, spans or metrics.

Only lengths are read, nothing is decoded: requests are passed on as they came. Requests of a signal that are joined
end to end are one request with the content of all (protobuf.dev/programming-guides/encoding, "Last One Wins").
"""

_PATH = (1, 2, 2)
"""Numbers of the fields resource, scope and record: the same for all signals (opentelemetry-proto 1.x)."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


def count(request: bytes) -> int:
    """The number of records. ValueError for what is no such request."""
    return _count(memoryview(request), _PATH)


def _count(message: memoryview, path: tuple[int, ...]) -> int:
    wanted, deeper = path[0], path[1:]
    found = position = 0
    while position < len(message):
        tag, position = _number(message, position)
        size = 0
        if tag & 7 == _VARINT:
            _, position = _number(message, position)
        elif tag & 7 == _BYTES:
            size, position = _number(message, position)
        elif tag & 7 in _SIZES:
            size = _SIZES[tag & 7]
        else:
            raise ValueError(f"a field of unknown type {tag & 7}")
        end = position + size
        if end > len(message):
            raise ValueError("a field that is cut off")
        if tag == wanted << 3 | _BYTES:
            found += _count(message[position:end], deeper) if deeper else 1
        position = end
    return found


def _number(message: memoryview, position: int) -> tuple[int, int]:
    """A number of variable length at a position, and where it ends."""
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number that is cut off")
