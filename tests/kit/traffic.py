"""Clients of applications in the mesh: one call per protocol, and traffic that goes on while something happens."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events

from tests.kit import echoes, network, planes

Target = tuple[str, int]
SECONDS = 10.0
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def get(target: Target, path: str = "/", **headers: str) -> planes.Answer:
    """One HTTP/1.1 request on a new connection."""
    return planes.ask(*target, "GET", path, headers=headers, timeout=SECONDS)


def status(target: Target) -> int:
    """The status of one request; 0 where the connection breaks."""
    try:
        return get(target).status
    except OSError:
        return 0


def until_status(target: Target, *wanted: int) -> None:
    """Waits until a request is answered with one of these statuses; 0 stands for a broken connection."""

    def answered() -> bool:
        found = status(target)
        assert found in wanted, f"status {found}"
        return True

    network.until(f"status {wanted} from {target}", answered)


def headers_seen(target: Target) -> dict[str, str]:
    """The headers that reached the application."""
    answer = get(target)
    assert answer.status == 200, answer.text
    found: dict[str, str] = answer.document["headers"]
    return found


def tcp(target: Target, message: bytes = b"hello") -> bytes:
    """What comes back for a message on a new connection; short where the connection breaks."""
    with contextlib.closing(socket.create_connection(target, SECONDS)) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):  # a refusal; what came is the answer
            connection.sendall(message)
            while len(received) < len(message) and (part := connection.recv(65_536)):
                received += part
        return received


def http2(target: Target, body: bytes = b"hello") -> tuple[int, bytes]:
    """Status and body of one HTTP/2 request with prior knowledge; ConnectionError where the connection breaks."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "echo"), (":path", "/")]
    connection.send_headers(1, fields)
    connection.send_data(1, body, end_stream=True)
    answered, received = 0, b""
    with contextlib.closing(socket.create_connection(target, SECONDS)) as sock:
        sock.sendall(connection.data_to_send())
        while part := sock.recv(65_536):
            for event in connection.receive_data(part):
                if isinstance(event, h2.events.ResponseReceived):
                    answered = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    received += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    return answered, received
            sock.sendall(connection.data_to_send())
    raise ConnectionResetError("closed before the answer ended")


def unary(target: Target, message: bytes = b"hello") -> bytes:
    """One unary gRPC call; grpc.RpcError where it fails."""
    with grpc.insecure_channel(f"{target[0]}:{target[1]}", _OWN_CONNECTION) as channel:
        answer: bytes = channel.unary_unary(echoes.UNARY)(message, timeout=SECONDS)
        return answer


def chat(target: Target, messages: list[bytes]) -> list[bytes]:
    """A gRPC stream in both directions, each message sent when the one before was answered."""
    answered = threading.Semaphore(1)

    def say() -> Iterator[bytes]:
        for each in messages:
            assert answered.acquire(timeout=SECONDS)
            yield each

    heard = []
    with grpc.insecure_channel(f"{target[0]}:{target[1]}", _OWN_CONNECTION) as channel:
        for each in channel.stream_stream(echoes.CHAT)(say(), timeout=SECONDS):
            heard.append(each)
            answered.release()
    return heard


def check(protocol: str, target: Target) -> None:
    """Talks the protocol; AssertionError, OSError or RpcError where that does not work."""
    large = b"x" * 200_000
    if protocol == "tcp":
        assert tcp(target, large) == large
    elif protocol == "http":
        answer = planes.ask(*target, "POST", "/a?b=c", large)
        assert answer.status == 200, answer.text
        assert (answer.document["path"], len(answer.document["body"])) == ("/a?b=c", len(large))
    elif protocol == "http2":
        assert http2(target) == (200, b"hello")
    else:
        assert unary(target, large) == large
        assert chat(target, [b"one", b"two", large]) == [b"one", b"two", large]


def until_works(protocol: str, target: Target) -> None:
    """Waits until the protocol works end to end."""

    def works() -> bool:
        try:
            check(protocol, target)
        except grpc.RpcError as failure:
            raise AssertionError(str(failure)) from None
        return True

    network.until(f"{protocol} to {target} works", works)


class Traffic:
    """Requests without a pause, on one kept connection and on new ones, from two threads until `stop`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stopping = threading.Event()
        self._more = threading.Condition()
        self.failures: list[str] = []
        self.answered = {"kept": 0, "new": 0}
        loops: tuple[Callable[[], None], ...] = (self._kept, self._new)
        self._threads = [threading.Thread(target=each, daemon=True) for each in loops]

    def start(self) -> "Traffic":
        """Starts sending."""
        for each in self._threads:
            each.start()
        return self

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()
        for each in self._threads:
            each.join()

    def until_more(self, count: int = 20) -> None:
        """Waits until that many further requests were answered on each of the two ways."""
        wanted = {way: seen + count for way, seen in self.answered.items()}
        with self._more:
            reached = self._more.wait_for(
                lambda: bool(self.failures) or all(self.answered[way] >= wanted[way] for way in wanted),
                network.PATIENCE,
            )
        assert reached, f"only {self.answered}, wanted {wanted}"
        assert not self.failures, self.failures[:5]

    def _kept(self) -> None:
        connection = http.client.HTTPConnection(*self._target, timeout=SECONDS)
        with contextlib.closing(connection):
            while not self._stopping.is_set():
                self._once("kept", connection)

    def _new(self) -> None:
        while not self._stopping.is_set():
            with contextlib.closing(http.client.HTTPConnection(*self._target, timeout=SECONDS)) as connection:
                self._once("new", connection)

    def _once(self, way: str, connection: Any) -> None:
        problem = ""
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or json.loads(body)["path"] != "/":
                problem = f"{way}: {answer.status} {body[:200]!r}"
        except (OSError, http.client.HTTPException) as failure:
            problem = f"{way}: {failure!r}"
            connection.close()
        with self._more:
            if problem:
                self.failures.append(problem)
            else:
                self.answered[way] += 1
            self._more.notify_all()
        self._stopping.wait(0.005)


@contextlib.contextmanager
def flowing(target: Target) -> Iterator[Traffic]:
    """Traffic for the time of the block; none of its requests may fail."""
    running = Traffic(target).start()
    try:
        running.until_more()
        yield running
    finally:
        running.stop()
    assert not running.failures, running.failures[:5]
