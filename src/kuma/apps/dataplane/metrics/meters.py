"""The metrics of one proxy as one part of the agent: told what is wanted, it answers Prometheus and feeds collectors."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from kuma.apps.dataplane.metrics.export import Export, Exporter
from kuma.apps.dataplane.metrics.hijacker import Hijacker
from kuma.apps.dataplane.metrics.scraping import Scraper, Target
from kuma.apps.dataplane.metrics.source import Source
from kuma.apps.dataplane.otel.routes import Route
from kuma.apps.dataplane.supervised.envoy import Admin

PATH = "/meshmetric"
"""Where Envoy serves the configuration."""

_LOCAL = "127.0.0.1"


class Meters:
    """Scrapes Envoy and applications for whoever asks.

    `address` is the proxy's own, `aggregate` what the Mesh's Prometheus backend names, `own` texts of the agent's metrics
    about itself.
    """

    def __init__(
        self,
        admin: Admin,
        address: str,
        is_redirected: bool,
        aggregate: Sequence[Target],
        own: Sequence[Callable[[], str]],
    ) -> None:
        self._source = Source(Scraper(admin, is_redirected), address or _LOCAL, own)
        self._hijacker = Hijacker(self._source, tuple(aggregate))
        self._exporter = Exporter(self._source)

    def take(self, body: bytes | None) -> None:
        """Follows the configuration that Envoy serves, None where there is none. ValueError where it makes no sense."""
        if body is None:
            self._source.configure(None)
            self._exporter.configure(PATH, ())
            return
        from kuma.apps.dataplane.metrics.config import read_config

        wanted = read_config(body)
        self._source.configure(wanted)
        through_envoy = (
            Export(each.name or each.open_telemetry.endpoint, Route(each.open_telemetry.endpoint), each.interval)
            for each in wanted.backends or ()
            if each.open_telemetry is not None
        )
        self._exporter.configure(PATH, through_envoy)

    def take_collectors(self, exports: Iterable[Export]) -> None:
        """Sends metrics to these as well, without Envoy in between."""
        self._exporter.configure("collectors", exports)

    async def run(self, socket: str) -> None:
        """Answers on the Unix socket at this path and exports, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hijacker.serve(socket))
            tasks.create_task(self._exporter.run())
