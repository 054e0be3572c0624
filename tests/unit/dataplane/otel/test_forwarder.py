"""Requests on their way to a collector: none is lost while it lives, and what is lost is counted."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import grpc
import pytest

from kuma.apps.dataplane.otel import forwarder as forwarding
from kuma.apps.dataplane.otel import routes
from tests.unit.dataplane.otel.collecting import bodies_of, collecting, log_request


@contextlib.asynccontextmanager
async def forwarding_to(port: int) -> AsyncIterator[forwarding.Forwarder]:
    """A forwarder at work whose clock stands still."""
    made = forwarding.Forwarder("main", "logs", routes.Route(host="127.0.0.1", port=port), lambda: 1.0)
    working = asyncio.ensure_future(made.run())
    try:
        async with asyncio.timeout(30):
            yield made
            assert not working.done()
    finally:
        working.cancel()
        await asyncio.wait([working])


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    caplog.set_level(logging.INFO, "kuma-dp")
    return caplog


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits, be it for more or for another try."""
    monkeypatch.setattr(forwarding, "_GATHER", 0)
    monkeypatch.setattr(forwarding, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(forwarding, "_LONGEST_PAUSE", 0.001)


async def test_what_comes_during_an_export_goes_with_the_next() -> None:
    async with collecting(opened=False) as collector, forwarding_to(collector.port) as forwarder:
        assert forwarder.put(log_request("first"), 1)
        await collector.asked.wait()
        for each in range(20):
            assert forwarder.put(log_request(str(each), "x"), 2)
        collector.is_open.set()
        requests = [(await collector.got.get())[1] for _ in range(2)]
        await forwarder.finish(10)
        assert [len(bodies_of(each)) for each in requests] == [1, 40]
        assert (forwarder.sent, forwarder.dropped) == (41, 0)


async def test_an_export_is_never_too_large() -> None:
    async with collecting(opened=False) as collector, forwarding_to(collector.port) as forwarder:
        sizes = [100, 700_000, 300_000, 300_000, 100]
        for each in sizes:
            assert forwarder.put(log_request("x" * each), 1)
        collector.is_open.set()
        arrived = [[len(body) for body in bodies_of((await collector.got.get())[1])] for _ in range(2)]
        assert arrived == [[100, 700_000, 300_000], [300_000, 100]]


async def test_a_collector_that_is_away_is_tried_again(said: pytest.LogCaptureFixture) -> None:
    async with collecting() as gone:
        port = gone.port
    async with forwarding_to(port) as forwarder:
        for each in range(100):
            assert forwarder.put(log_request(str(each)), 1)
        while not said.records:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        async with collecting(grpc.StatusCode.UNAVAILABLE, port=port) as collector:
            assert await collector.bodies(100) == [str(each) for each in range(100)]
            await forwarder.finish(10)
    assert (forwarder.sent, forwarder.dropped) == (100, 0)
    first, *_, last = [each.message for each in said.records]
    assert first.startswith("the collector main does not take logs: ")
    assert last == "the collector main takes logs again"


async def test_another_way_is_taken_for_what_waits() -> None:
    async with collecting() as gone:
        port = gone.port
    async with forwarding_to(port) as forwarder, collecting() as collector:
        assert forwarder.put(log_request("moved"), 1)
        forwarder.route = routes.Route(host="127.0.0.1", port=collector.port)
        assert await collector.bodies(1) == ["moved"]


async def test_one_request_may_be_larger_than_what_may_wait(said: pytest.LogCaptureFixture) -> None:
    async with collecting() as collector, forwarding_to(collector.port) as forwarder:
        large = "x" * (forwarding.BACKLOG + 1)
        assert forwarder.put(log_request(large), 1)
        assert not forwarder.put(log_request("more"), 1)
        assert await collector.bodies(1) == [large]


async def test_what_waits_is_bounded_and_the_rest_counted(said: pytest.LogCaptureFixture) -> None:
    async with collecting(opened=False) as collector, forwarding_to(collector.port) as forwarder:
        request = log_request("x" * 1000)
        taken = sum(forwarder.put(request, 1) for _ in range(4000))
        assert taken == forwarding.BACKLOG // len(request)
        assert forwarder.dropped == 4000 - taken
        collector.is_open.set()
        assert len(await collector.bodies(taken)) == taken
        await forwarder.finish(10)
        assert (forwarder.sent, forwarder.put(request, 1)) == (taken, True)
    assert [each.message for each in said.records] == [
        "1 records (logs) for the collector main were dropped: too many wait"
    ]


async def test_what_a_collector_does_not_want_is_dropped(said: pytest.LogCaptureFixture) -> None:
    async with collecting(grpc.StatusCode.INVALID_ARGUMENT) as collector, forwarding_to(collector.port) as forwarder:
        assert forwarder.put(log_request("bad", "worse"), 2)
        await forwarder.finish(10)
        assert forwarder.put(log_request("good"), 1)
        assert await collector.bodies(1) == ["good"]
        await forwarder.finish(10)
        assert (forwarder.sent, forwarder.dropped) == (1, 2)
    assert [each.message for each in said.records] == [
        "2 records (logs) for the collector main were dropped: gRPC status 3: not now"
    ]


async def test_at_the_end_what_did_not_get_through_is_counted() -> None:
    async with collecting(opened=False) as collector, forwarding_to(collector.port) as forwarder:
        assert forwarder.put(log_request("late"), 1)
        await forwarder.finish(0.01)
        assert (forwarder.sent, forwarder.dropped) == (0, 1)
