"""Instances that say they are ill, or say nothing, get no requests until they are well again."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.kit import acting, network, planes, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshhealthcheck")]

ALL = {"kind": "Mesh"}
PACE = {
    "interval": "200ms",
    "noTrafficInterval": "200ms",
    "timeout": "1s",
    "unhealthyThreshold": 1,
    "healthyThreshold": 1,
    "healthyPanicThreshold": 0,
}
ONE, TWO = (200, "one"), (200, "two")


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane, mtls=True) as made:
        yield made


def to(conf: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"targetRef": ALL, "default": {**PACE, **conf}}]


def test_an_instance_that_is_ill_is_left_out_until_it_is_well(cast: acting.Cast) -> None:
    cast.two.is_well = False
    assert cast.answers() == {ONE, TWO}
    with cast.mesh.policy("MeshHealthCheck", to=to({"http": {"path": acting.HEALTH}})):
        network.until("only the one that is well answers", lambda: cast.answers() == {ONE})
        cast.two.is_well = True
        network.until("both answer", lambda: cast.answers() == {ONE, TWO})
        cast.one.is_well = False
        network.until("only the other answers", lambda: cast.answers() == {TWO})
    cast.one.is_well = True
    assert cast.one.seen[acting.HEALTH] > 0


def test_an_answer_is_good_where_it_is_expected(cast: acting.Cast) -> None:
    cast.two.is_well = False
    check = {"path": acting.HEALTH, "expectedStatuses": [503]}
    with cast.mesh.policy("MeshHealthCheck", to=to({"http": check})):
        network.until("only the one with that answer is used", lambda: cast.answers() == {TWO})
    cast.two.is_well = True
    network.until("both answer", lambda: cast.answers() == {ONE, TWO})


def test_calls_ask_the_health_service(cast: acting.Cast) -> None:
    def code() -> grpc.StatusCode:
        try:
            traffic.unary(cast.web.url("grpc"))
        except grpc.RpcError as failure:
            return failure.code()
        return grpc.StatusCode.OK

    cast.grpc.is_well = False
    with cast.mesh.policy("MeshHealthCheck", to=to({"grpc": {}})):
        network.until("nobody is asked", lambda: code() is grpc.StatusCode.UNAVAILABLE)
        cast.grpc.is_well = True
        network.until("calls work", lambda: code() is grpc.StatusCode.OK)


@pytest.mark.parametrize("check", [{}, {"send": "ping", "receive": ["ping"]}])
def test_connections_go_to_who_is_there(cast: acting.Cast, check: dict[str, Any]) -> None:
    cast.ghost("tcp", "tcp")

    def works(count: int) -> list[bool]:
        return [traffic.tcp(cast.web.url("tcp")) == b"hello" for _ in range(count)]

    network.until("some connections fail", lambda: not all(works(4)))
    with cast.mesh.policy("MeshHealthCheck", to=to({"tcp": check})):
        network.until("all connections work", lambda: all(works(12)))


def test_where_the_own_check_is_turned_off_connections_are_tried(cast: acting.Cast) -> None:
    cast.two.is_well = False
    cast.ghost("echo", "http")
    network.until(
        "nobody answers some requests", lambda: (503, "one") not in cast.answers() and len(cast.answers()) == 3
    )
    with cast.mesh.policy("MeshHealthCheck", to=to({"http": {"disabled": True}, "tcp": {}})):
        network.until("those answer who are there", lambda: cast.answers() == {ONE, TWO})
    cast.two.is_well = True
