"""How soon do real Envoys do what a REST call says? `python -m bench.propagation [--rounds N]`

A control plane on SQLite and two sidecars, web and api, with mutual TLS. Time runs from the moment before the REST call
until a request of web to api, over one connection that stays open, is answered differently. A new endpoint is a
Dataplane that names a second, waiting port of api's proxy; it has arrived with the first request that reaches it.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import figures, planes

ROUNDS = 20
TARGET_MS = 200.0
PAUSE_SECONDS = 0.001
WATCH_SECONDS = 0.5
"""How long a removed endpoint is watched for requests that still reach it."""
MESH = "/meshes/bench"
WEB, API = "127.0.77.2", "127.0.77.3"


class _Application(http.server.BaseHTTPRequestHandler):
    """Answers every request with the name of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second must not wait for an ACK of 40 ms

    def do_GET(self) -> None:
        body = self.server.server_name.encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads a line a request."""


@contextlib.contextmanager
def application(name: str) -> Iterator[int]:
    """An HTTP server that says `name`; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    server.daemon_threads = True
    server.server_name = name
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Client:
    """What the application behind the web proxy does: requests to api over one connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(WEB, self._port, timeout=10)

    def ask(self) -> tuple[int, str]:
        """Status and body of one request; a connection that Envoy closed between two requests is opened again."""
        try:
            self._connection.request("GET", "/")
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return 0, ""

    def until(self, wanted: Callable[[int, str], bool], what: str) -> float:
        """When a request was first answered so, by `time.perf_counter`; SystemExit where that does not happen."""
        deadline = time.perf_counter() + planes.PATIENCE
        while True:
            status, body = self.ask()
            now = time.perf_counter()
            if wanted(status, body):
                return now
            if now > deadline:
                raise SystemExit(f"{what}: not within {planes.PATIENCE:.0f} s, the last answer was {status} {body!r}")
            time.sleep(PAUSE_SECONDS)


def dataplane(name: str, address: str, inbounds: dict[str, tuple[int, int]], outbound: int = 0) -> dict[str, Any]:
    """A Dataplane whose inbounds are port and application port by service; `outbound` leads to api."""
    networking: dict[str, Any] = {
        "address": address,
        "admin": {"port": planes.free_port(address)},
        "inbound": [
            {
                "port": port,
                "servicePort": behind,
                "serviceAddress": "127.0.0.1",
                "tags": {"kuma.io/service": service, "kuma.io/protocol": "http"},
            }
            for service, (port, behind) in inbounds.items()
        ],
    }
    if outbound:
        networking["outbound"] = [{"address": address, "port": outbound, "tags": {"kuma.io/service": "api"}}]
    return {"type": "Dataplane", "mesh": "bench", "name": name, "networking": networking}


@contextlib.contextmanager
def sidecar(plane: planes.Plane, document: dict[str, Any]) -> Iterator[None]:
    """kuma-dp with a real Envoy for a Dataplane that it brings along."""
    name, folder = document["name"], plane.folder / document["name"]
    folder.mkdir()
    command = [planes.script("kuma-dp"), "run", "--cp-address", f"https://127.0.0.1:{plane.dp_port}"]
    command += ["--ca-cert-file", str(plane.ca_file), "--dataplane", json.dumps(document), "--work-dir", str(folder)]
    command += ["--concurrency", "1", "--drain-time", "1s"]
    readiness = {"KUMA_READINESS_PORT": str(planes.free_port())}
    log = plane.folder / f"{name}.log"
    with planes.program(command, log, readiness) as process:
        listening = [(document["networking"]["address"], each["port"]) for each in document["networking"]["inbound"]]

        def is_up() -> bool:
            if process.poll() is not None:
                raise SystemExit(f"kuma-dp ended:\n{log.read_text()[-3000:]}")
            return all(map(_accepts, listening))

        planes.until(is_up, f"the proxy {name} listens")
        yield


def _accepts(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False


def permission() -> dict[str, Any]:
    """web may call whatever there is."""
    client = {"kind": "MeshSubset", "tags": {"kuma.io/service": "web"}}
    spec = {"targetRef": {"kind": "Mesh"}, "from": [{"targetRef": client, "default": {"action": "Allow"}}]}
    return {"type": "MeshTrafficPermission", "mesh": "bench", "name": "web", "spec": spec}


@contextlib.contextmanager
def two_proxies(plane: planes.Plane) -> Iterator[tuple[Client, dict[str, Any]]]:
    """Everything in place: a client whose requests reach `first`, and the Dataplane that leads them to `second`."""
    mtls = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}
    plane.rest.put(MESH, {"type": "Mesh", "name": "bench", "mtls": mtls, "skipCreatingInitialPolicies": ["*"]})
    plane.rest.put(f"{MESH}/meshtrafficpermissions/web", permission())
    with application("first") as first, application("second") as second, contextlib.ExitStack() as stack:
        port, waiting, outbound = planes.free_port(API), planes.free_port(API), planes.free_port(WEB)
        api = dataplane("api", API, {"api": (port, first), "spare": (waiting, second)})
        web = dataplane("web", WEB, {"web": (planes.free_port(WEB), 1)}, outbound)
        stack.enter_context(sidecar(plane, api))
        stack.enter_context(sidecar(plane, web))
        client = Client(outbound)
        client.until(lambda status, _: status == 200, "web reaches api")
        yield client, dataplane("api-2", API, {"api": (waiting, second)})


def measure(plane: planes.Plane, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round, by what changed."""
    found: dict[str, list[float]] = {
        "permission taken": [],
        "permission given": [],
        "endpoint added": [],
        "endpoint gone": [],
    }
    rest = plane.rest
    path, members = f"{MESH}/meshtrafficpermissions/web", f"{MESH}/dataplanes/api-2"
    with two_proxies(plane) as (client, second):
        for _ in range(rounds):
            begin = time.perf_counter()
            rest.delete(path)
            found["permission taken"].append(client.until(lambda status, _: status == 403, "a refusal") - begin)
            begin = time.perf_counter()
            rest.put(path, permission())
            found["permission given"].append(client.until(lambda status, _: status == 200, "an answer") - begin)
        for _ in range(rounds):
            begin = time.perf_counter()
            rest.put(members, second)
            found["endpoint added"].append(client.until(lambda _, body: body == "second", "the endpoint") - begin)
            begin = last = time.perf_counter()
            rest.delete(members)
            while time.perf_counter() < begin + WATCH_SECONDS:
                last = time.perf_counter() if client.ask()[1] == "second" else last
                time.sleep(PAUSE_SECONDS)
            found["endpoint gone"].append(last - begin)
    return {name: [1000 * each for each in delays] for name, delays in found.items()}


def run(rounds: int = ROUNDS) -> list[figures.Figure]:
    """Median and maximum of each change, in milliseconds."""
    with planes.control_plane(planes.cores(), STORE_TYPE="sqlite") as plane:
        found = measure(plane, rounds)
    out = []
    for name, delays in found.items():
        out.append(figures.Figure(f"propagation: {name}, median", statistics.median(delays), "ms", TARGET_MS))
        out.append(figures.Figure(f"propagation: {name}, max", max(delays), "ms"))
    return out


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    print(figures.table(run(options.parse_args().rounds)))


if __name__ == "__main__":
    main()
