"""HTTP/2 frames on the wire (RFC 9113 section 4 and 6): bytes to frames, frames to bytes. No state of streams, no I/O.

`h2` does the same and more, at four times the cost for large responses; see decisions/.
"""

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from kuma.transport.limits import Refusal

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE = 9
DEFAULT_FRAME_SIZE = 16_384
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1


class Type(enum.IntEnum):
    """Frame types (RFC 9113 section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag:
    """Frame flags; END_STREAM and ACK share a bit."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(enum.IntEnum):
    """Settings (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(enum.IntEnum):
    """Error codes (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """The peer broke a rule, or passed a limit, after which the connection cannot go on. Counted as `refusal`."""

    def __init__(self, code: Code, reason: str, refusal: Refusal = Refusal.MALFORMED) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.refusal = refusal


class StreamFault(Exception):
    """The peer broke a rule that concerns one stream alone."""

    def __init__(self, stream_id: int, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.stream_id = stream_id
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """One frame as received; `payload` still has its padding."""

    type: int
    flags: int
    stream_id: int
    payload: bytes


# Types that belong to a stream (True) or to the connection (False); WINDOW_UPDATE may be either.
_ON_STREAM = {
    Type.DATA: True,
    Type.HEADERS: True,
    Type.PRIORITY: True,
    Type.RST_STREAM: True,
    Type.SETTINGS: False,
    Type.PUSH_PROMISE: True,
    Type.PING: False,
    Type.GOAWAY: False,
    Type.CONTINUATION: True,
}
_EXACT_SIZE = {Type.PRIORITY: 5, Type.RST_STREAM: 4, Type.PING: 8, Type.WINDOW_UPDATE: 4}


class FrameReader:
    """Cuts what a client sends into frames. Starts with the connection preface.

    At most one frame that is not complete is kept, so memory is bounded by the frame size.
    """

    __slots__ = ("_buffer", "_greeted", "_max_size")

    def __init__(self, max_frame_size: int = DEFAULT_FRAME_SIZE) -> None:
        self._buffer = bytearray()
        self._greeted = False
        self._max_size = max_frame_size

    @property
    def is_partial(self) -> bool:
        """Whether the start of a frame, or of the preface, is waiting for its rest."""
        return bool(self._buffer) or not self._greeted

    def feed(self, chunk: bytes | memoryview) -> Iterator[Frame]:
        """Yields every frame completed by `chunk`.

        Raises ConnectionFault for a wrong preface, a frame above the maximum size, or one that breaks a rule which
        needs no knowledge of streams. The reader must not be fed again after that.
        """
        buffer = self._buffer
        buffer += chunk
        start = 0
        if not self._greeted:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "not the preface of HTTP/2")
            if len(buffer) < len(PREFACE):
                return
            self._greeted = True
            start = len(PREFACE)
        end = len(buffer)
        try:
            while end - start >= HEADER_SIZE:
                size = int.from_bytes(buffer[start : start + 3], "big")
                if size > self._max_size:
                    raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
                stop = start + HEADER_SIZE + size
                if stop > end:
                    return
                frame = Frame(
                    buffer[start + 3],
                    buffer[start + 4],
                    int.from_bytes(buffer[start + 5 : start + 9], "big") & 0x7FFFFFFF,
                    bytes(buffer[start + HEADER_SIZE : stop]),
                )
                start = stop
                check(frame)
                yield frame
        finally:
            del buffer[:start]


def check(frame: Frame) -> None:
    """Raises ConnectionFault if the frame's size or stream cannot be right for its type."""
    belongs = _ON_STREAM.get(frame.type)  # type: ignore[call-overload]  # an unknown number is simply not there
    if belongs is True and frame.stream_id == 0:
        raise ConnectionFault(Code.PROTOCOL_ERROR, f"{Type(frame.type).name} on stream 0")
    if belongs is False and frame.stream_id != 0:
        raise ConnectionFault(Code.PROTOCOL_ERROR, f"{Type(frame.type).name} on a stream")
    size = len(frame.payload)
    exact = _EXACT_SIZE.get(frame.type)  # type: ignore[call-overload]  # as above
    if exact is not None and size != exact:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"{Type(frame.type).name} of {size} bytes")
    if frame.type == Type.SETTINGS and (size % 6 or (frame.flags & Flag.ACK and size)):
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"SETTINGS of {size} bytes")
    if frame.type == Type.GOAWAY and size < 8:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"GOAWAY of {size} bytes")


def unpadded(frame: Frame) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding. Raises ConnectionFault if padding fills it."""
    if not frame.flags & Flag.PADDED:
        return frame.payload
    payload = frame.payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]


def settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The (identifier, value) pairs of a SETTINGS frame, in order."""
    return struct.iter_unpack(">HI", payload)


def number(payload: bytes) -> int:
    """The 31-bit number that a WINDOW_UPDATE carries, or the 32-bit code of RST_STREAM when below 2**31."""
    return int.from_bytes(payload[:4], "big") & 0x7FFFFFFF


_pack = struct.Struct(">BHBBI").pack


def header(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes in front of a payload of `size` bytes."""
    return _pack(size >> 16, size & 0xFFFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return _pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream_id) + payload


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(Type.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: Code) -> bytes:
    """A RST_STREAM frame."""
    return frame(Type.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: Code, reason: str = "") -> bytes:
    """A GOAWAY frame; `reason` is for people who read captures."""
    return frame(Type.GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code) + reason.encode()[:200])


def settings_frame(values: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(Type.SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in values.items()))


def header_block(stream_id: int, block: bytes, *, end_stream: bool, max_size: int) -> bytes:
    """HEADERS and as many CONTINUATION frames as `max_size` makes necessary."""
    flags = Flag.END_STREAM if end_stream else 0
    if len(block) <= max_size:
        return frame(Type.HEADERS, flags | Flag.END_HEADERS, stream_id, block)
    pieces = [block[at : at + max_size] for at in range(0, len(block), max_size)]
    written = [frame(Type.HEADERS, flags, stream_id, pieces[0])]
    written += [frame(Type.CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    written.append(frame(Type.CONTINUATION, Flag.END_HEADERS, stream_id, pieces[-1]))
    return b"".join(written)
