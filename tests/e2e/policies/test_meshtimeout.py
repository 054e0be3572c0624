"""Timeouts run out: of requests, streams, headers and idle connections, for destinations and for single clients."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import acting, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshtimeout")]

ALL = {"kind": "Mesh"}
ECHO = {"kind": "MeshService", "name": "echo"}


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane, mtls=True) as made:
        yield made


def until_given_up(client: sidecars.Sidecar, status: int) -> None:
    """Waits until requests that nobody answers end with a status."""

    def given_up() -> bool:
        found = acting.held(client)
        assert found == status
        return True

    network.until(f"{client.name} gets {status}", given_up)


def to(conf: dict[str, Any], target: dict[str, Any] = ECHO) -> list[dict[str, Any]]:
    return [{"targetRef": target, "default": conf}]


ROWS = {
    "request": (lambda after: {"http": {"requestTimeout": after}}, 504),
    "idle stream": (lambda after: {"http": {"requestTimeout": "0s", "streamIdleTimeout": after}}, 504),
    "whole stream": (lambda after: {"http": {"requestTimeout": "0s", "maxStreamDuration": after}}, 504),
}
AFTER = {row: 200 + at for at, row in enumerate(ROWS)}
"""Milliseconds: each test has its own, to be told from those before."""


@pytest.mark.parametrize("row", ROWS)
def test_requests_to_a_destination(cast: acting.Cast, row: str) -> None:
    conf, status = ROWS[row]
    with cast.mesh.policy("MeshTimeout", to=to(conf(f"{AFTER[row]}ms"))):
        cast.web.until_told(f'"0.{AFTER[row]}s"')
        until_given_up(cast.web, status)
        assert traffic.status(cast.web.url("echo")) == 200


@pytest.mark.parametrize("row", ROWS)
def test_requests_to_an_application(cast: acting.Cast, row: str) -> None:
    conf, status = ROWS[row]
    with cast.mesh.policy("MeshTimeout", rules=[{"default": conf(f"{AFTER[row]}ms")}]):
        for server in (cast.first, cast.second):
            server.until_told(f'"0.{AFTER[row]}s"')
        until_given_up(cast.web, status)
        assert traffic.status(cast.web.url("echo")) == 200


@pytest.mark.parametrize(
    ("kind", "value", "millis"), [("Exact", "web", 210), ("Prefix", "we", 211)], ids=["exact", "prefix"]
)
def test_a_rule_about_one_client_is_no_rule_for_another(cast: acting.Cast, kind: str, value: str, millis: int) -> None:
    match = {"spiffeID": {"type": kind, "value": f"spiffe://{cast.mesh.name}/{value}"}}
    rules = [
        {"default": {"http": {"requestTimeout": "0s"}}},
        {"matches": [match], "default": {"http": {"requestTimeout": f"{millis}ms"}}},
    ]
    with cast.mesh.policy("MeshTimeout", rules=rules):
        for server in (cast.first, cast.second):
            server.until_told(f'"0.{millis}s"')
        until_given_up(cast.web, 504)
        network.until("the other is kept waiting", lambda: _is_kept_waiting(cast.job))


def _is_kept_waiting(client: sidecars.Sidecar) -> bool:
    try:
        acting.held(client, patience=1)
    except TimeoutError:
        return True
    return False


def test_headers_that_do_not_arrive(cast: acting.Cast) -> None:
    conf = {"http": {"requestTimeout": "5s", "requestHeadersTimeout": "200ms"}}

    def answer() -> bytes:
        with socket.create_connection(cast.web.url("echo"), 2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            return connection.recv(65_536)

    with cast.mesh.policy("MeshTimeout", to=to(conf)):
        network.until("a request without end is refused", lambda: answer().startswith(b"HTTP/1.1 408"))


def test_a_connection_that_lies_idle(cast: acting.Cast) -> None:
    def is_closed() -> bool:
        with socket.create_connection(cast.web.url("tcp"), 2) as connection:
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"
            return connection.recv(1) == b""

    with pytest.raises(TimeoutError):
        is_closed()
    with cast.mesh.policy("MeshTimeout", to=to({"idleTimeout": "300ms"}, ALL)):
        network.until("an idle connection is closed", is_closed)


def test_the_more_important_policy_counts(cast: acting.Cast) -> None:
    short, long = {"http": {"requestTimeout": "200ms"}}, {"http": {"requestTimeout": "0s"}}
    with cast.mesh.policy("MeshTimeout", to=[*to(long, ALL), *to(short)]):
        until_given_up(cast.web, 504)
