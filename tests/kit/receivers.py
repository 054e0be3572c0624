"""Whoever gets telemetry: a collector that speaks OTLP, one that speaks Zipkin, a receiver of lines. In threads."""

import contextlib
import gzip
import json
import socketserver
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_SERVICES: dict[str, tuple[str, Any]] = {
    "logs": ("opentelemetry.proto.collector.logs.v1.LogsService", ExportLogsServiceRequest),
    "metrics": ("opentelemetry.proto.collector.metrics.v1.MetricsService", ExportMetricsServiceRequest),
    "traces": ("opentelemetry.proto.collector.trace.v1.TraceService", ExportTraceServiceRequest),
}


class Otlp:
    """A collector: the requests it got, by signal, and path and headers of those over HTTP.

    A record is what libraries call a `scope`'s content.
    """

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.requests: dict[str, list[Any]] = {name: [] for name in _SERVICES}

    @property
    def logs(self) -> list[tuple[dict[str, str], str, dict[str, str]]]:
        """Resource attributes, body and attributes of each record."""
        return [
            (_texts(group.resource.attributes), record.body.string_value, _texts(record.attributes))
            for request in self.requests["logs"]
            for group in request.resource_logs
            for library in group.instrumentation_library_logs
            for record in library.logs
        ]

    @property
    def spans(self) -> list[tuple[dict[str, str], str, dict[str, str]]]:
        """Resource attributes, name and attributes of each span."""
        return [
            (_texts(group.resource.attributes), span.name, _texts(span.attributes))
            for request in self.requests["traces"]
            for group in request.resource_spans
            for library in group.instrumentation_library_spans
            for span in library.spans
        ]

    @property
    def metrics(self) -> set[str]:
        """The names of all metrics."""
        return {
            metric.name
            for request in self.requests["metrics"]
            for group in request.resource_metrics
            for library in group.instrumentation_library_metrics
            for metric in library.metrics
        }


def _texts(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextlib.contextmanager
def otlp(port: int = 0) -> Iterator[Otlp]:
    """A collector on 127.0.0.1 for the time of the block, at a port that is free where none is given. It speaks gRPC."""
    made = Otlp()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for signal, (service, message) in _SERVICES.items():

        def take(raw: bytes, _: Any, signal: str = signal, message: Any = message) -> bytes:
            made.requests[signal].append(message.FromString(raw))
            return b""

        methods = {"Export": grpc.unary_unary_rpc_method_handler(take)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    made.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield made
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def otlp_http() -> Iterator[Otlp]:
    """A collector on 127.0.0.1 for the time of the block. It speaks HTTP, and takes compressed requests."""
    made = Otlp()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            signal = self.path.rpartition("/")[2]
            made.requests[signal].append(_SERVICES[signal][1].FromString(body))
            made.heads.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        made.port = port
        yield made


class Lines:
    """A receiver of lines over TCP."""

    def __init__(self) -> None:
        self.port = 0
        self.lines: list[str] = []


@contextlib.contextmanager
def lines() -> Iterator[Lines]:
    """A receiver of lines on 127.0.0.1 for the time of the block."""
    made = Lines()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                made.lines.append(line.decode().rstrip("\n"))

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        made.port = port
        yield made


class Zipkin:
    """A collector that takes spans as JSON; `paths` are those that were posted to."""

    def __init__(self) -> None:
        self.port = 0
        self.spans: list[dict[str, Any]] = []
        self.paths: set[str] = set()


@contextlib.contextmanager
def zipkin() -> Iterator[Zipkin]:
    """A collector on 127.0.0.1 for the time of the block."""
    made = Zipkin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            made.paths.add(self.path)
            made.spans += json.loads(self._body())
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def _body(self) -> bytes:
            """Envoy sends chunks (RFC 9112 section 7.1)."""
            if "content-length" in self.headers:
                return self.rfile.read(int(self.headers["content-length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        made.port = port
        yield made


@contextlib.contextmanager
def metrics(text: str) -> Iterator[int]:
    """An application that offers these metrics at any path, on a port of 127.0.0.1, for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextlib.contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
