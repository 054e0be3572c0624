"""One export: what is sent over gRPC and HTTP, and what the answers mean."""

import gzip
from pathlib import Path

import grpc
import pytest

from kuma.apps.dataplane.otel import delivery, routes
from tests.kit import pki
from tests.unit.dataplane.otel.collecting import collecting
from tests.unit.dataplane.servers import answering, http

HEADERS = (("authorization", "Bearer x"),)


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_over_grpc(is_compressed: bool) -> None:
    async with collecting() as collector:
        route = routes.Route(host="127.0.0.1", port=collector.port, headers=HEADERS, is_compressed=is_compressed)
        for signal in delivery.METHODS:
            await delivery.deliver(route, signal, b"request")
            method, request, metadata = await collector.got.get()
            assert (method, request, metadata["authorization"]) == (delivery.METHODS[signal], b"request", "Bearer x")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, ConnectionError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ConnectionError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ConnectionError),
        (grpc.StatusCode.UNIMPLEMENTED, delivery.Refused),
        (grpc.StatusCode.UNAUTHENTICATED, delivery.Refused),
        (grpc.StatusCode.INVALID_ARGUMENT, delivery.Refused),
    ],
)
async def test_refusals_over_grpc(status: grpc.StatusCode, error: type[Exception]) -> None:
    async with collecting(status) as collector:
        with pytest.raises(error, match="not now"):
            await delivery.deliver(routes.Route(host="127.0.0.1", port=collector.port), "logs", b"")


async def test_over_http() -> None:
    async with answering(http(200)) as server:
        route = routes.Route(host="127.0.0.1", port=server.port, path="/base/v1/logs", headers=HEADERS)
        await delivery.deliver(route, "logs", b"request")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/v1/logs HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer x\r\ncontent-type: application/x-protobuf\r\n" in head
    assert b"content-encoding" not in head
    assert body == b"request"


async def test_compressed_over_http() -> None:
    async with answering(http(202)) as server:
        route = routes.Route(host="127.0.0.1", port=server.port, path="/v1/logs", is_compressed=True)
        await delivery.deliver(route, "logs", b"request" * 100)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"\r\ncontent-encoding: gzip" in head
    assert gzip.decompress(body) == b"request" * 100


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, OSError), (502, OSError), (503, OSError), (504, OSError), (400, delivery.Refused), (307, delivery.Refused)],
)
async def test_refusals_over_http(status: int, error: type[Exception]) -> None:
    async with answering(http(status)) as server:
        with pytest.raises(error, match=f"HTTP status {status}"):
            await delivery.deliver(routes.Route(host="127.0.0.1", port=server.port, path="/v1/logs"), "logs", b"")


async def test_a_collector_has_to_prove_who_it_is(tmp_path: Path) -> None:
    ca = pki.issue([], ca=True, name="collectors")
    own = pki.issue([], ca, hosts=("localhost",))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(ca.cert)
    credentials = grpc.ssl_server_credentials([(own.key, own.cert)])
    async with collecting(credentials=credentials) as collector:
        trusting = routes.Route(host="localhost", port=collector.port, is_tls=True, roots=str(roots))
        await delivery.deliver(trusting, "logs", b"request")
        assert (await collector.got.get())[1] == b"request"
        with pytest.raises(OSError, match="certificate verify failed"):
            await delivery.deliver(routes.Route(host="localhost", port=collector.port, is_tls=True), "logs", b"")
        missing = routes.Route(host="localhost", port=collector.port, is_tls=True, roots=str(tmp_path / "none"))
        with pytest.raises(FileNotFoundError):
            await delivery.deliver(missing, "logs", b"")
