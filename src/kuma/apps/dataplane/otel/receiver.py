"""The collectors of one proxy as one part of the agent: a socket for each, and forwarders behind it.

Follows the document that Envoy serves at `/otel`: collectors come and go, their addresses change, and nothing that
waits is lost by that. Metrics, which the agent gathers itself, are not received here: who sends them is told where to.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kuma.apps.dataplane import log
from kuma.apps.dataplane.otel import environment as env
from kuma.apps.dataplane.otel import routes

if TYPE_CHECKING:
    from kuma.apps.dataplane.metrics.export import Export
    from kuma.apps.dataplane.otel.document import Backend
    from kuma.apps.dataplane.otel.forwarder import Forwarder

PATH = "/otel"
"""Where Envoy serves the document."""

LEAVE_SECONDS = 2.0
"""How long what waits may take to get through after its collector was taken away, or at the end."""

_RECEIVED = ("traces", "logs")
_METRICS_EVERY = "60s"
"""How often metrics are sent where a MeshMetric does not say it."""

_AGAIN_SECONDS = 10.0
_SENT, _DROPPED = "kuma_dp_otel_records_sent_total", "kuma_dp_otel_records_dropped_total"

_log = log.logger("otel")


class Collector:
    """One collector at work. A signal without a forwarder is refused, with the reason in `blocked`."""

    def __init__(self, backend: "Backend") -> None:
        self.socket = backend.socket_path
        self.name = backend.name
        self.forwarders: dict[str, Forwarder] = {}
        self.blocked: dict[str, str] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def follow(self, backend: "Backend", way: "Receiver", tasks: asyncio.TaskGroup) -> None:
        """Routes signals as the document now says. A signal that nobody sends any more may still be on its way."""
        from kuma.apps.dataplane.otel.forwarder import Forwarder

        for signal in _RECEIVED:
            before = self.blocked.pop(signal, "")
            try:
                route = way.route_of(backend, signal)
            except routes.Blocked as reason:
                self.blocked[signal] = str(reason)
                if backend.signal(signal) is not None and before != str(reason):
                    _log.warning("%s are not sent to the collector %s: %s", signal, self.name, reason)
                continue
            if signal in self.forwarders:
                self.forwarders[signal].route = route
            else:
                made = self.forwarders[signal] = Forwarder(self.name, signal, route, asyncio.get_running_loop().time)
                self._running[signal] = tasks.create_task(made.run())

    def take(self, method: str, request: bytes) -> tuple[int, str]:
        """What becomes of a call of Envoy's."""
        from kuma.apps.dataplane.otel import delivery, records
        from kuma.apps.dataplane.wire import grpc_server

        signal = next((each for each in _RECEIVED if delivery.METHODS[each] == method), None)
        if signal is None:
            return grpc_server.UNIMPLEMENTED, f"unknown method {method}"
        if signal in self.blocked or signal not in self.forwarders:
            return grpc_server.FAILED_PRECONDITION, self.blocked.get(signal, "not configured")
        try:
            number = records.count(request)
        except ValueError as error:
            return grpc_server.INVALID_ARGUMENT, str(error)
        is_taken = self.forwarders[signal].put(request, number)
        return (grpc_server.OK, "") if is_taken else (grpc_server.UNAVAILABLE, "too many wait for the collector")

    async def serve(self) -> None:
        """Answers Envoy until it is cancelled."""
        from kuma.apps.dataplane.wire import grpc_server

        trouble = ""
        while True:
            try:
                await grpc_server.serve(self.socket, self.take)
            except OSError as error:
                if str(error) != trouble:
                    _log.warning("telemetry for the collector %s cannot be received: %s", self.name, error)
                trouble = str(error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Sends what waits, for `seconds` at most."""
        await asyncio.gather(*(each.finish(seconds) for each in self.forwarders.values()))
        for task in self._running.values():
            task.cancel()


class Receiver:
    """All collectors. `host_ip` is where those are that nobody gave a place, empty: on this machine."""

    def __init__(self, environment: env.Environment, host_ip: str) -> None:
        self._environment = environment
        self._host_ip = host_ip
        self._exports: Callable[[Sequence[Export]], None] = lambda exports: None
        self._wanted: tuple[Backend, ...] = ()
        self._changed = asyncio.Event()
        self._collectors: dict[tuple[str, str], Collector] = {}
        self._serving: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._totals: dict[tuple[str, str], list[int]] = {}

    def send_metrics(self, exports: "Callable[[Sequence[Export]], None]") -> None:
        """Has `exports` called with where metrics go, whenever that changes. Only before `run`."""
        self._exports = exports

    def take(self, body: bytes | None) -> None:
        """Follows the document that Envoy serves, None where there is none. ValueError where it makes no sense."""
        backends: tuple[Backend, ...] = ()
        if body is not None:
            from kuma.apps.dataplane.otel import document

            backends = document.read(body)
        self._wanted = backends
        self._exports(list(self._metrics(backends)))
        self._changed.set()

    def route_of(self, backend: "Backend", signal: str) -> routes.Route:
        """The way of a signal to a collector. Blocked."""
        return routes.route_of(backend, signal, self._environment, self._host_ip)

    def _metrics(self, backends: "Iterable[Backend]") -> "Iterable[Export]":
        from kuma.apps.dataplane.metrics.config import interval_of
        from kuma.apps.dataplane.metrics.export import Export

        for each in backends:
            said = each.signal("metrics")
            if said is None:
                continue
            try:
                yield Export(
                    each.name, self.route_of(each, "metrics"), interval_of(said.refresh_interval or _METRICS_EVERY)
                )
            except routes.Blocked as reason:
                _log.warning("metrics are not sent to the collector %s: %s", each.name, reason)

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._follow(tasks)

    def _follow(self, tasks: asyncio.TaskGroup) -> None:
        wanted = {(each.name, each.socket_path): each for each in self._wanted}
        for key in self._collectors.keys() - wanted.keys():
            self._serving.pop(key).cancel()
            leaving = self._collectors.pop(key)
            tasks.create_task(self._part_with(leaving))
        for key, backend in wanted.items():
            if key not in self._collectors:
                made = self._collectors[key] = Collector(backend)
                self._serving[key] = tasks.create_task(made.serve())
            self._collectors[key].follow(backend, self, tasks)

    async def _part_with(self, leaving: Collector) -> None:
        await leaving.finish(LEAVE_SECONDS)
        for each in leaving.forwarders.values():
            totals = self._totals.setdefault((each.name, each.signal), [0, 0])
            totals[0] += each.sent
            totals[1] += each.dropped

    async def finish(self) -> None:
        """Sends what waits, for a moment: Envoy sends no more."""
        await asyncio.gather(*(each.finish(LEAVE_SECONDS) for each in self._collectors.values()))

    def exposition(self) -> str:
        """What became of records, as Prometheus text; empty where there never was a collector."""
        from kuma.apps.dataplane.metrics.exposition import escape

        totals = {key: list(value) for key, value in self._totals.items()}
        for each in (one for collector in self._collectors.values() for one in collector.forwarders.values()):
            found = totals.setdefault((each.name, each.signal), [0, 0])
            found[0] += each.sent
            found[1] += each.dropped
        lines = []
        for place, family in enumerate((_SENT, _DROPPED) if totals else ()):
            lines.append(f"# TYPE {family} counter")
            lines += [
                f'{family}{{backend="{escape(name)}",signal="{signal}"}} {counts[place]}'
                for (name, signal), counts in sorted(totals.items())
            ]
        return "\n".join([*lines, ""]) if lines else ""
