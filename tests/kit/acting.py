"""Applications that behave as a test says: refuse, fail a number of times, keep a client waiting, be ill.

And a mesh of them: two instances of one service and two clients, without any policy but a permission for all.
"""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc

from tests.kit import echoes, meshes, network, planes, sidecars, traffic

HELD, HEALTH = "/held", "/health"
_SERVING = {True: b"\x08\x01", False: b"\x08\x02"}
"""`grpc.health.v1.HealthCheckResponse` with its status."""


class Part:
    """What an application is told to do, and what was asked of it.

    `answers` are the next answers, one for each request; then all is well. Requests for `/held` wait for `let_go`.
    `is_well` is what `/health` and gRPC's health service say, `fails` answers everything else with 503.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.answers: deque[Any] = deque()
        self.seen: Counter[str] = Counter()
        self.is_well = True
        self.fails = False
        self._gone = threading.Event()

    def hold(self) -> None:
        """Makes requests wait again."""
        self._gone.clear()

    def let_go(self) -> None:
        """Answers all that are waiting; later ones do not wait."""
        self._gone.set()

    def status_for(self, path: str) -> int:
        """The status of a request; waits where it should be kept waiting."""
        self.seen[path] += 1
        if path == HEALTH:
            return 200 if self.is_well else 503
        if path == HELD:
            self._gone.wait()
        if self.fails:
            return 503
        return int(self.answers.popleft()) if self.answers else 200


@contextlib.contextmanager
def http(name: str) -> Iterator[Part]:
    """An application that speaks HTTP/1.1 and answers with its name, for the time of the block."""
    part = Part(name)
    server = echoes.HttpServer(("127.0.0.1", 0), type("_Bound", (_Handler,), {"part": part}))
    part.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield part
    finally:
        part.let_go()
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    part: Part

    def _any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        status = self.part.status_for(self.path)
        raw = self.part.name.encode()
        with contextlib.suppress(OSError):  # the client gave up
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    do_GET = do_POST = _any

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def calls(name: str) -> Iterator[Part]:
    """A gRPC application with `echo.Echo/Unary` and gRPC's health service; `answers` are status codes of gRPC."""
    part = Part(name)

    def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
        part.seen[echoes.UNARY] += 1
        if part.answers:
            context.abort(part.answers.popleft(), "as told")
        return request

    def health(_: bytes, context: grpc.ServicerContext) -> bytes:
        return _SERVING[part.is_well]

    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler("echo.Echo", {"Unary": grpc.unary_unary_rpc_method_handler(unary)}),
            grpc.method_handlers_generic_handler(
                "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(health)}
            ),
        ]
    )
    part.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield part
    finally:
        server.stop(None).wait()


class Cast:
    """Servers `one` and `two` of service `echo`, a server of `grpc` and `tcp` beside `one`, clients `web` and `job`."""

    SERVICES = ("echo", "grpc", "tcp")

    def __init__(self, mesh: meshes.Mesh, stack: contextlib.ExitStack, *, mtls: bool = False) -> None:
        self.mesh = mesh
        if mtls:
            mesh.write(mtls=meshes.mtls())
        mesh.permit()
        mesh.forget("meshtimeouts", "meshretries", "meshcircuitbreakers")
        self.one, self.two = (stack.enter_context(http(name)) for name in ("one", "two"))
        self.grpc = stack.enter_context(calls("grpc"))
        inbounds = {"echo": (self.one.port, "http"), "grpc": (self.grpc.port, "grpc"), "tcp": mesh.echo("tcp").inbound}
        self.first = mesh.sidecar("one", inbounds=inbounds).launch()
        self.second = mesh.sidecar("two", inbounds={"echo": (self.two.port, "http")}).launch()
        self.web, self.job = (
            mesh.sidecar(name, inbounds={name: (1, "http")}, outbounds=self.SERVICES).launch()
            for name in ("web", "job")
        )
        for each in mesh.sidecars:
            each.ready()
        for client in (self.web, self.job):
            network.until("both instances are known", lambda to=client: len(to.endpoints("echo")) == 2)
            traffic.until_works("tcp", client.url("tcp"))

    def ghost(self, service: str, protocol: str) -> None:
        """A further endpoint of a service, with nobody there."""
        address = network.own_address()
        inbound = {
            "port": network.free_port(address),
            "tags": {"kuma.io/service": service, "kuma.io/protocol": protocol},
        }
        networking = {"address": address, "inbound": [inbound]}
        self.mesh.plane.put(
            {"type": "Dataplane", "mesh": self.mesh.name, "name": f"ghost-{service}", "networking": networking}
        )

    def answers(self, count: int = 12) -> set[tuple[int, str]]:
        """Statuses and names of the instances that answer `web`."""
        return {(each.status, each.text) for each in (traffic.get(self.web.url("echo")) for _ in range(count))}


def held(client: sidecars.Sidecar, patience: float = 2.0) -> int:
    """The status of a request that the application does not answer; TimeoutError where nobody else does."""
    return planes.ask(*client.url("echo"), "GET", HELD, timeout=patience).status


@contextlib.contextmanager
def cast(plane: planes.Plane, *, mtls: bool = False) -> Iterator[Cast]:
    """The cast in a mesh of its own, ready to play."""
    with contextlib.ExitStack() as stack:
        mesh = stack.enter_context(meshes.mesh(plane))
        yield Cast(mesh, stack, mtls=mtls)
