"""The state of proxies and services, and the loop that writes it down."""

import asyncio
import dataclasses
import time
from typing import Any

import prometheus_client
import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, externalservice, mesh, meshinsight, serviceinsight
from kuma.services import metrics
from kuma.services.insights import insight_loop, overviews, service_insights
from tests.kit import api as kit

NOW = kit.now()
READY, WAITING = dataplane.InboundState.READY, dataplane.InboundState.NOT_READY


def proxy(*states: dataplane.InboundState, service: str = "web") -> dataplane.Dataplane:
    tags = {"kuma.io/service": service, "kuma.io/zone": "east"}
    inbound = tuple(dataplane.Inbound(port=80 + index, tags=tags, state=state) for index, state in enumerate(states))
    return dataplane.Dataplane(networking=dataplane.Networking(address="192.168.0.1", inbound=inbound))


def gateway(type_: dataplane.GatewayType) -> dataplane.Dataplane:
    own = dataplane.Gateway(tags={"kuma.io/service": "edge"}, type=type_)
    return dataplane.Dataplane(networking=dataplane.Networking(address="192.168.0.1", gateway=own))


def insight(*, is_online: bool = True, backend: str = "") -> dataplaneinsight.DataplaneInsight:
    last = dataplaneinsight.DiscoverySubscription(id="1", connect_time=NOW, disconnect_time=None if is_online else NOW)
    mtls = dataplaneinsight.MTLS(issued_backend=backend) if backend else None
    return dataplaneinsight.DataplaneInsight(subscriptions=(last,), mtls=mtls)


@pytest.mark.parametrize(
    ("spec", "known", "expected"),
    [
        (proxy(READY), insight(), "Online"),
        (proxy(READY), None, "Offline"),
        (proxy(READY), insight(is_online=False), "Offline"),
        (proxy(READY, WAITING), insight(), "Partially degraded"),
        (proxy(WAITING), insight(), "Offline"),
        (gateway(dataplane.GatewayType.DELEGATED), insight(), "Online"),
        (gateway(dataplane.GatewayType.BUILTIN), None, "Offline"),
    ],
)
def test_status(spec: dataplane.Dataplane, known: dataplaneinsight.DataplaneInsight | None, expected: str) -> None:
    assert overviews.status_of(spec, known).value == expected


def services_of(*proxies: tuple[dataplane.Dataplane, Any]) -> dict[str, serviceinsight.Service]:
    facts = [service_insights.facts_of(spec, known) for spec, known in proxies]
    return service_insights.desired(facts).services


def test_a_service_is_the_proxies_that_carry_its_tag() -> None:
    found = services_of(
        (proxy(READY), insight(backend="ca-1")),
        (proxy(READY), None),
        (proxy(READY, WAITING), insight()),
        (proxy(READY, service="api"), insight()),
        (gateway(dataplane.GatewayType.BUILTIN), insight()),
    )
    assert list(found) == ["api", "edge", "web"]
    web = found["web"]
    assert web.status is serviceinsight.ServiceStatus.PARTIALLY_DEGRADED
    assert web.dataplanes == serviceinsight.DataplaneStat(total=3, online=2, offline=1)
    assert (web.issued_backends, web.zones, web.address_port) == ({"ca-1": 1}, ("east",), "web.mesh:80")
    assert found["api"].status is serviceinsight.ServiceStatus.ONLINE
    assert (found["edge"].service_type, found["edge"].address_port) == (serviceinsight.ServiceType.GATEWAY_BUILTIN, "")


def test_ignored_inbounds_and_missing_tags_make_no_service() -> None:
    untagged = dataplane.Inbound(port=1)
    bare = dataplane.Dataplane(networking=dataplane.Networking(address="192.168.0.1", inbound=(untagged,)))
    assert services_of((proxy(dataplane.InboundState.IGNORED), insight()), (bare, insight())) == {}


def external(service: str, address: str = "", zone: str = "") -> externalservice.ExternalService:
    tags = {"kuma.io/service": service} | ({"kuma.io/zone": zone} if zone else {})
    return externalservice.ExternalService(networking=externalservice.Networking(address=address), tags=tags)


def test_external_services_stand_beside_those_of_proxies() -> None:
    outside = [external("es", "a.example:443", "west"), external("es", "b.example:443", "east"), external("web", "x:1")]
    facts = [service_insights.facts_of(proxy(READY), insight())]
    found = service_insights.desired(facts, [service_insights.external_of(each) for each in outside]).services
    assert list(found) == ["es", "web"]
    assert found["es"] == serviceinsight.Service(
        status=serviceinsight.ServiceStatus.NOT_AVAILABLE,
        dataplanes=serviceinsight.DataplaneStat(),
        service_type=serviceinsight.ServiceType.EXTERNAL,
        address_port="a.example:443",
        zones=("east", "west"),
    )
    assert found["web"].service_type is serviceinsight.ServiceType.INTERNAL


async def stored(api: kit.Api, kind: Any, mesh_name: str, name: str) -> Any:
    try:
        return (await api.store.get(res.Key(kind.name, mesh_name, name))).spec
    except errors.NotFound:
        return None


async def follow(api: kit.Api, kind: str, wanted: Any) -> None:
    """Waits until a change of `kind` fulfils `wanted`."""
    async with asyncio.timeout(5):
        async for change in api.store.watch():
            if change.resource.kind.name == kind and wanted(change.resource.spec):
                return


def resource(kind: Any, mesh_name: str, name: str, spec: Any) -> res.Resource[Any]:
    return res.Resource(kind, res.Meta(mesh_name, name), spec)


async def test_the_loop_follows_the_store() -> None:
    api = kit.build()
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    running = asyncio.create_task(insight_loop.InsightLoop(api.store, api.catalog, interval=0.01).run())
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 0)
    assert await stored(api, serviceinsight.KIND, "shop", "all-services-shop") is None
    owner = res.Key("Mesh", "", "shop")
    await api.store.create(resource(dataplane.KIND, "shop", "web-1", proxy(READY)), owner)
    await follow(api, "ServiceInsight", lambda spec: spec.services["web"].status == "offline")
    await api.store.create(resource(dataplaneinsight.KIND, "shop", "web-1", insight()), owner)
    await follow(api, "ServiceInsight", lambda spec: spec.services["web"].status == "online")
    await api.store.delete(res.Key("Dataplane", "shop", "web-1"))
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 0)
    await api.store.delete(owner)
    assert await stored(api, meshinsight.KIND, "", "shop") is None
    running.cancel()


async def test_the_loop_follows_external_services() -> None:
    api = kit.build()
    owner = res.Key("Mesh", "", "shop")
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    running = asyncio.create_task(insight_loop.InsightLoop(api.store, api.catalog, interval=0.01).run())
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 0)
    made = await api.store.create(resource(externalservice.KIND, "shop", "es", external("es", "a:1")), owner)
    await follow(api, "ServiceInsight", lambda spec: spec.services["es"].address_port == "a:1")
    await api.store.update(dataclasses.replace(made, spec=external("es", "b:1")))
    await follow(api, "ServiceInsight", lambda spec: spec.services["es"].address_port == "b:1")
    await api.store.create(resource(externalservice.KIND, "shop", "es-2", external("es")), owner)
    await follow(api, "MeshInsight", lambda spec: spec.services == meshinsight.ServiceStat(total=2, external=2))
    for name in ("es", "es-2"):
        await api.store.delete(res.Key("ExternalService", "shop", name))
    await follow(api, "ServiceInsight", lambda spec: not spec.services)
    running.cancel()


async def test_rounds_idleness_and_waiting_are_timed() -> None:
    api = kit.build()
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
    timing = insight_loop.Timing(measured.insight_round, measured.insights_idle, measured.insights_waited)
    loop = insight_loop.InsightLoop(api.store, api.catalog, interval=0.01, timing=timing)
    running = asyncio.create_task(loop.run())
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 0)
    await api.store.create(resource(dataplane.KIND, "shop", "web-1", proxy(READY)), res.Key("Mesh", "", "shop"))
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 1)

    def sample(name: str) -> float:
        return measured.registry.get_sample_value(f"insights_resyncer_{name}", {"zone": "z"}) or 0.0

    assert sample("processor_idle_time_count") == sample("event_time_to_process_count") == 1
    running.cancel()


async def test_counters_of_a_proxy_wake_nobody() -> None:
    api = kit.build()
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    await api.store.create(resource(dataplane.KIND, "shop", "web-1", proxy(READY)))
    await api.store.create(resource(dataplaneinsight.KIND, "shop", "web-1", insight()))
    loop = insight_loop.InsightLoop(api.store, api.catalog)
    await loop.write_all()
    before = api.store.revision()
    await loop.write_all()
    assert api.store.revision() == before


async def test_the_loop_starts_over_when_it_was_left_behind() -> None:
    api = kit.build()
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    loop = insight_loop.InsightLoop(_Forgetful(api.store), api.catalog, interval=0.01)
    running = asyncio.create_task(loop.run())
    await follow(api, "MeshInsight", lambda spec: True)
    await api.store.create(resource(dataplane.KIND, "shop", "web-1", proxy(READY)))
    await follow(api, "MeshInsight", lambda spec: spec.dataplanes.total == 1)
    running.cancel()


async def test_the_loop_ends_with_the_store() -> None:
    api = kit.build()
    running = asyncio.create_task(insight_loop.InsightLoop(api.store, api.catalog, interval=0.01).run())
    await asyncio.sleep(0)
    await api.store.close()
    async with asyncio.timeout(5):
        await running


class _Forgetful:
    """A store whose first watch loses its place at the first change."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._watched = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def watch(self, since: int | None = None) -> Any:
        if self._watched:
            return self._store.watch(since)
        self._watched = True
        return self._lose(since)

    async def _lose(self, since: int | None) -> Any:
        async for _ in self._store.watch(since):
            raise errors.Conflict("the window moved on")
        yield


async def test_a_change_among_a_thousand_proxies_costs_little() -> None:
    api = kit.build()
    await api.store.create(resource(mesh.KIND, "", "shop", mesh.Mesh()))
    for index in range(1000):
        spec = proxy(READY, service=f"service-{index % 100}")
        await api.store.create(resource(dataplane.KIND, "shop", f"web-{index}", spec))
        await api.store.create(resource(dataplaneinsight.KIND, "shop", f"web-{index}", insight()))
    loop = insight_loop.InsightLoop(api.store, api.catalog)
    await loop.write_all()
    await api.store.delete(res.Key("DataplaneInsight", "shop", "web-7"))
    started = time.process_time()
    await loop.write_all()
    spent = time.process_time() - started
    found = await stored(api, meshinsight.KIND, "", "shop")
    assert (found.dataplanes.total, found.dataplanes.online) == (1000, 999)
    # Measured 12 ms with the listing, 1.5 ms without; the bound leaves room for a busy machine, not for a square.
    assert spent < 0.2
