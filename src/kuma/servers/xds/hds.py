"""HDS: Envoy probes itself and its application on our behalf, and reports; results go into the Dataplane's inbounds.

Each stream looks at its Dataplane now and then, and sends other probes where it asks for them. Where a proxy has several
streams, as while its predecessor drains, the latest one speaks for it. Source: Envoy's "Health Discovery Service".
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from envoy.config.core.v3 import health_check_pb2
from envoy.service.health.v3 import hds_pb2

from kuma.compiler import health
from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.servers.xds import deps as needs
from kuma.servers.xds import intake
from kuma.transport import stream

PATH = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck"

_WELL = (health_check_pb2.HEALTHY, health_check_pb2.UNKNOWN)
_LOG = structlog.get_logger("hds")


def handlers(deps: needs.Deps) -> Mapping[str, stream.Handler]:
    """The one stream of HDS."""
    speakers = _Speakers()

    async def serve(call: stream.GrpcStream) -> None:
        assert deps.health is not None, "without settings there is no such handler"
        with deps.hds.stream(), contextlib.suppress(ConnectionError):  # the client is gone: nothing is left to say
            await _serve(call, deps, deps.health, speakers)

    return {PATH: serve}


class _Speakers:
    """The open streams of each proxy, in the order in which they came."""

    def __init__(self) -> None:
        self._open: dict[res.Key, list[object]] = {}

    @contextlib.contextmanager
    def joined(self, key: res.Key, speaker: object) -> Iterator[None]:
        """Counts a stream while it is open."""
        self._open.setdefault(key, []).append(speaker)
        try:
            yield
        finally:
            self._open[key].remove(speaker)
            if not self._open[key]:
                del self._open[key]

    def is_latest(self, key: res.Key, speaker: object) -> bool:
        """Whether no other stream of the proxy came later."""
        return self._open[key][-1] is speaker


async def _serve(call: stream.GrpcStream, deps: needs.Deps, settings: needs.Health, speakers: _Speakers) -> None:
    raw = await intake.first(call, deps)
    if raw is None:
        return
    deps.hds.request("", "NONE")
    first = intake.parse(_request, raw, deps)
    node = intake.node_of(first.health_check_request.node)
    dataplane = await intake.admitted(deps.proxies.dataplane_for, call, node, deps)
    del raw, first
    probing = _Probing(call, deps, settings, dataplane, node.metadata)
    with speakers.joined(dataplane.key, probing):
        await probing.ask()
        is_first = True
        while (raw := await probing.next_message()) is not None:
            deps.hds.request("", "NONE")
            well = reported_health(intake.parse(_request, raw, deps).endpoint_health_response)
            if speakers.is_latest(dataplane.key, probing):
                await settings.report(dataplane.key, health.Report(well, is_first))
            is_first = False


class _Probing:
    """What one stream asks its Envoy to probe."""

    def __init__(
        self,
        call: stream.GrpcStream,
        deps: needs.Deps,
        settings: needs.Health,
        dataplane: res.Resource[Any],
        metadata: Mapping[str, Any],
    ) -> None:
        self._call = call
        self._deps = deps
        self._settings = settings
        self._dataplane = dataplane
        self._metadata = metadata
        self._asked = b""
        self._due = deps.now() + settings.refresh_interval

    async def ask(self) -> None:
        """Sends the probes that the Dataplane wants, unless Envoy has them already or they cannot be made."""
        try:
            with self._deps.hds.generation():
                subject = proxy.facts_of(self._dataplane, self._metadata)
                checks = health.health_checks(subject, self._settings.config)
                wanted = checks.SerializeToString(deterministic=True)
        except Exception as failure:
            self._deps.hds.generation_failed()
            key = self._dataplane.key
            _LOG.error("proxy keeps its last probes", proxy=key.name, mesh=key.mesh, error=str(failure))
            return
        if wanted != self._asked:
            await self._call.send([wanted])
            self._deps.hds.response("")
            self._asked = wanted

    async def next_message(self) -> bytes | None:
        """The next message of Envoy, None after the last; meanwhile other probes are sent when they are due."""
        while True:
            try:
                async with asyncio.timeout(self._due - self._deps.now()):
                    return await self._call.receive()
            except TimeoutError:
                await self._refresh()

    async def _refresh(self) -> None:
        """Looks at the Dataplane as it is now; while it is not stored, what it was holds."""
        self._due = self._deps.now() + self._settings.refresh_interval
        current = await self._settings.dataplane(self._dataplane.key)
        if current is not None and current is not self._dataplane:
            self._dataplane = current
            await self.ask()


def _request(raw: bytes) -> Any:
    return hds_pb2.HealthCheckRequestOrEndpointHealthResponse.FromString(raw)


def reported_health(response: Any) -> dict[str, bool]:
    """By name of cluster: whether its first endpoint is well. What Envoy does not know yet counts as well."""
    found = {}
    for cluster in response.cluster_endpoints_health:
        endpoints = [each for locality in cluster.locality_endpoints_health for each in locality.endpoints_health]
        if endpoints:
            found[cluster.cluster_name] = endpoints[0].health_status in _WELL
    return found
