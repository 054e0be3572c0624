"""The two pieces of protobuf's wire format that replies are put together from (protobuf.dev, encoding)."""


def varint(value: int) -> bytes:
    """A non-negative number in groups of seven bits, lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited field (string, bytes, message); `number` is below 16."""
    return bytes((number << 3 | 2,)) + varint(len(payload)) + payload


def text(number: int, value: str) -> bytes:
    """A string field; nothing at all for the empty string, which is proto3's default."""
    return delimited(number, value.encode()) if value else b""
