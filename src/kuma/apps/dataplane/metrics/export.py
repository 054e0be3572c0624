"""Sends metrics to OpenTelemetry collectors, at the pace that each backend of a MeshMetric asks for.

Nothing is kept for later: metrics are cumulative, so the next export says everything again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from kuma.apps.dataplane import log
from kuma.apps.dataplane.metrics.scraping import DEFAULT_SECONDS
from kuma.apps.dataplane.metrics.source import Source
from kuma.apps.dataplane.otel.routes import Route
from kuma.base import durations

_log = log.logger("metrics")


@dataclass(frozen=True, slots=True)
class Export:
    """One collector that wants metrics: its name, the way to it, nanoseconds between two exports."""

    name: str
    route: Route
    interval: int


class Exporter:
    """One loop an export, started and ended as the configuration says."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._wanted: dict[str, frozenset[Export]] = {}
        self._changed = asyncio.Event()

    def configure(self, document: str, exports: Iterable[Export]) -> None:
        """Exports to these from now on, in place of what the same document asked for."""
        self._wanted[document] = frozenset(exports)
        self._changed.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        running: dict[Export, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._changed.wait()
                self._changed.clear()
                wanted = frozenset[Export]().union(*self._wanted.values())
                for export in running.keys() - wanted:
                    running.pop(export).cancel()
                for export in wanted - running.keys():
                    running[export] = tasks.create_task(self._export(export))

    async def _export(self, export: Export) -> None:
        from kuma.apps.dataplane.otel import delivery

        interval = export.interval / durations.SECOND
        trouble = ""
        while True:
            await asyncio.sleep(interval)
            try:
                async for request in self._requests():
                    await delivery.deliver(export.route, "metrics", request)
            except Exception as error:  # whatever is wrong with metrics, the proxy lives on
                said = str(error) or type(error).__name__
                if said != trouble:
                    _log.warning("metrics did not reach the collector %s: %s", export.name, said)
                trouble = said
                continue
            if trouble:
                _log.info("metrics reach the collector %s again", export.name)
            trouble = ""

    async def _requests(self) -> AsyncIterator[bytes]:
        """One after the other: each is made, in a thread, when the one before has arrived."""
        from kuma.apps.dataplane.metrics import assembly

        if not self._source.is_configured:
            return  # the collector is known, and what it wants is not
        requests = assembly.as_requests(await self._source.scrape({}, DEFAULT_SECONDS), time.time_ns())
        while (request := await asyncio.to_thread(next, requests, None)) is not None:
            yield request
