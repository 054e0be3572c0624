"""gRPC as real clients speak it: grpcio end to end, and the h2 library where a client has to misbehave."""

import asyncio
import os

import grpc
import h2.errors
import h2.events
import pytest

from kuma import transport
from tests.kit import port as kit

ECHO = "/test.Echo/Echo"


async def echo(stream: transport.GrpcStream) -> None:
    while (message := await stream.receive()) is not None:
        await stream.send([message[:1], message[1:]])


def channel(number: int, **options: int) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(kit.certificate()[0])
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    return grpc.aio.secure_channel(f"localhost:{number}", credentials, options=[*unlimited, *options.items()])


async def test_bidirectional_stream_with_half_close() -> None:
    async with kit.serve(grpc={ECHO: echo}) as port, channel(port.number) as client:
        call = client.stream_stream(ECHO)()
        large = os.urandom(3_000_000)
        for message in (b"a", b"", b"bcd", large):
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        assert port.refused == []


async def test_unary_call_and_metadata() -> None:
    seen = {}

    async def unary(stream: transport.GrpcStream) -> None:
        seen.update(stream.metadata, path=stream.path, peer=stream.peer)
        request = await stream.receive()
        assert request is not None
        await stream.send([request, b"!"])

    async with kit.serve(grpc={"/a.B/C": unary}) as port, channel(port.number) as client:
        metadata = (("authorization", "tok"), ("x-twice", "1"), ("x-twice", "2"))
        assert await client.unary_unary("/a.B/C")(b"hi", metadata=metadata) == b"hi!"
    assert seen["authorization"] == "tok"
    assert seen["x-twice"] == "1,2"
    assert seen["path"] == "/a.B/C"
    assert seen["peer"].startswith("127.0.0.1:")
    assert not any(name.startswith(":") for name in seen)


@pytest.mark.parametrize("first", [None, b"answer"], ids=["trailers only", "after a message"])
async def test_error_status_with_unicode_message(first: bytes | None) -> None:
    async def fail(stream: transport.GrpcStream) -> None:
        if first is not None:
            await stream.send([first])
        raise transport.GrpcError(transport.Status.NOT_FOUND, "kein Mesh „ü“: 100%\n")

    async with kit.serve(grpc={"/a.B/C": fail}) as port, channel(port.number) as client:
        call = client.stream_stream("/a.B/C")()
        if first is not None:
            assert await call.read() == first
        assert await call.code() is grpc.StatusCode.NOT_FOUND
        assert await call.details() == "kein Mesh „ü“: 100%\n"


async def test_unknown_method() -> None:
    async with kit.serve() as port, channel(port.number) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.unary_unary("/a.B/Nope")(b"")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "/a.B/Nope" in (raised.value.details() or "")
        assert port.refused == ["unknown_grpc_method"]


async def test_a_failing_handler_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(stream: transport.GrpcStream) -> None:
        raise RuntimeError("secret")

    async with kit.serve(grpc={"/a.B/C": fail}) as port, channel(port.number) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.unary_unary("/a.B/C")(b"")
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
    assert "secret" in caplog.text


async def test_cancel_cancels_the_handler() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(stream: transport.GrpcStream) -> None:
        started.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            with pytest.raises(ConnectionError):
                await stream.send([b"late"])
            cancelled.set()
            raise

    async with kit.serve(grpc={"/a.B/C": wait}) as port, channel(port.number) as client:
        call = client.stream_stream("/a.B/C")()
        await call.write(b"x")
        await asyncio.wait_for(started.wait(), 10)
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_reset_before_the_handler_ran_never_leaves_it_hanging() -> None:
    ran = asyncio.Event()

    async def wait(stream: transport.GrpcStream) -> None:
        ran.set()
        await asyncio.get_running_loop().create_future()

    async with kit.serve(grpc={"/a.B/C": wait, ECHO: echo}) as port:
        client = await port.open_h2()
        stream_id = client.h2.get_next_available_stream_id()
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/a.B/C")]
        client.h2.send_headers(stream_id, [*fields, ("content-type", "application/grpc")])
        client.h2.reset_stream(stream_id)
        client.flush()
        other = client.call(ECHO)
        client.send(other, kit.framed(b"x"), ends=True)
        assert await client.status(other) == ("0", "")
        assert not ran.is_set()


async def test_connection_loss_cancels_the_handler() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(stream: transport.GrpcStream) -> None:
        started.set()
        try:
            await stream.receive()
        finally:
            ended.set()

    async with kit.serve(grpc={"/a.B/C": wait}) as port:
        client = await port.open_h2()
        client.call("/a.B/C")
        await asyncio.wait_for(started.wait(), 10)
        client.writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 10)


async def test_two_hundred_streams_on_one_connection() -> None:
    async with kit.serve(grpc={ECHO: echo}) as port, channel(port.number) as client:
        method = client.stream_stream(ECHO)
        body = os.urandom(50_000)

        async def talk(number: int) -> None:
            call = method()
            await call.write(number.to_bytes(2, "big") + body)
            assert await call.read() == number.to_bytes(2, "big") + body
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(talk(number))


async def test_oversize_message() -> None:
    limits = transport.Limits(message_bytes=1000, tick_seconds=0.02)
    async with kit.serve(grpc={ECHO: echo}, limits=limits) as port, channel(port.number) as client:
        call = client.stream_stream(ECHO)()
        await call.write(bytes(1000))
        assert await call.read() == bytes(1000)
        await call.write(bytes(1001))
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1001" in await call.details()
        assert port.refused == ["message_too_large"]


async def test_compressed_message() -> None:
    async with kit.serve(grpc={ECHO: echo}) as port:
        client = await port.open_h2()
        stream_id = client.call(ECHO, grpc_encoding="gzip")
        client.send(stream_id, kit.framed(b"x", flag=1))
        event = await client.until(h2.events.ResponseReceived, stream_id)
        fields = dict(event.headers)
        assert fields["grpc-status"] == "12"
        assert fields["grpc-accept-encoding"] == "identity"


async def test_message_cut_by_half_close() -> None:
    async with kit.serve(grpc={ECHO: echo}) as port:
        client = await port.open_h2()
        stream_id = client.call(ECHO)
        client.send(stream_id, kit.framed(b"whole") + kit.framed(b"cut off")[:-1], ends=True)
        status, _ = await client.status(stream_id)
        assert status == "13"


async def test_messages_in_pieces_and_in_bulk() -> None:
    received = []

    async def collect(stream: transport.GrpcStream) -> None:
        while (message := await stream.receive()) is not None:
            received.append(message)

    async with kit.serve(grpc={"/a.B/C": collect}) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        sent = [b"", b"a", b"bc" * 500, b""]
        for byte in b"".join(map(kit.framed, sent)):
            client.h2.send_data(stream_id, bytes((byte,)))
        client.send(stream_id, b"".join(map(kit.framed, sent)), ends=True)
        assert await client.status(stream_id) == ("0", "")
        assert received == sent * 2


async def test_deadline_of_the_client() -> None:
    async def wait(stream: transport.GrpcStream) -> None:
        await asyncio.get_running_loop().create_future()

    async with kit.serve(grpc={"/a.B/C": wait}) as port:
        client = await port.open_h2()
        status, _ = await client.status(client.call("/a.B/C", grpc_timeout="50m"))
        assert status == "4"


async def test_tiny_windows_deliver_everything() -> None:
    payload = os.urandom(5000)

    async def send(stream: transport.GrpcStream) -> None:
        await stream.send([payload[:1], payload[1:4000], b"", payload[4000:]])

    async with kit.serve(grpc={"/a.B/C": send}) as port:
        client = await port.open_h2(window=7)
        stream_id = client.call("/a.B/C")
        received = b""
        while len(received) < 5005:
            event = await client.until(h2.events.DataReceived, stream_id)
            assert len(event.data) <= 7
            received += event.data
            client.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
            client.flush()
        assert received == kit.framed(payload)
        assert await client.status(stream_id) == ("0", "")


async def test_upload_larger_than_every_window() -> None:
    async with kit.serve(grpc={ECHO: echo}) as port, channel(port.number) as client:
        call = client.stream_stream(ECHO)()
        large = os.urandom(4 * 1024 * 1024 - 10)
        for _ in range(3):
            await call.write(large)
            assert await call.read() == large


async def test_a_handler_that_does_not_receive_stops_the_sender() -> None:
    async def ignore(stream: transport.GrpcStream) -> None:
        await asyncio.get_running_loop().create_future()

    async with kit.serve(grpc={"/a.B/C": ignore, ECHO: echo}) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        sent = 0
        # Half a window may be granted on top of what was announced; after that nothing more.
        for _ in range(3):
            while (room := client.h2.local_flow_control_window(stream_id)) > 5:
                size = min(room, 16_384) - 5
                client.send(stream_id, kit.framed(bytes(size)))
                sent += size + 5
            other = client.call(ECHO)
            client.send(other, kit.framed(b"still served"), ends=True)
            assert await client.status(other) == ("0", "")
        assert sent <= 3 * 256 * 1024


async def test_no_error_reset_after_an_early_end() -> None:
    async def end(stream: transport.GrpcStream) -> None:
        await stream.send([b"bye"])

    async with kit.serve(grpc={"/a.B/C": end}) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        assert await client.status(stream_id) == ("0", "")
        event = await client.until(h2.events.StreamReset, stream_id)
        assert event.error_code == h2.errors.ErrorCodes.NO_ERROR
