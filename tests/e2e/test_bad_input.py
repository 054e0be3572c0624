"""Input that no port may take: refused in words, counted, and the others go on."""

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator

import grpc
import h2.config
import h2.connection
import pytest

from tests.kit import meshes, network, planes, streams, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MIB = 1024 * 1024


def refused(plane: planes.Plane, **labels: str) -> float:
    return plane.metric("kuma_refused_inputs_total", **labels)


def problems(answer: planes.Answer) -> str:
    document = answer.document
    assert document["status"] == answer.status
    return str(document["detail"])


def test_rest_refuses_what_it_cannot_take(shared_plane: planes.Plane) -> None:
    plane = shared_plane
    secret = {"type": "GlobalSecret", "name": "s", "data": "b3du"}
    too_large = json.dumps({**secret, "data": "A" * (4 * MIB)}).encode()
    before = refused(plane, boundary="rest")
    answers = {
        "too large": (plane.call("PUT", "/global-secrets/s", too_large), 413, "4194304"),
        "broken": (plane.call("PUT", "/global-secrets/s", b'{"type": '), 400, ""),
        "no object": (plane.call("PUT", "/global-secrets/s", b"[]"), 400, ""),
        "other name": (plane.call("PUT", "/global-secrets/other", secret), 400, ""),
        "unknown type in the body": (plane.call("PUT", "/meshes/m", {"type": "Nothing", "name": "m"}), 400, ""),
        "deep": (plane.call("PUT", "/meshes/m", b"[" * 100_000), 400, ""),
    }
    for what, (answer, status, words) in answers.items():
        assert answer.status == status, f"{what}: {answer.status} {answer.text}"
        assert words in problems(answer), what
    assert plane.call("PUT", "/nothings/n", {"type": "Nothing", "name": "n"}).status == 404
    assert refused(plane, boundary="rest") >= before + len(answers)
    answer = plane.call("PUT", "/meshes/Bad_Name", {"type": "Mesh", "name": "Bad_Name"})
    assert (answer.status, answer.document["invalid_parameters"][0]["field"]) == (400, "name")
    assert plane.call("GET", "/meshes").status == 200


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A control plane that waits for slow clients only a second."""
    brief = {f"API_SERVER_{name}_TIMEOUT": "1s" for name in ("READ", "READ_HEADER", "WRITE")}
    plane = planes.Plane(tmp_path_factory.mktemp("brisk"), **brief, DP_SERVER_READ_HEADER_TIMEOUT="1s")
    try:
        yield plane.start()
    finally:
        plane.end()


def test_clients_that_send_a_byte_now_and_then_are_cut_off(brisk: planes.Plane) -> None:
    heads = b"GET / HTTP/1.1\r\nhost: "
    body = b"PUT /meshes/m HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"
    assert not answered_slowly(brisk.api_port, None, heads, brisk), "slow headers on REST"
    assert answered_slowly(brisk.api_port, None, body, brisk) in ("", "408"), "slow body on REST"
    context = ssl.create_default_context(cafile=str(brisk.ca_file))
    context.check_hostname = False
    assert not answered_slowly(brisk.dp_port, context, heads, brisk), "slow headers on the port of proxies"
    assert refused(brisk, boundary="rest") >= 2
    assert refused(brisk, boundary="dp-server") >= 1


def answered_slowly(port: int, context: ssl.SSLContext | None, opening: bytes, plane: planes.Plane) -> str:
    """Status of the answer to a client that trickles on for ever; AssertionError where it is not cut off."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    connection = context.wrap_socket(raw) if context else raw
    with contextlib.closing(connection):
        connection.sendall(opening)
        received = b""

        def is_cut_off() -> bool:
            nonlocal received
            try:
                connection.sendall(b"x")
                connection.settimeout(0.2)
                part = connection.recv(4096)
            except TimeoutError:
                return False
            except OSError:
                return True
            received += part
            assert plane.call("GET", "/meshes").status == 200
            return not part

        network.until("it is cut off", is_cut_off)
    return received.split(b" ")[1].decode() if received.startswith(b"HTTP/") else ""


def test_a_client_that_sends_nothing_is_cut_off(brisk: planes.Plane) -> None:
    with socket.create_connection(("127.0.0.1", brisk.dp_port), network.PATIENCE) as silent:
        assert silent.recv(1) == b""


def test_a_stream_that_sends_nonsense_is_refused(shared_plane: planes.Plane) -> None:
    assert streams.end_after(shared_plane, b"\xff\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT
    assert streams.end_after(shared_plane, b"\0" * (5 * MIB)) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_streams_that_stop_reading_cost_no_memory_and_disturb_nobody(mesh: meshes.Mesh) -> None:
    """Each of them asks for everything and never opens its window, while the configuration changes again and again."""
    plane = mesh.plane
    outbounds = [
        {"address": "127.0.0.1", "port": 10_000 + each, "tags": {"kuma.io/service": f"s{each}"}} for each in range(300)
    ]
    web, _ = mesh.pair()
    with contextlib.ExitStack() as stack:
        for number in range(10):
            proxy = streams.dataplane(mesh.name, f"deaf-{number}")
            proxy["networking"]["outbound"] = outbounds
            plane.put(proxy)
            stack.enter_context(deaf_stream(plane, mesh.name, f"deaf-{number}"))
        before = memory(plane)
        with traffic.flowing(web.url("echo")) as requests:
            for round_ in range(30):
                proxy["networking"]["outbound"] = outbounds[: 100 + round_]
                plane.put({**proxy, "name": f"deaf-{round_ % 10}"})
            requests.until_more()
        assert memory(plane) - before < 40 * MIB
        network.until(
            "those who do not read are cut off",
            lambda: refused(plane, boundary="dp-server", reason="slow_reader") >= 10,
            60,
        )
        assert traffic.status(web.url("echo")) == 200


def memory(plane: planes.Plane) -> float:
    return plane.metric("process_resident_memory_bytes")


@contextlib.contextmanager
def deaf_stream(plane: planes.Plane, mesh: str, name: str) -> Iterator[None]:
    """An ADS stream over HTTP/2 whose windows stay shut."""
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    connection.update_settings({4: 0})
    raw = socket.create_connection(("127.0.0.1", plane.dp_port), 10)
    with contextlib.closing(context.wrap_socket(raw)) as secured:
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", streams.METHOD)]
        fields += [("content-type", "application/grpc"), ("te", "trailers")]
        fields += [("authorization", plane.token(mesh, name))]
        connection.send_headers(1, fields)
        connection.send_data(1, streams.framed(streams.opening(mesh, name)))
        secured.sendall(connection.data_to_send())
        network.until(f"{name} is online", lambda: plane.is_online(mesh, name))
        yield
