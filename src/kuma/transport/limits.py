"""How much one client may ask of the port, and the names under which refusals are counted.

Every limit exists because a peer that is not yet authenticated can reach it: the port is open to the network and
tokens are only read once a call has begun.
"""

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the port. Durations are seconds, sizes are bytes, rates are events in any one second."""

    connections: int = 10_000
    streams: int = 256
    """Calls and requests that may run at once on one HTTP/2 connection."""
    handshake_seconds: float = 10.0
    header_seconds: float = 10.0
    """From the end of the handshake, or the first byte of a header block, until the headers are complete."""
    message_seconds: float = 30.0
    """From the first byte of a gRPC message, frame or request body until its last."""
    write_stall_seconds: float = 20.0
    """How long a client may leave what we send unread."""
    idle_seconds: float = 600.0
    """A connection without a call or request is closed after this long."""
    ping_interval_seconds: float = 15.0
    """Silence after which we ask whether the peer is still there."""
    ping_timeout_seconds: float = 15.0
    linger_seconds: float = 2.0
    """How long a closed connection still reads, so that the peer gets our last words instead of a reset."""
    header_bytes: int = 32 * 1024
    """A header list, counted as HPACK does: name + value + 32 for each field."""
    message_bytes: int = 4 * 1024 * 1024
    body_bytes: int = 4 * 1024 * 1024
    connection_buffer_bytes: int = 16 * 1024 * 1024
    """Unfinished and unread gRPC messages of one connection, together."""
    total_buffer_bytes: int = 256 * 1024 * 1024
    """The same over all connections of the server."""
    write_high_water: int = 64 * 1024
    """Ciphertext that may wait in user space for one connection before writers have to wait."""
    resets_per_second: int = 200
    pings_per_second: int = 200
    settings_per_second: int = 50
    oddities_per_second: int = 1000
    """Frames that carry nothing: empty DATA, PRIORITY, unknown types, frames for streams that ended."""
    tick_seconds: float = 0.5
    """How late a deadline may fire; deadlines of one tick share one wake-up."""


class Refusal(enum.StrEnum):
    """Why a client was refused or cut off; the label of the metric that counts it."""

    CONNECTIONS = "too_many_connections"
    HANDSHAKE = "tls_handshake_failed"
    SLOW_HANDSHAKE = "slow_tls_handshake"
    SLOW_HEADERS = "slow_headers"
    SLOW_MESSAGE = "slow_message"
    SLOW_READER = "slow_reader"
    NO_PING_ANSWER = "no_ping_answer"
    IDLE = "idle_connection"
    MALFORMED = "malformed"
    HEADERS = "headers_too_large"
    MESSAGE = "message_too_large"
    BODY = "body_too_large"
    BUFFER = "too_much_buffered"
    STREAMS = "too_many_streams"
    RESETS = "too_many_resets"
    PINGS = "too_many_pings"
    SETTINGS = "too_many_settings"
    ODDITIES = "too_many_useless_frames"
    COMPRESSED = "compressed_message"
    UNKNOWN_METHOD = "unknown_grpc_method"
