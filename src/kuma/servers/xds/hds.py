"""HDS: Envoy probes itself and its application on our behalf, and reports; results go into the Dataplane's inbounds.

The probes follow the Dataplane: it is looked at again with each report, so there is no timer. Source: Envoy's
"Health Discovery Service".
"""

from collections.abc import Mapping
from typing import Any

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


def handlers(deps: needs.Deps) -> Mapping[str, stream.Handler]:
    """The one stream of HDS."""

    async def serve(call: stream.GrpcStream) -> None:
        assert deps.health is not None, "without settings there is no such handler"
        try:
            with deps.hds.stream():
                await _serve(call, deps, deps.health)
        except ConnectionError:
            return  # the client is gone, and with it everything there was to say

    return {PATH: serve}


async def _serve(call: stream.GrpcStream, deps: needs.Deps, settings: needs.Health) -> None:
    raw = await intake.first(call, deps)
    if raw is None:
        return
    deps.hds.request("", "NONE")
    first = intake.parse(_request, raw, deps)
    node = intake.node_of(first.health_check_request.node)
    dataplane = await intake.admitted(deps.proxies.dataplane_for, call, node, deps)
    del raw, first
    asked = b""
    while True:
        checks = health.health_checks(proxy.facts_of(dataplane, node.metadata), settings.config)
        wanted = checks.SerializeToString(deterministic=True)
        if wanted != asked:
            await call.send([wanted])
            deps.hds.response("")
            asked = wanted
        raw = await call.receive()
        if raw is None:
            return
        deps.hds.request("", "NONE")
        reported = reported_health(intake.parse(_request, raw, deps).endpoint_health_response)
        ports = health.healthy_ports(dataplane.spec, reported)
        if ports:
            await settings.report(dataplane.key, ports)
        dataplane = await _current(settings, dataplane)


def _request(raw: bytes) -> Any:
    return hds_pb2.HealthCheckRequestOrEndpointHealthResponse.FromString(raw)


async def _current(settings: needs.Health, known: res.Resource[Any]) -> res.Resource[Any]:
    """The Dataplane as it is now; as it was known, while it is not stored."""
    return await settings.dataplane(known.key) or known


def reported_health(response: Any) -> dict[str, bool]:
    """By name of cluster: whether its first endpoint is well. What Envoy does not know yet counts as well."""
    found = {}
    for cluster in response.cluster_endpoints_health:
        endpoints = [each for locality in cluster.locality_endpoints_health for each in locality.endpoints_health]
        if endpoints:
            found[cluster.cluster_name] = endpoints[0].health_status in _WELL
    return found
