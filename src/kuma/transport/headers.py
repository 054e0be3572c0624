"""Header lists: what we accept from clients (RFC 9113 section 8), and how ours are written (RFC 7541).

Responses are written as literals that never enter the peer's dynamic table. Our few headers gain nothing from
compression, a stateless writer costs no memory per connection, and constant blocks can be built once.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from kuma.transport import frames
from kuma.transport.stream import Status

Field = tuple[bytes, bytes]

NO_TABLE = b"\x20"
"""First byte of the first block on a connection: our dynamic table has size 0 (RFC 7541 section 6.3). A client that
lowered the table's size must be told so, and some check it."""

_STATUS_INDEX = {b"200": 8, b"204": 9, b"206": 10, b"304": 11, b"400": 12, b"404": 13, b"500": 14}
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_VALUE = re.compile(rb"[^\x00\r\n]*\Z")
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_CONNECTION = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_MESSAGE_LIMIT = 2048
_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request header list. `fields` leaves the pseudo-headers out and keeps order."""

    method: bytes
    scheme: bytes
    path: bytes
    authority: bytes
    fields: tuple[Field, ...]

    def first(self, name: bytes) -> bytes | None:
        """The first value of a field, or None."""
        return next((value for key, value in self.fields if key == name), None)

    @property
    def is_grpc(self) -> bool:
        """Whether the content type says gRPC (`application/grpc`, `+proto` and the like; not gRPC-Web)."""
        kind = (self.first(b"content-type") or b"").lower()
        return kind == b"application/grpc" or kind.startswith((b"application/grpc+", b"application/grpc;"))

    def metadata(self) -> dict[str, str]:
        """The fields as text; a key sent twice has its values joined by a comma."""
        joined: dict[str, str] = {}
        for key, value in self.fields:
            name, text = key.decode("ascii"), value.decode("utf-8", "surrogateescape")
            joined[name] = f"{joined[name]},{text}" if name in joined else text
        return joined


def request_of(stream_id: int, fields: Iterable[Field]) -> Request:
    """The request that a header list describes. Raises StreamFault if it is malformed (RFC 9113 section 8.1.1)."""
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    for name, value in fields:
        if name.startswith(b":"):
            if regular or name in pseudo or name not in _PSEUDO:
                raise _malformed(stream_id, "pseudo-headers out of order, twice or unknown")
            pseudo[name] = value
        else:
            regular.append((name, value))
        _check_value(stream_id, value)
    check_fields(stream_id, regular)
    method, scheme, path = (pseudo.get(key, b"") for key in (b":method", b":scheme", b":path"))
    if not (method and scheme and path) or not (path.startswith(b"/") or path == b"*"):
        raise _malformed(stream_id, "method, scheme or path is missing")
    authority = pseudo.get(b":authority") or next((value for name, value in regular if name == b"host"), b"")
    return Request(method, scheme, path, authority, tuple(regular))


def check_fields(stream_id: int, fields: Iterable[Field]) -> None:
    """Raises StreamFault for fields that HTTP/2 forbids; also the rule for trailers, which have no pseudo-headers."""
    for name, value in fields:
        if not _NAME.match(name):
            raise _malformed(stream_id, "a field name is not lower-case or not a token")
        if name in _CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise _malformed(stream_id, "a field that belongs to one HTTP/1.1 connection")
        _check_value(stream_id, value)


def content_length(stream_id: int, request: Request) -> int | None:
    """The announced size of the body, or None. Raises StreamFault when it is no number or there are two."""
    values = {value for name, value in request.fields if name == b"content-length"}
    if not values:
        return None
    text = values.pop()
    if values or not text.isdigit() or len(text) > 18:
        raise _malformed(stream_id, "content-length")
    return int(text)


def encode(fields: Iterable[Field]) -> bytes:
    """A header block of literals. Names must be lower-case; `:status` must come first."""
    block = bytearray()
    for name, value in fields:
        index = _STATUS_INDEX.get(value) if name == b":status" else None
        if index is not None:
            block.append(0x80 | index)
        else:
            block.append(0)
            block += _length(len(name)) + name + _length(len(value)) + value
    return bytes(block)


def response(status: int, fields: Iterable[Field]) -> bytes:
    """The header block of an HTTP response. Fields that HTTP/2 forbids are left out."""
    kept = [(name.lower(), value) for name, value in fields]
    return encode([(b":status", str(status).encode()), *((n, v) for n, v in kept if n not in _CONNECTION)])


def grpc_trailers(status: Status, message: str, extra: Mapping[bytes, bytes]) -> bytes:
    """The header block that ends a call. The message is percent-encoded UTF-8 (gRPC over HTTP/2, Responses), and cut
    at about 2 KiB, since clients refuse large trailers."""
    if status is Status.OK and not extra:
        return GRPC_OK
    fields = [(b"grpc-status", str(int(status)).encode())]
    if message:
        fields.append((b"grpc-message", percent_encode(message)))
    return encode([*fields, *extra.items()])


def percent_encode(message: str) -> bytes:
    """A status message as gRPC writes it: printable ASCII but `%` as it is, every other byte as %XX."""
    short = message.encode("utf-8", "replace")[:_MESSAGE_LIMIT].decode("utf-8", "ignore")
    return quote_from_bytes(short.encode(), safe=_SAFE).encode("ascii")


def _length(size: int) -> bytes:
    """An HPACK integer with a 7-bit prefix, Huffman bit off (RFC 7541 section 5.1)."""
    if size < 127:
        return bytes((size,))
    coded = bytearray((127,))
    size -= 127
    while size >= 128:
        coded.append(size & 127 | 128)
        size >>= 7
    coded.append(size)
    return bytes(coded)


def _check_value(stream_id: int, value: bytes) -> None:
    if not _VALUE.match(value):
        raise _malformed(stream_id, "a field value with NUL, CR or LF")


def _malformed(stream_id: int, reason: str) -> frames.StreamFault:
    return frames.StreamFault(stream_id, frames.Code.PROTOCOL_ERROR, f"malformed request: {reason}")


GRPC_RESPONSE = encode([(b":status", b"200"), (b"content-type", b"application/grpc")])
GRPC_OK = encode([(b"grpc-status", b"0")])
