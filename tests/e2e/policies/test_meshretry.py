"""Requests, calls and connections are tried again, as often and after such failures as a policy says."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.kit import acting, echoes, network, planes, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshretry")]

ALL = {"kind": "Mesh"}
FAST = {"baseInterval": "1ms", "maxInterval": "2ms"}


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane) as made:
        made.second.kill()  # one instance says all that happens
        network.until("the instance is gone", lambda: len(made.web.endpoints("echo")) == 1)
        yield made


def to(conf: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"targetRef": ALL, "default": conf}]


def asked(cast: acting.Cast, answers: list[int], method: str) -> tuple[int, int]:
    """The status that the client sees of one request, and how often the application was asked."""
    cast.one.answers = deque(answers)
    cast.one.seen.clear()
    found = planes.ask(*cast.web.url("echo"), method, "/", timeout=traffic.SECONDS)
    cast.one.answers.clear()
    return found.status, cast.one.seen["/"]


ROWS: dict[str, tuple[dict[str, Any], list[int], str, tuple[int, int]]] = {
    "until it works": ({"numRetries": 3, "retryOn": ["5xx"]}, [500, 500], "GET", (200, 3)),
    "not for ever": ({"numRetries": 2, "retryOn": ["5xx"]}, [500, 500, 500, 500], "GET", (500, 3)),
    "after a status": ({"numRetries": 2, "retryOn": ["429"]}, [429], "GET", (200, 2)),
    "by default": ({"numRetries": 2}, [503], "GET", (200, 2)),
    "with a method": ({"numRetries": 2, "retryOn": ["5xx", "HttpMethodPost"]}, [500], "POST", (200, 2)),
    "with a method alone": ({"numRetries": 2, "retryOn": ["HttpMethodPost"]}, [503], "POST", (200, 2)),
    "without a base interval": (
        {"numRetries": 2, "retryOn": ["5xx"], "backOff": {"maxInterval": "30ms"}},
        [500],
        "GET",
        (200, 2),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_requests(cast: acting.Cast, row: str) -> None:
    conf, answers, method, expected = ROWS[row]
    assert asked(cast, answers, method)[1] == 1
    with cast.mesh.policy("MeshRetry", to=to({"http": {"backOff": FAST, **conf}})):
        network.until(f"status and attempts {expected}", lambda: asked(cast, answers, method) == expected)
    network.until("once again without retries", lambda: asked(cast, answers, method)[1] == 1)


@pytest.mark.parametrize(
    ("retry_on", "answers", "method", "others"),
    [(["5xx", "HttpMethodPost"], [500], "GET", [500]), (["GatewayError"], [500], "POST", [503])],
)
def test_requests_that_are_not_tried_again(
    cast: acting.Cast, retry_on: list[str], answers: list[int], method: str, others: list[int]
) -> None:
    conf = {"http": {"numRetries": 2, "retryOn": retry_on, "backOff": FAST}}
    with cast.mesh.policy("MeshRetry", to=to(conf)):
        network.until("others are", lambda: asked(cast, others, "POST") == (200, 2))
        assert asked(cast, answers, method) == (answers[0], 1)


def test_a_header_that_nothing_fits_keeps_all_requests_from_being_tried_again(cast: acting.Cast) -> None:
    header = {"type": "RegularExpression", "name": "user-agent", "value": "(?=no expression)"}
    conf = {"numRetries": 2, "retryOn": ["5xx"], "retriableRequestHeaders": [header]}
    with cast.mesh.policy("MeshRetry", to=to({"http": conf})):
        cast.web.until_told("10ffff")
        assert asked(cast, [500], "GET") == (500, 1)


@pytest.mark.parametrize(
    ("conf", "code"),
    [
        ({"numRetries": 3}, grpc.StatusCode.UNAVAILABLE),
        ({"numRetries": 3, "retryOn": ["Canceled"]}, grpc.StatusCode.CANCELLED),
        ({"numRetries": 3, "retryOn": ["DeadlineExceeded"]}, grpc.StatusCode.DEADLINE_EXCEEDED),
        ({"numRetries": 3, "retryOn": ["Internal"]}, grpc.StatusCode.INTERNAL),
        ({"numRetries": 3, "retryOn": ["ResourceExhausted"]}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_calls(cast: acting.Cast, conf: dict[str, Any], code: grpc.StatusCode) -> None:
    def answered() -> bool:
        cast.grpc.answers = deque([code, code])
        cast.grpc.seen.clear()
        try:
            assert traffic.unary(cast.web.url("grpc")) == b"hello"
        except grpc.RpcError as failure:
            raise AssertionError(str(failure)) from None
        return cast.grpc.seen[echoes.UNARY] == 3

    with cast.mesh.policy("MeshRetry", to=to({"grpc": {"backOff": FAST, **conf}})):
        network.until(f"{code} is tried again", answered)


def test_connections(cast: acting.Cast) -> None:
    """One of two endpoints is not there; whoever tries again finds the other one."""

    def works(count: int) -> list[bool]:
        return [traffic.tcp(cast.web.url("tcp")) == b"hello" for _ in range(count)]

    cast.ghost("tcp", "tcp")
    network.until("some connections fail", lambda: not all(works(4)))
    with cast.mesh.policy("MeshRetry", to=to({"tcp": {"maxConnectAttempt": 5}})):
        network.until("all connections work", lambda: all(works(12)))
