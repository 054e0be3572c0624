"""Metrics on their way to a collector: which are sent, how often, and what a broken collector costs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from kuma.apps.dataplane.metrics import assembly
from kuma.apps.dataplane.otel import delivery
from tests.unit.dataplane.metrics.conftest import Envoy, config, metering


@contextlib.asynccontextmanager
async def collecting(
    path: Path, *statuses: grpc.StatusCode
) -> AsyncIterator[asyncio.Queue[ExportMetricsServiceRequest]]:
    """A collector on a Unix socket; it answers with these, then with success."""
    received: asyncio.Queue[ExportMetricsServiceRequest] = asyncio.Queue()
    left = list(statuses)

    async def take(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        received.put_nowait(ExportMetricsServiceRequest.FromString(request))
        if left:
            await context.abort(left.pop(0), "not now")
        return b""

    service, method = delivery.METHODS["metrics"][1:].split("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(take)})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield received
    finally:
        await server.stop(None)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest interval is a second; here nobody waits for it."""
    monkeypatch.setattr("kuma.apps.dataplane.metrics.config.SMALLEST_INTERVAL", 1)


def backend(path: Path, interval: str = "1ms") -> dict[str, Any]:
    return {
        "type": "OpenTelemetry",
        "name": "main",
        "openTelemetry": {"endpoint": str(path), "refreshInterval": interval},
    }


def names(request: ExportMetricsServiceRequest) -> list[str]:
    return [each.name for each in request.resource_metrics[0].instrumentation_library_metrics[0].metrics]


@pytest.mark.usefixtures("at_once")
async def test_metrics_arrive_again_and_again(envoy: Envoy, tmp_path: Path) -> None:
    socket = tmp_path / "otel.sock"
    async with collecting(socket) as received, metering(envoy, tmp_path) as reader:
        reader.meters.take(config(backends=[backend(socket), {"type": "Prometheus"}], extraLabels={"mesh": "m"}))
        first, second = await received.get(), await received.get()
    assert names(first) == names(second) == ["envoy_cluster_upstream_rq_total", "own"]
    point = first.resource_metrics[0].instrumentation_library_metrics[0].metrics[0].sum.data_points[0]
    assert [(each.key, each.value.string_value) for each in point.attributes] == [
        ("envoy_cluster_name", "web-0123456789abcdef"),
        ("mesh", "m"),
    ]


@pytest.mark.usefixtures("at_once")
async def test_a_collector_that_refuses_is_asked_again_and_named_once(
    envoy: Envoy, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    caplog.set_level(logging.INFO, "kuma-dp")
    socket = tmp_path / "otel.sock"
    refusals = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    async with collecting(socket, *refusals) as received, metering(envoy, tmp_path) as reader:
        reader.meters.take(config(backends=[backend(socket)]))
        for _ in range(5):
            await received.get()
    assert [each.message for each in caplog.records] == [
        "metrics did not reach the collector main: gRPC status 14: not now",
        "metrics reach the collector main again",
    ]


@pytest.mark.usefixtures("at_once")
async def test_backends_come_and_go(envoy: Envoy, tmp_path: Path) -> None:
    one, other = tmp_path / "one.sock", tmp_path / "other.sock"
    async with collecting(one) as first, collecting(other) as second, metering(envoy, tmp_path) as reader:
        reader.meters.take(config(backends=[backend(one), backend(tmp_path / "nobody.sock")]))
        await first.get()
        reader.meters.take(config(backends=[backend(other)]))
        await second.get()
        while not first.empty():
            first.get_nowait()
        for _ in range(5):
            await second.get()
        assert first.empty()
        reader.meters.take(None)
        assert (await reader.ask("/meshmetric")).status == 503


@pytest.mark.usefixtures("at_once")
async def test_metrics_that_cannot_be_written_end_no_agent(
    envoy: Envoy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = assembly.as_requests, [ValueError("a strange number")]

    def fail_first(*asked: Any) -> list[bytes]:
        if failures:
            raise failures.pop()
        return write(*asked)

    monkeypatch.setattr(assembly, "as_requests", fail_first)
    socket = tmp_path / "otel.sock"
    async with collecting(socket) as received, metering(envoy, tmp_path) as reader:
        reader.meters.take(config(backends=[backend(socket)]))
        assert names(await received.get())
    assert not failures
