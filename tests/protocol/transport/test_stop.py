"""A stop lets work end for a while, says what happens, and leaves nothing behind."""

import asyncio
import dataclasses

import grpc
import h2.events
import pytest

from kuma import transport
from tests.kit import port as kit


async def echo_once(stream: transport.GrpcStream) -> None:
    message = await stream.receive()
    await stream.send([message or b""])


async def echo_twice(stream: transport.GrpcStream) -> None:
    await echo_once(stream)
    await echo_once(stream)


async def test_a_running_call_ends_by_itself_within_the_grace() -> None:
    async with kit.serve(grpc={"/a.B/C": echo_once}) as port:
        client = await port.open_h2()
        stream_id = client.call("/a.B/C")
        client.h2.ping(b"opened??")
        client.flush()
        await client.until(h2.events.PingAckReceived)
        async with asyncio.TaskGroup() as group:
            group.create_task(port.server.stop(10))
            event = await client.until(h2.events.ConnectionTerminated)
            assert (event.error_code, event.last_stream_id) == (0, stream_id)
            with pytest.raises(ConnectionError):
                await port.open("h2")
            # h2 lets nothing out after GOAWAY, so the message is written past it.
            client.writer.write(b"\x00\x00\x06\x00\x01" + stream_id.to_bytes(4, "big") + kit.framed(b"x"))
            assert kit.framed(b"x") in await kit.closed(client.reader)
        assert port.server.connections == 0


async def test_a_call_that_outlives_the_grace_is_unavailable() -> None:
    async with kit.serve(grpc={"/a.B/C": echo_once}) as port:
        client = await port.open_h2()
        client.call("/a.B/C")
        client.h2.ping(b"opened??")
        client.flush()
        await client.until(h2.events.PingAckReceived)
        async with asyncio.TaskGroup() as group:
            group.create_task(port.server.stop(0.05))
            received = await kit.closed(client.reader)
        assert b"\x0bgrpc-status\x0214" in received
        assert port.server.connections == 0


async def test_requests_in_flight() -> None:
    started = asyncio.Queue[str]()

    async def app(scope, receive, send) -> None:
        await receive()
        started.put_nowait(scope["http_version"])
        await asyncio.get_running_loop().create_future()

    async with kit.serve(app=app) as port:
        client = await port.open_h2()
        client.request("/x")
        reader, writer = await port.open("http/1.1")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert {await started.get(), await started.get()} == {"1.1", "2"}
        async with asyncio.TaskGroup() as group:
            group.create_task(port.server.stop(0.05))
            assert b":status\x03503" in await kit.closed(client.reader)
            await kit.closed(reader)


async def test_idle_connections_are_closed_at_once() -> None:
    unhurried = dataclasses.replace(kit.BRISK, linger_seconds=30)
    async with kit.serve(limits=unhurried) as port:
        clients = [await port.open_tcp(), await port.open("http/1.1"), await port.open("h2")]
        h2_client = await port.open_h2()
        await h2_client.until(h2.events.StreamEnded, h2_client.request("/x"))

        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await kit.closed(reader)
            writer.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(port.server.stop(10))
            for reader, writer in [*clients, (h2_client.reader, h2_client.writer)]:
                group.create_task(leave(reader, writer))
        assert port.server.connections == 0


async def test_stop_without_start_and_stop_twice() -> None:
    async with kit.serve() as port:
        await port.server.stop(0)
        await port.server.stop(0)
    never = transport.Server(
        asgi_app=kit.answer, grpc={}, ssl_context=kit.server_context(), limits=kit.BRISK, on_refused=print
    )
    await never.stop(0)


async def test_grpcio_hears_why_its_call_ended() -> None:
    credentials = grpc.ssl_channel_credentials(kit.certificate()[0])
    async with (
        kit.serve(grpc={"/a.B/C": echo_twice}) as port,
        grpc.aio.secure_channel(f"localhost:{port.number}", credentials) as channel,
    ):
        call = channel.stream_stream("/a.B/C")()
        await call.write(b"x")
        assert await call.read() == b"x"
        await port.server.stop(0.05)
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert await call.details() == "the server is stopping"
