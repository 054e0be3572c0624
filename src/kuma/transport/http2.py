"""One HTTP/2 connection (RFC 9113): settings, streams, windows, keepalive, and the limits on what a peer may do."""

import asyncio
from collections.abc import Callable

from kuma.transport import asgi, frames, grpc_call, header_blocks, headers, http2_stream, keepalive, rates, wheel
from kuma.transport import context as contexts
from kuma.transport.frames import Code, ConnectionFault, Flag, Frame, Setting, StreamFault, Type
from kuma.transport.limits import Refusal

_RECEIVE_WINDOW = 1024 * 1024
_MAX_FRAME = 64 * 1024
"""The largest DATA frame that we send, whatever the peer allows: frames of one connection should be able to interleave."""
_UNREAD_ANSWERS = 256 * 1024
"""Answers (to PING, SETTINGS and the like) that may wait for a peer which sends but does not read."""

Work = grpc_call.GrpcCall | asgi.AsgiExchange


class Http2Connection(asyncio.Protocol):
    """Speaks HTTP/2 on a connection whose TLS handshake is done. Implements `http2_stream.Link`."""

    def __init__(self, context: contexts.Context) -> None:
        self.context = context
        self.send_window = frames.DEFAULT_WINDOW
        self.max_frame = frames.DEFAULT_FRAME_SIZE
        self.is_writable = True
        self.blocked: dict[int, http2_stream.Http2Stream] = {}
        self._transport: asyncio.Transport
        self._peer = ""
        self._reader = frames.FrameReader()
        self._blocks = header_blocks.HeaderBlocks(context.limits.header_bytes)
        self._rates = rates.Rates(context)
        self._ledger = grpc_call.Ledger(context)
        self._keepalive = keepalive.Keepalive(context, self._ping, self._silent)
        self._streams: dict[int, http2_stream.Http2Stream] = {}
        self._work: dict[asyncio.Task[None], Work] = {}
        self._last_id = 0
        self._stream_window = frames.DEFAULT_WINDOW
        self._receive_left = _RECEIVE_WINDOW
        self._owed = 0
        self._answers: list[bytes] = []
        self._is_settled = False
        self._has_sent_headers = False
        self._is_draining = False
        self._is_over = False
        self._partial: wheel.Deadline | None = None
        self._is_partial_headers = False
        self._idle: wheel.Deadline | None = None

    # --- asyncio's protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends our settings and waits for the client's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        ours = {
            Setting.MAX_CONCURRENT_STREAMS: self.context.limits.streams,
            Setting.INITIAL_WINDOW_SIZE: http2_stream.RECEIVE_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: self.context.limits.header_bytes,
        }
        window = frames.window_update(0, _RECEIVE_WINDOW - frames.DEFAULT_WINDOW)
        transport.write(frames.settings_frame(ours) + window)
        self._watch_partial(is_progress=True)
        self._watch_idle()
        self._keepalive.start()

    def data_received(self, data: bytes) -> None:
        """Handles every frame that `data` completes."""
        if self._is_over:
            return
        self._keepalive.heard()
        is_progress = False
        try:
            for frame in self._reader.feed(data):
                is_progress = True
                if not self._receive(frame):
                    return
            self._flush()
        except ConnectionFault as fault:
            self.fail(fault)
        else:
            self._watch_partial(is_progress=is_progress)

    def eof_received(self) -> None:
        """Nothing to do: the TLS layer closes the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends every stream."""
        self._is_over = True
        self._keepalive.stop()
        for deadline in (self._partial, self._idle):
            if deadline is not None:
                deadline.cancel()
        for stream in list(self._streams.values()):
            stream.drop()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """The socket's buffer has drained."""
        self.is_writable = True
        self._wake_blocked()

    # --- what streams use (http2_stream.Link) -----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Writes whole frames, after the answers that wait."""
        if self._is_over:
            return
        if self._answers:
            self._flush()
        self._transport.write(data)

    def write_headers(self, stream_id: int, block: bytes, *, end_stream: bool) -> None:
        """Writes a header block; the first one tells the peer that we use no dynamic table."""
        if not self._has_sent_headers:
            self._has_sent_headers = True
            block = headers.NO_TABLE + block
        self.write(frames.header_block(stream_id, block, end_stream=end_stream, max_size=self.max_frame))

    def credit(self, size: int) -> None:
        """Returns window of the connection, told half a window at a time."""
        self._owed += size
        if self._owed >= _RECEIVE_WINDOW // 2:
            self.write(frames.window_update(0, self._owed))
            self._receive_left += self._owed
            self._owed = 0

    def forget(self, stream_id: int) -> None:
        """The stream is closed on both sides."""
        self._streams.pop(stream_id, None)

    def fail(self, fault: ConnectionFault) -> None:
        """Tells the peer why, and closes."""
        if not self._is_over:
            self.context.refuse(fault.refusal)
            self._close(fault.code, fault.reason)

    # --- what the server uses ---------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Takes no new streams; closes once those that run have ended."""
        if self._is_over or self._is_draining:
            return
        self._is_draining = True
        self.write(frames.goaway(self._last_id, Code.NO_ERROR, "no new streams"))
        self._close_if_done()

    def finish(self) -> None:
        """Ends what still runs (a call with UNAVAILABLE, a request with 503), then closes."""
        for work in list(self._work.values()):
            work.stop()
        self._close(Code.NO_ERROR, "")

    # --- frames -----------------------------------------------------------------------------------------------------

    def _receive(self, frame: Frame) -> bool:
        """Acts on one frame; False once the connection is over."""
        if not self._is_settled:
            if frame.type != Type.SETTINGS or frame.flags & Flag.ACK:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame must be SETTINGS")
            self._is_settled = True
        try:
            if self._blocks.is_partial or frame.type in (Type.HEADERS, Type.CONTINUATION):
                complete = self._blocks.add(frame)
                if complete is not None:
                    self._header_list(complete)
            elif (act := _ACTIONS.get(frame.type)) is not None:
                act(self, frame)
            else:
                self._rates.hit(Refusal.ODDITIES)
        except StreamFault as fault:
            self._reset(fault)
        return not self._is_over

    def _data(self, frame: Frame) -> None:
        size = len(frame.payload)
        self._receive_left -= size
        if self._receive_left < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window allows")
        payload = frames.unpadded(frame)
        ends = bool(frame.flags & Flag.END_STREAM)
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            self._check_not_idle(frame.stream_id)
            self.credit(size)
            self._rates.hit(Refusal.ODDITIES)
            return
        if not payload and not ends:
            self._rates.hit(Refusal.ODDITIES)
        try:
            stream.receive(payload, size, ends=ends)
        except StreamFault:
            self.credit(len(payload))
            raise

    def _header_list(self, block: header_blocks.HeaderList) -> None:
        stream_id = block.stream_id
        stream = self._streams.get(stream_id)
        if stream is not None:
            if not block.ends_stream or not stream.is_receiving:
                raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "a second header block that ends nothing")
            headers.check_fields(stream_id, block.fields)
            stream.receive(b"", 0, ends=True)
            return
        if stream_id % 2 == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a client's stream has an odd number")
        if stream_id <= self._last_id:
            self._rates.hit(Refusal.ODDITIES)
            return
        self._last_id = stream_id
        if self._is_draining or len(self._work) >= self.context.limits.streams:
            if not self._is_draining:
                self.context.refuse(Refusal.STREAMS)
            self._rates.hit(Refusal.RESETS)
            self._answers.append(frames.rst_stream(stream_id, Code.REFUSED_STREAM))
            return
        self._open(stream_id, headers.request_of(stream_id, block.fields), ends=block.ends_stream)

    def _open(self, stream_id: int, request: headers.Request, *, ends: bool) -> None:
        expected = headers.content_length(stream_id, request)
        if ends and expected:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR, "content-length without a body")
        stream = http2_stream.Http2Stream(self, stream_id, self._stream_window, expected)
        self._streams[stream_id] = stream
        work: Work
        if request.is_grpc and request.method == b"POST":
            work = grpc_call.GrpcCall(stream, request, self._peer, self._ledger)
            task = self.context.spawn(work.run(self.context.grpc.get(work.path)))
        else:
            work = asgi.AsgiExchange(stream, request, self._transport)
            task = self.context.spawn(work.run(self.context.app))
        work.task = task
        stream.sink = work
        self._work[task] = work
        task.add_done_callback(self._ended)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if ends:
            stream.end_receiving()

    def _rst_stream(self, frame: Frame) -> None:
        self._check_not_idle(frame.stream_id)
        self._rates.hit(Refusal.RESETS)
        stream = self._streams.get(frame.stream_id)
        if stream is not None:
            stream.drop()

    def _settings(self, frame: Frame) -> None:
        self._rates.hit(Refusal.SETTINGS)
        if frame.flags & Flag.ACK:
            return
        for key, value in frames.settings(frame.payload):
            if key == Setting.INITIAL_WINDOW_SIZE:
                self._resize_windows(value)
            elif key == Setting.MAX_FRAME_SIZE:
                if not frames.DEFAULT_FRAME_SIZE <= value < 2**24:
                    raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
                self.max_frame = min(value, _MAX_FRAME)
            elif key == Setting.ENABLE_PUSH and value > 1:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        self._answers.append(frames.frame(Type.SETTINGS, Flag.ACK, 0))

    def _resize_windows(self, size: int) -> None:
        if size > frames.MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE out of range")
        change, self._stream_window = size - self._stream_window, size
        for stream in list(self._streams.values()):
            try:
                stream.add_window(change)
            except StreamFault as fault:
                raise ConnectionFault(fault.code, fault.reason) from fault

    def _push_promise(self, frame: Frame) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a client cannot push")

    def _pinged(self, frame: Frame) -> None:
        if not frame.flags & Flag.ACK:
            self._rates.hit(Refusal.PINGS)
            self._answers.append(frames.frame(Type.PING, Flag.ACK, 0, frame.payload))

    def _window_update(self, frame: Frame) -> None:
        increment = frames.number(frame.payload)
        if frame.stream_id:
            self._check_not_idle(frame.stream_id)
            if not increment:
                raise StreamFault(frame.stream_id, Code.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            stream = self._streams.get(frame.stream_id)
            if stream is not None:
                stream.add_window(increment)
            return
        self.send_window += increment
        if not increment:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if self.send_window > frames.MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the connection's window is above 2**31-1")
        self._wake_blocked()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _check_not_idle(self, stream_id: int) -> None:
        """A stream that ended is gone from our tables; one that never began must not be spoken of."""
        if stream_id > self._last_id or stream_id % 2 == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame for a stream that was never opened")

    def _reset(self, fault: StreamFault) -> None:
        """Ends one stream for a fault of the peer. Counted with the peer's resets: it caused this one too."""
        self._rates.hit(Refusal.RESETS)
        self.context.refuse(Refusal.MALFORMED)
        self._answers.append(frames.rst_stream(fault.stream_id, fault.code))
        stream = self._streams.get(fault.stream_id)
        if stream is not None:
            stream.drop()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.pop(task).release()
        if not self._work and not self._is_over:
            self._watch_idle()
            if self._is_draining:
                self._close_if_done()

    def _wake_blocked(self) -> None:
        for stream in list(self.blocked.values()):
            stream.wake()

    def _flush(self) -> None:
        """Writes the answers that gathered while frames were read. A peer that lets them pile up is cut off."""
        if not self._answers or self._is_over:
            return
        answers, self._answers = b"".join(self._answers), []
        self._transport.write(answers)
        if not self.is_writable and self._transport.get_write_buffer_size() > _UNREAD_ANSWERS:
            self.context.refuse(Refusal.SLOW_READER)
            self._transport.abort()

    def _watch_partial(self, *, is_progress: bool) -> None:
        """Keeps a deadline for the preface, header block or frame that has begun and not ended."""
        is_headers = self._blocks.is_partial or not self._is_settled
        is_waiting = is_headers or self._reader.is_partial
        if self._partial is not None:
            # Frames that end renew the time of the next frame, but not that of a header block.
            if is_waiting and is_headers == self._is_partial_headers and (is_headers or not is_progress):
                return
            self._partial.cancel()
            self._partial = None
        if is_waiting:
            self._is_partial_headers = is_headers
            bounds = self.context.limits
            seconds = bounds.header_seconds if is_headers else bounds.message_seconds
            self._partial = self.context.wheel.after(seconds, self._too_slow)

    def _too_slow(self) -> None:
        reason = Refusal.SLOW_HEADERS if self._is_partial_headers else Refusal.SLOW_MESSAGE
        self.fail(ConnectionFault(Code.ENHANCE_YOUR_CALM, reason.value.replace("_", " "), reason))

    def _watch_idle(self) -> None:
        if self._idle is None:
            self._idle = self.context.wheel.after(self.context.limits.idle_seconds, self._idled)

    def _idled(self) -> None:
        self.context.refuse(Refusal.IDLE)
        self._close(Code.NO_ERROR, "idle")

    def _ping(self) -> None:
        self.write(_PING)

    def _silent(self) -> None:
        self.context.refuse(Refusal.NO_PING_ANSWER)
        self._transport.abort()

    def _close_if_done(self) -> None:
        if not self._work:
            self._close(Code.NO_ERROR, "")

    def _close(self, code: Code, reason: str) -> None:
        if self._is_over:
            return
        self.write(frames.goaway(self._last_id, code, reason))
        self._is_over = True
        self._transport.close()


_PING = frames.frame(Type.PING, 0, 0, bytes(8))

_ACTIONS: dict[int, Callable[[Http2Connection, Frame], None]] = {
    Type.DATA: Http2Connection._data,
    Type.RST_STREAM: Http2Connection._rst_stream,
    Type.SETTINGS: Http2Connection._settings,
    Type.PUSH_PROMISE: Http2Connection._push_promise,
    Type.PING: Http2Connection._pinged,
    Type.WINDOW_UPDATE: Http2Connection._window_update,
}
