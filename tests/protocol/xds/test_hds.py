"""HDS streams: what Envoy is asked to probe, and what becomes of its reports."""

import asyncio

import prometheus_client
import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.service.health.v3 import hds_pb2

from kuma.base import errors
from kuma.compiler import health
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.servers import xds
from kuma.servers.xds import deps, hds
from kuma.services import metrics
from kuma.services.proxies import service_health
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


def handler_of(cp: kit.ControlPlane, refresh_interval: float = 60.0, measured: deps.Measured | None = None):
    async def current(key: res.Key):
        try:
            return await cp.store.get(key)
        except errors.NotFound:
            return None

    async def report(key, found):
        return await service_health.report_health(cp.store, key, found)

    wanted = deps.Health(health.HealthConfig(), current, report, refresh_interval)
    return xds.build(xds.Deps(cp.proxies, "cp-1", health=wanted, hds=measured or deps.UNMEASURED))[hds.PATH]


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
        tasks.create_task(handler_of(cp, refresh_interval=0.001)(call))
        call.says(hello())
        await call.hears(hds_pb2.HealthCheckSpecifier)
        await cp.create_dataplane("web-1", servicePort=81, serviceProbe={"tcp": {}})
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


async def test_an_envoy_that_drains_leaves_and_one_that_starts_does_not(cp):
    await cp.create_dataplane("web-1")
    call = calls.Call()
    watch = cp.store.watch()
    revision = cp.store.revision()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(handler_of(cp)(call))
        call.says(hello(**ADMIN))
        for status in (health_check_pb2.UNHEALTHY, health_check_pb2.HEALTHY):
            call.says(report(**{"kuma:envoy:admin": status}))
        while call.received < 3:
            await call.takes.acquire()
        assert cp.store.revision() == revision
        call.says(report(**{"kuma:envoy:admin": health_check_pb2.UNHEALTHY}))
        change = await anext(watch)
        assert change.resource.spec.networking.inbound[0].state == dataplane.InboundState.NOT_READY
        assert cp.store.revision() == revision + 1
        call.says(report(**{"kuma:envoy:admin": health_check_pb2.HEALTHY}))
        assert (await anext(watch)).resource.spec.networking.inbound[0].is_ready
        call.ends()


async def test_the_latest_stream_of_a_proxy_speaks_for_it(cp):
    handler = handler_of(cp)
    old, new = calls.Call(), calls.Call()
    watch = cp.store.watch()
    async with asyncio.TaskGroup() as tasks:
        for call in (old, new):
            tasks.create_task(handler(call))
            call.says(hello())
            await call.hears(hds_pb2.HealthCheckSpecifier)
        revision = cp.store.revision()
        old.says(report(**{"localhost:80": health_check_pb2.HEALTHY}))
        old.says(report(**{"localhost:80": health_check_pb2.UNHEALTHY}))
        new.says(report(**{"localhost:80": health_check_pb2.HEALTHY}))
        assert (await anext(watch)).resource.spec.networking.inbound[0].is_ready
        assert cp.store.revision() == revision + 1
        new.ends()
        old.says(report(**{"localhost:80": health_check_pb2.UNHEALTHY}))
        assert not (await anext(watch)).resource.spec.networking.inbound[0].is_ready
        old.ends()


async def test_what_goes_over_a_stream_is_counted(cp):
    measured = metrics.Metrics(prometheus_client.CollectorRegistry())

    def count(name: str) -> float | None:
        return measured.registry.get_sample_value(name, {"zone": ""})

    call = calls.Call()
    call.says(hello())
    call.says(report())
    call.ends()
    await handler_of(cp, measured=measured.hds)(call)
    assert count("hds_streams_active") == 0
    assert count("hds_requests_received") == 2
    assert count("hds_responses_sent") == 1
    assert count("hds_generation_count") == 1
    assert count("hds_generation_errors") == 0


async def test_probes_that_cannot_be_made_leave_those_that_were(cp, monkeypatch):
    measured = metrics.Metrics(prometheus_client.CollectorRegistry())
    failed = asyncio.Event()
    monkeypatch.setattr(measured.hds, "generation_failed", failed.set)
    call = calls.Call()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(handler_of(cp, refresh_interval=0.001, measured=measured.hds)(call))
        call.says(hello())
        await call.hears(hds_pb2.HealthCheckSpecifier)
        with monkeypatch.context() as broken:
            broken.setattr(health, "health_checks", None)
            await cp.create_dataplane("web-1", servicePort=81, serviceProbe={"tcp": {}})
            await failed.wait()
        assert call.is_silent
        await cp.create_dataplane("web-1", servicePort=82, serviceProbe={"tcp": {}})
        checks = await call.hears(hds_pb2.HealthCheckSpecifier)
        assert [each.cluster_name for each in checks.cluster_health_checks] == ["localhost:82"]
        call.ends()


async def test_refusals_are_those_of_ads(cp):
    call = calls.Call()
    call.says(hds_pb2.HealthCheckRequestOrEndpointHealthResponse())
    with pytest.raises(stream.GrpcError, match="Envoy ID must not be nil"):
        await handler_of(cp)(call)
