"""TLS over one TCP connection: towards the event loop a protocol, towards HTTP a transport.

asyncio's own `SSLProtocol` keeps a read buffer of 256 KiB for each connection and grows its memory BIOs with the largest
write. Here reads share one buffer over all connections and plaintext enters the BIO one record at a time, so an idle
connection costs what OpenSSL itself needs. Deadlines of this layer: the handshake, a peer that does not read, and the
linger after a close.
"""

import asyncio
import contextlib
import enum
import ssl
from collections.abc import Callable
from typing import Any, cast

from kuma.transport import context as contexts
from kuma.transport import limits, wheel

_RECORD = contexts.READ_SIZE
_LINGER_BYTES = 32 * 1024 * 1024

Choose = Callable[[str | None], asyncio.Protocol]
"""Maps the protocol agreed by ALPN (None without one) to a new protocol for the connection."""


class _State(enum.Enum):
    HANDSHAKE = 1
    OPEN = 2
    LINGERING = 3
    CLOSED = 4


class TlsConnection(asyncio.Transport, asyncio.BufferedProtocol):
    """One accepted connection. `on_lost` is called once, when the socket is gone."""

    def __init__(self, context: contexts.Context, choose: Choose, on_lost: Callable[["TlsConnection"], None]) -> None:
        super().__init__()
        self._context = context
        self._choose = choose
        self._on_lost = on_lost
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.ssl_context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._state = _State.HANDSHAKE
        self._protocol: asyncio.Protocol | None = None
        self._raw: asyncio.Transport
        self._reading = True
        self._discarded = 0
        self._patient_until = 0.0
        self._deadline: wheel.Deadline | None = None
        self._stall: wheel.Deadline | None = None

    # --- towards the event loop -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts waiting for the client's hello."""
        self._raw = cast(asyncio.Transport, transport)  # uvloop's class does not inherit from asyncio's
        bounds = self._context.limits
        self._raw.set_write_buffer_limits(high=bounds.write_high_water)
        self._deadline = self._context.wheel.after(bounds.handshake_seconds, self._handshake_expired)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The server's shared read buffer; `buffer_updated` empties it before anyone else can run."""
        return self._context.ciphertext

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypts what arrived and passes it on."""
        if self._state is _State.LINGERING:
            self._discarded += nbytes
            if self._discarded > _LINGER_BYTES:
                self.abort()
            return
        self._incoming.write(self._context.ciphertext[:nbytes])
        if self._state is _State.HANDSHAKE:
            self._shake_hands()
        if self._state is _State.OPEN:
            self._read()

    def eof_received(self) -> None:
        """The peer sends no more. Like most TLS stacks we take that for the end of the connection."""
        if self._state is _State.OPEN and self._protocol is not None:
            self._protocol.eof_received()
        self._raw.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: tells the protocol and the server."""
        self._cancel_deadlines()
        told = self._state in (_State.LINGERING, _State.CLOSED)
        self._state = _State.CLOSED
        if self._protocol is not None and not told:
            self._protocol.connection_lost(exc)
        self._protocol = None
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The peer reads slower than we write: stops the writers, and the connection after a while."""
        if self._stall is None:
            self._stall = self._context.wheel.after(self._context.limits.write_stall_seconds, self._stalled)
        if self._protocol is not None and self._state is _State.OPEN:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The peer has read most of what waited."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._protocol is not None and self._state is _State.OPEN:
            self._protocol.resume_writing()

    # --- towards HTTP -----------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and hands over to the kernel what it takes now; the rest waits in the buffer."""
        if self._state is not _State.OPEN:
            return
        view = memoryview(data)
        records = []
        try:
            for start in range(0, len(view), _RECORD):
                self._tls.write(view[start : start + _RECORD])
                records.append(self._outgoing.read())
        except ssl.SSLError:
            self.abort()
            return
        self._raw.write(records[0] if len(records) == 1 else b"".join(records))

    def close(self) -> None:
        """Ends the connection politely: says goodbye, then reads on for a moment so that the peer sees it."""
        if self._state is _State.HANDSHAKE:
            self.abort()
        if self._state is not _State.OPEN:
            return
        self._state = _State.LINGERING
        with contextlib.suppress(ssl.SSLError):
            # It always wants the peer's own goodbye, for which we do not wait; ours is written by now.
            self._tls.unwrap()
        self._raw.write(self._outgoing.read())
        with contextlib.suppress(OSError):
            # The peer may have reset the connection a moment ago; then the loop is about to tell us.
            self._raw.write_eof()
        self._raw.resume_reading()
        self._patient_until = self._context.loop.time() + self._context.limits.write_stall_seconds
        self._linger()
        self._tell_lost()

    def abort(self) -> None:
        """Ends the connection at once; what waits to be written is dropped."""
        if self._state is _State.CLOSED:
            return
        was_open = self._state is _State.OPEN
        self._state = _State.CLOSED
        self._raw.abort()
        if was_open:
            self._tell_lost()

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the socket is gone."""
        return self._state in (_State.LINGERING, _State.CLOSED) or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Stops passing on what arrives; TCP's own flow control then stops the peer."""
        if self._reading and not self.is_closing():
            self._reading = False
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Continues after `pause_reading`."""
        if not self._reading and not self.is_closing():
            self._reading = True
            self._raw.resume_reading()
            self._context.loop.call_soon(self._read)

    def is_reading(self) -> bool:
        """Whether reads are passed on."""
        return self._reading and not self.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As for any TLS transport: `ssl_object`, `sslcontext`, and what the socket knows."""
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._context.ssl_context
        return self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hands the connection to another protocol."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that speaks on this connection."""
        assert self._protocol is not None
        return self._protocol

    def get_write_buffer_size(self) -> int:
        """Bytes of ciphertext that the kernel has not taken yet."""
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The same for the socket's buffer."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def protocol(self) -> asyncio.Protocol | None:
        """The protocol that speaks on this connection; None before the handshake and after the end."""
        return self._protocol if self._state is _State.OPEN else None

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError:
            self._flush()  # the alert that tells the peer why
            self._context.refuse(limits.Refusal.HANDSHAKE)
            self._raw.close()
            return
        self._flush()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._state = _State.OPEN
        self._protocol = self._choose(self._tls.selected_alpn_protocol())
        self._protocol.connection_made(self)

    def _read(self) -> None:
        while self._state is _State.OPEN and self._reading and self._protocol is not None:
            try:
                plain = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                plain = b""
            except ssl.SSLError:
                self._context.refuse(limits.Refusal.MALFORMED)
                self.abort()
                return
            if not plain:
                self._protocol.eof_received()
                self.close()
                return
            self._protocol.data_received(plain)
        if self._state is _State.OPEN:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _tell_lost(self) -> None:
        if self._protocol is not None:
            self._context.loop.call_soon(self._protocol.connection_lost, None)

    def _handshake_expired(self) -> None:
        self._context.refuse(limits.Refusal.SLOW_HANDSHAKE)
        self.abort()

    def _stalled(self) -> None:
        self._context.refuse(limits.Refusal.SLOW_READER)
        self.abort()

    def _linger(self) -> None:
        self._deadline = self._context.wheel.after(self._context.limits.linger_seconds, self._lingered)

    def _lingered(self) -> None:
        """Gives up on a peer that has not closed its side; one that still reads our last words gets more time."""
        if not self._raw.get_write_buffer_size():
            self.abort()
        elif self._context.loop.time() < self._patient_until:
            self._linger()
        else:
            self._stalled()

    def _cancel_deadlines(self) -> None:
        for deadline in (self._deadline, self._stall):
            if deadline is not None:
                deadline.cancel()
