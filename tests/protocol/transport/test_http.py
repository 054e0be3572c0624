"""HTTP on the port: the same application over HTTP/1.1, HTTP/2, and without ALPN; bounded bodies; garbage."""

import asyncio
import http.client
import json
import os

import h2.errors
import h2.events
import pytest
import urllib3

from kuma import transport
from kuma.transport import frames, headers
from tests.kit import port as kit

LARGE = transport.Limits().body_bytes + 1


def connection(number: int, *alpn: str) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("localhost", number, context=kit.client_context(*alpn), timeout=10)


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("unknown/1",)], ids=["no ALPN", "http/1.1", "no common one"])
async def test_http1_requests_on_one_connection(alpn: tuple[str, ...]) -> None:
    def talk(number: int) -> list[tuple[int, bytes]]:
        client = connection(number, *alpn)
        answers = []
        for method, path, body in (("GET", "/a%20b?q=1", b""), ("POST", "/c", os.urandom(300_000))):
            client.request(method, path, body)
            response = client.getresponse()
            answers.append((response.status, response.read()))
        return answers

    async with kit.serve() as port:
        assert await asyncio.to_thread(talk, port.number) == [
            (200, b"1.1 GET /a b 0"),
            (200, b"1.1 POST /c 300000"),
        ]
        assert port.refused == []


async def test_urllib3_chunked_upload() -> None:
    def talk(number: int) -> bytes:
        with urllib3.PoolManager(ssl_context=kit.client_context()) as pool:
            return pool.request("PUT", f"https://localhost:{number}/x", body=iter([b"ab", b"cd"])).data

    async with kit.serve() as port:
        assert await asyncio.to_thread(talk, port.number) == b"1.1 PUT /x 4"


async def test_http1_body_above_the_limit() -> None:
    def talk(number: int, chunked: bool) -> tuple[int, dict[str, object]]:
        client = connection(number)
        body = bytes(LARGE)
        client.request("PUT", "/x", iter([body]) if chunked else body, encode_chunked=chunked)
        response = client.getresponse()
        return response.status, json.loads(response.read())

    async with kit.serve() as port:
        for chunked in (False, True):
            status, problem = await asyncio.to_thread(talk, port.number, chunked)
            assert (status, problem["status"]) == (413, 413)
        assert port.refused == ["body_too_large"] * 2


async def test_http2_request_and_response() -> None:
    async with kit.serve() as port:
        client = await port.open_h2()
        stream_id = client.request("/a%20b?x=y")
        response = await client.until(h2.events.ResponseReceived, stream_id)
        assert dict(response.headers)[":status"] == "200"
        assert (await client.until(h2.events.DataReceived, stream_id)).data == b"2 GET /a b 0"
        await client.until(h2.events.StreamEnded, stream_id)
        stream_id = client.request("/b", ends=False, method="POST", content_length="40000")
        client.send(stream_id, bytes(40_000), ends=True)
        assert (await client.until(h2.events.DataReceived, stream_id)).data == b"2 POST /b 40000"


async def test_scope_of_a_request() -> None:
    seen = {}

    async def app(scope, receive, send) -> None:
        seen.update(scope)
        await kit.answer(scope, receive, send)

    async with kit.serve(app=app) as port:
        client = await port.open_h2()
        await client.until(h2.events.StreamEnded, client.request("/a%2Fb?x=%20", accept="*/*"))
    assert seen["type"] == "http"
    assert seen["http_version"] == "2"
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a/b", b"/a%2Fb", b"x=%20")
    assert seen["headers"] == [(b"host", b"localhost"), (b"accept", b"*/*")]
    assert seen["scheme"] == "https"
    assert seen["client"][0] == "127.0.0.1"
    assert seen["server"][0] == "127.0.0.1"


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "counted"])
async def test_http2_body_above_the_limit(announced: bool) -> None:
    limits = transport.Limits(body_bytes=1000, tick_seconds=0.02)
    async with kit.serve(limits=limits) as port:
        client = await port.open_h2()
        fields = {"content_length": "1001"} if announced else {}
        stream_id = client.request("/x", ends=False, method="PUT", **fields)
        client.send(stream_id, bytes(1001))
        response = await client.until(h2.events.ResponseReceived, stream_id)
        assert dict(response.headers)[":status"] == "413"
        assert (await client.until(h2.events.StreamReset, stream_id)).error_code == h2.errors.ErrorCodes.NO_ERROR
        assert port.refused == ["body_too_large"]
        assert (await client.until(h2.events.ResponseReceived, client.request("/y"))).headers


async def test_http2_slow_body() -> None:
    limits = transport.Limits(message_seconds=0.1, tick_seconds=0.02)
    async with kit.serve(limits=limits) as port:
        client = await port.open_h2()
        stream_id = client.request("/x", ends=False, method="PUT")
        client.send(stream_id, b"a")
        response = await client.until(h2.events.ResponseReceived, stream_id)
        assert dict(response.headers)[":status"] == "408"
        assert port.refused == ["slow_message"]


async def test_head_has_no_body() -> None:
    async with kit.serve() as port:
        client = await port.open_h2()
        stream_id = client.request("/x", method="HEAD")
        response = await client.until(h2.events.ResponseReceived, stream_id)
        assert dict(response.headers)["content-length"] == "11"
        await client.until(h2.events.StreamEnded, stream_id)
        assert not any(isinstance(event, h2.events.DataReceived) for event in client.events)


@pytest.mark.parametrize("starts", [False, True], ids=["before the response", "within the response"])
async def test_failing_application(starts: bool) -> None:
    async def app(scope, receive, send) -> None:
        if starts:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise RuntimeError("secret")

    async with kit.serve(app=app) as port:
        client = await port.open_h2()
        stream_id = client.request("/x")
        if starts:
            event = await client.until(h2.events.StreamReset, stream_id)
            assert event.error_code == h2.errors.ErrorCodes.INTERNAL_ERROR
        else:
            response = await client.until(h2.events.ResponseReceived, stream_id)
            assert dict(response.headers)[":status"] == "500"


async def test_application_hears_that_the_client_left() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send) -> None:
        assert (await receive())["type"] == "http.request"
        asked.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with kit.serve(app=app) as port:
        client = await port.open_h2()
        stream_id = client.request("/x")
        await asyncio.wait_for(asked.wait(), 10)
        client.h2.reset_stream(stream_id)
        client.flush()
        await asyncio.wait_for(left.wait(), 10)


async def test_large_response_in_chunks() -> None:
    chunk = os.urandom(100_000)

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Upper", b"1")]})
        for number in range(20):
            await send({"type": "http.response.body", "body": chunk, "more_body": number < 19})

    async with kit.serve(app=app) as port:
        client = await port.open_h2(window=2**20)
        stream_id = client.request("/x")
        received = b""
        while len(received) < 2_000_000:
            event = await client.until(h2.events.DataReceived, stream_id)
            received += event.data
            client.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
            client.flush()
        assert received == chunk * 20
        await client.until(h2.events.StreamEnded, stream_id)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x00" * 100, os.urandom(64), b"\x16\x03\x01\xff\xff" + bytes(50)],
    ids=["plain HTTP", "zeros", "noise", "half a record"],
)
async def test_garbage_instead_of_a_handshake(garbage: bytes) -> None:
    limits = transport.Limits(handshake_seconds=0.2, tick_seconds=0.02)
    async with kit.serve(limits=limits) as port:
        reader, writer = await port.open_tcp()
        writer.write(garbage)
        await kit.closed(reader)
        assert port.refused in (["tls_handshake_failed"], ["slow_tls_handshake"])
        client = await port.open_h2()
        await client.until(h2.events.StreamEnded, client.request("/x"))


async def test_garbage_after_a_handshake_with_http1() -> None:
    async with kit.serve() as port:
        reader, writer = await port.open("http/1.1")
        writer.write(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert (await kit.closed(reader)).startswith(b"HTTP/1.1 400 ")
        assert port.refused == ["malformed"]


async def test_tokens_stay_out_of_debug_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with kit.serve() as port:
        reader, writer = await port.open("h2")
        block = headers.encode(
            [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b"authorization", b"Bearer hush")]
        )
        writer.write(frames.PREFACE + frames.settings_frame({}) + frames.frame(frames.Type.HEADERS, 5, 1, block))
        received = b""
        while b"2 GET / 0" not in received:
            received += await asyncio.wait_for(reader.read(65_536), 10)
    assert "hush" not in caplog.text
