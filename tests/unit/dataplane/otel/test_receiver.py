"""Collectors as the document at `/otel` says: sockets, routes, and what becomes of them when it changes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.dataplane.metrics.export import Export
from kuma.apps.dataplane.otel import delivery, receiver
from kuma.apps.dataplane.otel import environment as env
from kuma.apps.dataplane.wire import grpc_call
from kuma.base import durations
from tests.unit.dataplane.otel.collecting import Collector, collecting, log_request

ENABLED = {"enabled": True}


@dataclass(slots=True)
class Desk:
    """A receiver at work, and where it said that metrics go."""

    folder: Path
    receiver: receiver.Receiver
    exports: list[Export]

    def take_exports(self, exports: Sequence[Export]) -> None:
        self.exports[:] = exports

    def backend(self, name: str = "main", **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "socketPath": str(self.folder / name),
            "endpoint": "127.0.0.1:1",
            "useHTTP": False,
            **fields,
        }

    def take(self, *backends: dict[str, Any]) -> None:
        self.receiver.take(json.dumps({"backends": backends}).encode())

    async def call(self, request: bytes, method: str = delivery.METHODS["logs"], name: str = "main") -> None:
        """A call of Envoy's, as soon as there is a socket."""
        while not await asyncio.to_thread((self.folder / name).is_socket):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await grpc_call.call(grpc_call.Place(str(self.folder / name)), method, request, 10)


@contextlib.asynccontextmanager
async def receiving(folder: Path, environment: env.Environment = env.Environment()) -> AsyncIterator[Desk]:  # noqa: B008
    made = receiver.Receiver(environment, "")
    desk = Desk(folder, made, [])
    made.send_metrics(desk.take_exports)
    working = asyncio.ensure_future(made.run())
    try:
        async with asyncio.timeout(30):
            yield desk
            assert not working.done()
    finally:
        working.cancel()
        await asyncio.wait([working])


def at(collector: Collector) -> str:
    return f"127.0.0.1:{collector.port}"


async def test_logs_and_spans_are_handed_on(tmp_path: Path) -> None:
    async with collecting() as collector, receiving(tmp_path) as desk:
        desk.take(desk.backend(endpoint=at(collector), logs=ENABLED, traces=ENABLED))
        for signal in ("logs", "traces"):
            await desk.call(log_request("one", "two"), delivery.METHODS[signal])
            method, request, _ = await collector.got.get()
            assert (method, request) == (delivery.METHODS[signal], log_request("one", "two"))
        await desk.receiver.finish()
        assert desk.receiver.exposition().splitlines() == [
            "# TYPE kuma_dp_otel_records_sent_total counter",
            'kuma_dp_otel_records_sent_total{backend="main",signal="logs"} 2',
            'kuma_dp_otel_records_sent_total{backend="main",signal="traces"} 2',
            "# TYPE kuma_dp_otel_records_dropped_total counter",
            'kuma_dp_otel_records_dropped_total{backend="main",signal="logs"} 0',
            'kuma_dp_otel_records_dropped_total{backend="main",signal="traces"} 0',
        ]


async def test_without_collectors_there_is_nothing_to_show(tmp_path: Path) -> None:
    async with receiving(tmp_path) as desk:
        desk.receiver.take(None)
        assert desk.receiver.exposition() == ""


@pytest.mark.parametrize(
    ("signal", "request_bytes", "words"),
    [
        ("metrics", b"", "status 12: unknown method"),
        ("traces", b"", "status 9: no policy"),
        ("logs", b"\xff", "status 3: "),
    ],
)
async def test_calls_that_are_refused(tmp_path: Path, signal: str, request_bytes: bytes, words: str) -> None:
    async with receiving(tmp_path) as desk:
        desk.take(desk.backend(logs=ENABLED))
        with pytest.raises(grpc_call.Refused, match=words):
            await desk.call(request_bytes, delivery.METHODS[signal])


async def test_a_signal_that_lacks_its_variables_is_refused(tmp_path: Path) -> None:
    blocked = {"enabled": True, "blockedReasons": ["RequiredEnvMissing"]}
    async with collecting() as collector, receiving(tmp_path) as desk:
        desk.take(desk.backend(endpoint=at(collector), logs=blocked))
        with pytest.raises(grpc_call.Refused, match="status 9: RequiredEnvMissing"):
            await desk.call(log_request("no"))
        desk.take(desk.backend(endpoint=at(collector), logs=ENABLED))
        await desk.call(log_request("yes"))
        assert await collector.bodies(1) == ["yes"]


async def test_a_collector_that_moves_gets_what_waits(tmp_path: Path) -> None:
    async with collecting() as collector, receiving(tmp_path) as desk:
        desk.take(desk.backend(logs=ENABLED))
        await desk.call(log_request("early"))
        desk.take(desk.backend(endpoint=at(collector), logs=ENABLED))
        assert await collector.bodies(1) == ["early"]


async def test_what_waits_for_a_collector_that_is_taken_away_still_arrives(tmp_path: Path) -> None:
    async with collecting(opened=False) as collector, receiving(tmp_path) as desk:
        desk.take(desk.backend(endpoint=at(collector), logs=ENABLED), desk.backend("other", logs=ENABLED))
        await desk.call(log_request("last"))
        await desk.call(log_request("other"), name="other")
        desk.take(desk.backend("other", logs=ENABLED))
        while (tmp_path / "main").exists():  # noqa: ASYNC110
            await asyncio.sleep(0)
        collector.is_open.set()
        assert await collector.bodies(1) == ["last"]
        with pytest.raises(OSError, match="No such file"):
            await grpc_call.call(grpc_call.Place(str(tmp_path / "main")), "/x", b"", 10)
        while 'sent_total{backend="main",signal="logs"} 1' not in desk.receiver.exposition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_variables_for_a_signal(tmp_path: Path) -> None:
    async with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": at(collector), "OTEL_EXPORTER_OTLP_HEADERS": "key=k"}
        async with receiving(tmp_path, env.read(variables)) as desk:
            desk.take(desk.backend(logs=ENABLED, envPolicy={"mode": "Optional", "allowSignalOverrides": True}))
            await desk.call(log_request("x"))
            _, _, metadata = await collector.got.get()
            assert metadata["key"] == "k"


async def test_where_metrics_go(tmp_path: Path) -> None:
    async with receiving(tmp_path) as desk:
        desk.take(
            desk.backend(metrics={"enabled": True, "refreshInterval": "5s"}, endpoint="otel:1"),
            desk.backend("blocked", metrics={"enabled": True, "missingFields": ["endpoint"]}),
            desk.backend("logs", logs=ENABLED),
            desk.backend("other", metrics=ENABLED, useHTTP=True, path="/x"),
        )
        first, second = desk.exports
        assert (first.name, first.route.host, first.interval) == ("main", "otel", 5 * durations.SECOND)
        assert (second.name, second.route.path, second.interval) == ("other", "/x/v1/metrics", durations.MINUTE)
        desk.receiver.take(None)
        assert desk.exports == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metrics": {"enabled": True, "refreshInterval": "soon"}}, r"backends\[0\]\.metrics\.refreshInterval"),
        ({"endpoint": "otel"}, r"backends\[0\]\.endpoint"),
        ({"socketPath": 5}, r"\$\.backends\[0\]\.socketPath"),
    ],
)
async def test_a_document_that_makes_no_sense_changes_nothing(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    async with receiving(tmp_path) as desk:
        desk.take(desk.backend(metrics=ENABLED))
        with pytest.raises(ValueError, match=words):
            desk.take(desk.backend(**change))
        assert [each.name for each in desk.exports] == ["main"]


async def test_a_socket_that_cannot_be_made_ends_no_agent(tmp_path: Path) -> None:
    async with collecting() as collector, receiving(tmp_path) as desk:
        nowhere = {"socketPath": str(tmp_path / "missing" / "s")}
        desk.take(desk.backend("bad", **nowhere), desk.backend(endpoint=at(collector), logs=ENABLED))
        await desk.call(log_request("x"))
        assert await collector.bodies(1) == ["x"]
