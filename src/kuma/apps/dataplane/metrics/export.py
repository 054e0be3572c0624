"""Sends metrics to OpenTelemetry collectors, at the pace that each backend of a MeshMetric asks for.

Nothing is kept for later: metrics are cumulative, so the next export says everything again.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kuma.apps.dataplane import log
from kuma.apps.dataplane.metrics.scraping import DEFAULT_SECONDS
from kuma.apps.dataplane.metrics.source import Source
from kuma.base import durations

if TYPE_CHECKING:
    from kuma.apps.dataplane.metrics.config import Backend

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

_CALL_SECONDS = 10.0

_log = log.logger("metrics")


class Exporter:
    """One loop a backend, started and ended as the configuration says."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._wanted: frozenset[Backend] = frozenset()
        self._changed = asyncio.Event()

    def configure(self, backends: "Sequence[Backend]") -> None:
        """Exports to these from now on, those of type OpenTelemetry."""
        self._wanted = frozenset(each for each in backends if each.open_telemetry is not None)
        self._changed.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        running: dict[Backend, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for backend in running.keys() - self._wanted:
                    running.pop(backend).cancel()
                for backend in self._wanted - running.keys():
                    running[backend] = tasks.create_task(self._export_to(backend))

    async def _export_to(self, backend: "Backend") -> None:
        from kuma.apps.dataplane import grpc_call

        assert backend.open_telemetry is not None
        socket, name = backend.open_telemetry.endpoint, backend.name or backend.open_telemetry.endpoint
        interval = backend.interval / durations.SECOND
        trouble = ""
        while True:
            await asyncio.sleep(interval)
            try:
                for request in await self._requests():
                    await grpc_call.call(socket, METHOD, request, _CALL_SECONDS)
            except Exception as error:  # whatever is wrong with metrics, the proxy lives on
                said = str(error) or type(error).__name__
                if said != trouble:
                    _log.warning("metrics did not reach the collector %s: %s", name, said)
                trouble = said
                continue
            if trouble:
                _log.info("metrics reach the collector %s again", name)
            trouble = ""

    async def _requests(self) -> list[bytes]:
        from kuma.apps.dataplane.metrics import assembly

        texts = await self._source.scrape({}, DEFAULT_SECONDS)
        return await asyncio.to_thread(assembly.as_requests, texts, time.time_ns())
