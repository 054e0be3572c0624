"""HDS streams: what Envoy is asked to probe, and what becomes of its reports."""

import asyncio

import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.service.health.v3 import hds_pb2

from kuma.base import errors
from kuma.compiler import health
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.servers import xds
from kuma.servers.xds import deps, hds
from kuma.services import service_health
from kuma.transport import stream
from tests.kit import control_plane as kit
from tests.protocol.xds import calls

ADMIN = {"dataplane.admin.port": "9901"}
KEY = res.Key("Dataplane", "default", "web-1")


@pytest.fixture
async def cp() -> kit.ControlPlane:
    prepared = await kit.ControlPlane().prepare()
    await prepared.create_dataplane("web-1", serviceProbe={"tcp": {}})
    return prepared


def handler_of(cp: kit.ControlPlane) -> stream.Handler:
    async def current(key: res.Key):
        try:
            return await cp.store.get(key)
        except errors.NotFound:
            return None

    async def report(key, ports):
        return await service_health.report_health(cp.store, key, ports)

    return xds.build(xds.Deps(cp.proxies, "cp-1", health=deps.Health(health.HealthConfig(), current, report)))[hds.PATH]


def hello(**metadata):
    node = calls.node(**metadata)
    return hds_pb2.HealthCheckRequestOrEndpointHealthResponse(
        health_check_request=hds_pb2.HealthCheckRequest(node=node)
    )


def report(**statuses: int):
    out = hds_pb2.HealthCheckRequestOrEndpointHealthResponse()
    for name, status in statuses.items():
        cluster = out.endpoint_health_response.cluster_endpoints_health.add(cluster_name=name)
        cluster.locality_endpoints_health.add().endpoints_health.add(health_status=status)
    return out


async def test_reports_decide_whether_an_inbound_is_ready(cp):
    call = calls.Call()
    watch = cp.store.watch()
    well, ill = health_check_pb2.HEALTHY, health_check_pb2.UNHEALTHY
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(handler_of(cp)(call))
        call.says(hello(**ADMIN))
        checks = await call.hears(hds_pb2.HealthCheckSpecifier)
        assert [each.cluster_name for each in checks.cluster_health_checks] == ["kuma:envoy:admin", "localhost:80"]
        assert checks.interval.seconds == 5
        for envoy, application, ready in (
            (well, well, True),
            (well, ill, False),
            (ill, well, None),
            (well, well, True),
        ):
            call.says(report(**{"kuma:envoy:admin": envoy, "localhost:80": application}))
            if ready is not None:
                change = await anext(watch)
                assert change.resource.spec.networking.inbound[0].is_ready is ready
        call.ends()
    assert call.is_silent, "the probes did not change"


async def test_a_change_of_state_is_written_once(cp):
    call = calls.Call()
    revision = cp.store.revision()
    call.says(hello())
    for _ in range(3):
        call.says(report(**{"localhost:80": health_check_pb2.UNKNOWN}))
    call.ends()
    await handler_of(cp)(call)
    assert cp.store.revision() == revision + 1


async def test_probes_follow_the_dataplane(cp):
    call = calls.Call()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(handler_of(cp)(call))
        call.says(hello())
        await call.hears(hds_pb2.HealthCheckSpecifier)
        await cp.create_dataplane("web-1", servicePort=81, serviceProbe={"tcp": {}})
        call.says(report())
        checks = await call.hears(hds_pb2.HealthCheckSpecifier)
        assert [each.cluster_name for each in checks.cluster_health_checks] == ["localhost:81"]
        call.ends()


async def test_a_proxy_that_brings_its_dataplane_need_not_be_registered_yet(cp):
    call = calls.Call()
    brought = kit.bringing("web-2", serviceProbe={"tcp": {}})
    node = calls.node("default.web-2", **brought.metadata)
    call.says(
        hds_pb2.HealthCheckRequestOrEndpointHealthResponse(health_check_request=hds_pb2.HealthCheckRequest(node=node))
    )
    call.says(report(**{"localhost:80": health_check_pb2.HEALTHY}))
    call.ends()
    await handler_of(cp)(call)
    checks = await call.hears(hds_pb2.HealthCheckSpecifier)
    assert [each.cluster_name for each in checks.cluster_health_checks] == ["localhost:80"]
    assert not await cp.has_dataplane("web-2"), "registering is the business of ADS"


async def test_refusals_are_those_of_ads(cp):
    call = calls.Call()
    call.says(hds_pb2.HealthCheckRequestOrEndpointHealthResponse())
    with pytest.raises(stream.GrpcError, match="Envoy ID must not be nil"):
        await handler_of(cp)(call)


def test_unified_admin_name_counts_too():
    spec = dataplane.Dataplane(
        networking=dataplane.Networking(
            address="127.0.0.1",
            inbound=(dataplane.Inbound(port=1, service_probe=dataplane.ServiceProbe(tcp=dataplane.Tcp())),),
        )
    )
    assert health.healthy_ports(spec, {"system_envoy_admin": False, "localhost:1": True}) == {1: False}
    assert health.healthy_ports(spec, {}) == {}
