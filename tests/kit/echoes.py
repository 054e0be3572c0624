"""Applications for the mesh: small servers on 127.0.0.1 that say what they received, one per protocol, in threads."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events

UNARY = "/echo.Echo/Unary"
CHAT = "/echo.Echo/Chat"


class Echo:
    """A running application."""

    def __init__(self, port: int, protocol: str) -> None:
        self.port = port
        self.protocol = protocol

    @property
    def inbound(self) -> tuple[int, str]:
        """As a sidecar wants to know it."""
        return self.port, self.protocol


@contextlib.contextmanager
def echo(protocol: str, name: str = "echo", port: int = 0) -> Iterator[Echo]:
    """An application that speaks `tcp`, `http`, `http2` or `grpc`, for the time of the block."""
    if protocol == "grpc":
        with _grpc() as number:
            yield Echo(number, protocol)
        return
    with _threaded(protocol, name, port) as number:
        yield Echo(number, protocol)


@contextlib.contextmanager
def _threaded(protocol: str, name: str, port: int) -> Iterator[int]:
    made: socketserver.TCPServer
    if protocol == "http":
        made = HttpServer(("127.0.0.1", port), _HttpHandler)
        made.app_name = name
    else:
        made = _Tcp(("127.0.0.1", port), {"tcp": _TcpHandler, "http2": _Http2Handler}[protocol])
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        made.server_close()
        made.hang_up()
        thread.join()


class _Connections:
    """A server that closes what is still open when it ends, as the end of a process would."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def process_request(self, request: Any, client_address: Any) -> None:
        self.__dict__.setdefault("open", set()).add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.__dict__.setdefault("open", set()).discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends all connections."""
        for each in list(self.__dict__.get("open", ())):
            with contextlib.suppress(OSError):  # closed meanwhile
                each.shutdown(socket.SHUT_RDWR)


class HttpServer(_Connections, ThreadingHTTPServer):
    """A server with a thread for each connection."""

    app_name = ""


class _Tcp(_Connections, socketserver.ThreadingTCPServer):
    pass


class _TcpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client hung up
            while part := self.request.recv(65_536):
                self.request.sendall(part)


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def _any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {key.lower(): value for key, value in self.headers.items()}
        said = {
            "app": self.server.app_name,
            "method": self.command,
            "path": self.path,
            "body": self.rfile.read(length).decode() if length else "",
            "headers": headers,
        }
        raw = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _any

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class _Http2Handler(socketserver.BaseRequestHandler):
    """HTTP/2 with prior knowledge; echoes the body."""

    def handle(self) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        with contextlib.suppress(OSError):  # the client hung up
            self.request.sendall(connection.data_to_send())
            while part := self.request.recv(65_536):
                for event in connection.receive_data(part):
                    self._take(connection, event, bodies)
                self.request.sendall(connection.data_to_send())

    @staticmethod
    def _take(connection: h2.connection.H2Connection, event: h2.events.Event, bodies: dict[int, bytes]) -> None:
        if isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/plain")])
            connection.send_data(event.stream_id, bodies.pop(event.stream_id, b""), end_stream=True)


@contextlib.contextmanager
def _grpc() -> Iterator[int]:
    def unary(request: bytes, _: grpc.ServicerContext) -> bytes:
        return request

    def chat(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
