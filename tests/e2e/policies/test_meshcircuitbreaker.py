"""Limits are kept, and instances that fail are left out for a while."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import acting, network, planes, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshcircuitbreaker")]

ECHO = {"kind": "MeshService", "name": "echo"}
TCP = {"kind": "MeshService", "name": "tcp"}
GOOD, BAD = (200, "one"), (503, "two")


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane) as made:
        yield made


def to(target: dict[str, Any], conf: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"targetRef": target, "default": conf}]


@contextlib.contextmanager
def waiting(cast: acting.Cast, target: traffic.Target, count: int) -> Iterator[None]:
    """Requests that are under way for the time of the block, and answered well in the end."""
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(planes.ask(*target, "GET", acting.HELD, timeout=traffic.SECONDS).status)

    for each in (cast.one, cast.two):
        each.hold()
    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for each in (cast.one, cast.two):
            each.let_go()
        for thread in threads:
            thread.join()
    assert statuses == [200] * count


def test_requests_beyond_the_limit_are_refused_at_once(cast: acting.Cast) -> None:
    def held() -> int:
        return cast.one.seen[acting.HELD] + cast.two.seen[acting.HELD]

    def second_is_refused() -> bool:
        before = held()
        with waiting(cast, cast.web.url("echo"), 1):
            network.until("one is under way", lambda: held() == before + 1, seconds=3)
            answer = traffic.get(cast.web.url("echo"))
            return answer.status == 503 and answer.headers["x-envoy-overloaded"] == "true"

    with cast.mesh.policy("MeshCircuitBreaker", to=to(ECHO, {"connectionLimits": {"maxRequests": 1}})):
        network.until("a second is refused", second_is_refused)
        assert traffic.status(cast.web.url("echo")) == 200


def test_an_application_is_not_asked_for_more_than_it_bears(cast: acting.Cast) -> None:
    conf = {"connectionLimits": {"maxConnections": 1, "maxPendingRequests": 1}}
    target = cast.first.inbound("echo")
    with cast.mesh.policy("MeshCircuitBreaker", {"kind": "Dataplane", "name": "one"}, rules=[{"default": conf}]):
        network.until("a third is refused", lambda: _third_is_refused(cast, target))
        assert traffic.status(target) == 200


def _third_is_refused(cast: acting.Cast, target: traffic.Target) -> bool:
    """With one request under way and one that waits for it."""
    with waiting(cast, target, 2):
        network.until("one is under way", lambda: _gauge(cast, "upstream_rq_active") == 1, seconds=3)
        network.until("one is waiting", lambda: _gauge(cast, "upstream_rq_pending_active") == 1, seconds=3)
        return traffic.status(target) == 503


def _gauge(cast: acting.Cast, name: str) -> int:
    return cast.first.stat(f"cluster.localhost_{cast.one.port}.{name}")


def test_connections_beyond_the_limit_are_closed(cast: acting.Cast) -> None:
    with cast.mesh.policy("MeshCircuitBreaker", to=to(TCP, {"connectionLimits": {"maxConnections": 1}})):
        cast.web.until_told('"max_connections": 1,')
        with contextlib.closing(socket.create_connection(cast.web.url("tcp"), traffic.SECONDS)) as connection:
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"
            assert traffic.tcp(cast.web.url("tcp")) == b""
        traffic.until_works("tcp", cast.web.url("tcp"))


DETECTORS = {
    "errors": {"totalFailures": {"consecutive": 2}},
    "gateway errors": {"gatewayFailures": {"consecutive": 2}},
    "share of errors": {"failurePercentage": {"minimumHosts": 1, "requestVolume": 3, "threshold": 50}},
}


@pytest.mark.parametrize("row", DETECTORS)
def test_an_instance_that_fails_is_left_out(cast: acting.Cast, row: str) -> None:
    detection = {
        "interval": "200ms",
        "baseEjectionTime": "1m",
        "maxEjectionPercent": 50,
        "healthyPanicThreshold": 0,
        "detectors": DETECTORS[row],
    }
    cast.two.fails = True
    try:
        network.until("both answer", lambda: cast.answers() == {GOOD, BAD})
        with cast.mesh.policy("MeshCircuitBreaker", to=to(ECHO, {"outlierDetection": detection})):
            network.until("only the good one answers", lambda: cast.answers() == {GOOD})
            assert cast.web.stat("cluster.echo.outlier_detection.ejections_active") == 1
        network.until("both answer again", lambda: cast.answers() == {GOOD, BAD})
    finally:
        cast.two.fails = False


def test_a_detector_that_is_turned_off_leaves_nobody_out(cast: acting.Cast) -> None:
    detection = {"disabled": True, "detectors": {"totalFailures": {"consecutive": 1}}}
    conf = {"connectionLimits": {"maxRetries": 7}, "outlierDetection": detection}
    cast.two.fails = True
    try:
        with cast.mesh.policy("MeshCircuitBreaker", to=to(ECHO, conf)):
            cast.web.until_told('"max_retries": 7,')
            assert cast.answers(40) == {GOOD, BAD}
    finally:
        cast.two.fails = False
