"""Frames of HTTP/2 (RFC 9113, section 4), as far as a gRPC call of the agent needs them, from either side."""

import enum
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9
"""Bytes before the payload of a frame."""

LARGEST = 16_384
"""Bytes of a payload, unless the receiver has said that it takes more; we never do."""

WINDOW = 65_535
"""Bytes that may be under way at first, on a stream and on the connection."""

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
_PADDED, _PRIORITY = 0x8, 0x20


class Kind(enum.IntEnum):
    """Types of frames."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(enum.IntEnum):
    """Names of settings."""

    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def read_head(head: bytes) -> tuple[int, int, int, int]:
    """Size of the payload, kind, flags and stream of a frame that begins so."""
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:HEAD], "big") & 0x7FFFFFFF


def content(kind: int, flags: int, payload: bytes) -> bytes:
    """The payload of a HEADERS or DATA frame without padding and priority. ValueError where it is shorter than they."""
    start, end = 0, len(payload)
    if flags & _PADDED:
        start, end = 1, len(payload) - int.from_bytes(payload[:1], "big")
    if kind == Kind.HEADERS and flags & _PRIORITY:
        start += 5
    if start > end:
        raise ValueError("a frame of padding alone")
    return payload[start:end]
