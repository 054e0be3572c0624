"""Request header blocks: HEADERS and CONTINUATION frames put together, bounded, and decoded (RFC 9113 section 4.3)."""

from dataclasses import dataclass

import hpack

from kuma.transport import frames, headers
from kuma.transport.frames import Code, ConnectionFault, Flag, Frame
from kuma.transport.limits import Refusal

_MAX_FRAGMENTS = 16


@dataclass(frozen=True, slots=True)
class HeaderList:
    """One decoded block: of a new stream, or the trailers of one that is known."""

    stream_id: int
    ends_stream: bool
    fields: list[headers.Field]


class HeaderBlocks:
    """The receiving side of one connection's header compression. Every block must pass through, also of streams that
    are refused: decoding keeps both sides' tables equal."""

    __slots__ = ("_decoder", "_ends", "_fragments", "_limit", "_size", "_stream_id")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = hpack.Decoder(max_header_list_size=limit)
        self._fragments: list[bytes] = []
        self._size = 0
        self._stream_id = 0
        self._ends = False

    @property
    def is_partial(self) -> bool:
        """Whether a block has begun and its CONTINUATION must come next."""
        return self._stream_id != 0

    def add(self, frame: Frame) -> HeaderList | None:
        """Takes the next frame of the connection if a block is open, or one that opens a block.

        Returns the header list once it is complete. Raises ConnectionFault for a block that is interrupted, too large
        or cannot be decoded.
        """
        if not self.is_partial:
            fragment = self._begin(frame)
        elif frame.type == frames.Type.CONTINUATION and frame.stream_id == self._stream_id:
            fragment = frame.payload
        else:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block was interrupted")
        self._fragments.append(fragment)
        self._size += len(fragment)
        if self._size > self._limit or len(self._fragments) > _MAX_FRAGMENTS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "the header block is too large", Refusal.HEADERS)
        if not frame.flags & Flag.END_HEADERS:
            return None
        complete = HeaderList(self._stream_id, self._ends, self._decode(b"".join(self._fragments)))
        self._fragments.clear()
        self._size = self._stream_id = 0
        return complete

    def _begin(self, frame: Frame) -> bytes:
        if frame.type != frames.Type.HEADERS:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        fragment = frames.unpadded(frame)
        if frame.flags & Flag.PRIORITY:
            if len(fragment) < 5:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            fragment = fragment[5:]
        self._stream_id = frame.stream_id
        self._ends = bool(frame.flags & Flag.END_STREAM)
        return fragment

    def _decode(self, block: bytes) -> list[headers.Field]:
        try:
            return [(bytes(field[0]), bytes(field[1])) for field in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError as error:
            reason = "the header list is too large"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, reason, Refusal.HEADERS) from error
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "the header block cannot be decoded") from error
