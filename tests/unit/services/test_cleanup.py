"""Dataplanes go when their proxy has been gone for long, and only then."""

import asyncio
from datetime import UTC, datetime, timedelta

import prometheus_client
import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegress, zoneegressinsight
from kuma.resources.kinds import dataplaneinsight as insights
from kuma.services import metrics
from kuma.services.proxies import cleanup
from kuma.store import memory

NOW = datetime(2026, 1, 10, tzinfo=UTC)
AGE = timedelta(hours=72)
LONG_GONE, JUST_GONE = NOW - timedelta(hours=73), NOW - timedelta(hours=71)


def insight(name: str, *ends: datetime | None) -> cleanup.Insight:
    streams = tuple(
        insights.DiscoverySubscription(id=str(number), disconnect_time=end) for number, end in enumerate(ends)
    )
    return res.Resource(insights.KIND, res.Meta("shop", name), insights.DataplaneInsight(subscriptions=streams))


@pytest.mark.parametrize(
    ("ends", "is_gone"),
    [
        ((LONG_GONE,), True),
        ((LONG_GONE, LONG_GONE - AGE), True),
        ((JUST_GONE,), False),
        ((JUST_GONE, LONG_GONE), False),  # the last stream counts, wherever it stands
        ((LONG_GONE, None), False),  # connected
        ((None, LONG_GONE), False),
        ((), False),  # never connected
    ],
)
def test_a_dataplane_is_gone_when_its_last_stream_ended_long_ago(
    ends: tuple[datetime | None, ...], is_gone: bool
) -> None:
    found = list(cleanup.departed([insight("web", *ends)], NOW - AGE))
    assert found == ([res.Key("Dataplane", "shop", "web")] if is_gone else [])


class World:
    def __init__(self) -> None:
        self.store = memory.MemoryStore()
        self.metrics = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
        self.cleanup = cleanup.Cleanup(self.store, lambda: NOW, AGE, lambda: self.metrics.loop("dp_gc"), period=0.001)

    async def add(self, name: str, *ends: datetime | None) -> None:
        owner = res.Resource(dataplane.KIND, res.Meta("shop", name), dataplane.Dataplane())
        await self.store.create(owner)
        if ends:
            await self.store.create(insight(name, *ends), owner.key)

    async def names(self) -> set[str]:
        return {each.meta.name for each in await self.store.list(dataplane.KIND)}


async def test_a_look_removes_the_dataplane_and_its_insight() -> None:
    world = World()
    await world.add("dead", LONG_GONE)
    await world.add("away", JUST_GONE)
    await world.add("planned")
    await world.cleanup.look()
    assert await world.names() == {"away", "planned"}
    assert [each.meta.name for each in await world.store.list(insights.KIND)] == ["away"]


async def test_what_somebody_else_removed_does_not_stop_the_look() -> None:
    world = World()
    await world.store.create(insight("ghost", LONG_GONE))  # its Dataplane is not there any more
    await world.add("web", LONG_GONE)
    await world.cleanup.look()
    assert await world.names() == set()


async def test_a_store_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.add("dead", LONG_GONE)
    follow = world.store.watch()
    listing, failures = world.store.list, iter([errors.Unavailable("away")])

    async def flaky(*arguments: object) -> object:
        for failure in failures:
            raise failure
        return await listing(*arguments)

    monkeypatch.setattr(world.store, "list", flaky)
    running = asyncio.create_task(world.cleanup.run())
    async with asyncio.timeout(10):
        gone = {(await anext(follow)).resource.key.kind for _ in range(2)}
    assert gone == {"Dataplane", "DataplaneInsight"}
    running.cancel()
    looks = world.metrics.registry.get_sample_value("component_dp_gc_count", {"zone": "z"})
    assert looks


async def test_zone_egresses_have_an_age_of_their_own() -> None:
    world = World()
    await world.add("dead", LONG_GONE)
    for name, end in (("gone", LONG_GONE), ("away", JUST_GONE)):
        owner = res.Resource(zoneegress.KIND, res.Meta("", name), zoneegress.ZoneEgress())
        streams = (insights.DiscoverySubscription(id="1", disconnect_time=end),)
        spec = zoneegressinsight.ZoneEgressInsight(subscriptions=streams)
        await world.store.create(owner)
        await world.store.create(res.Resource(zoneegressinsight.KIND, res.Meta("", name), spec), owner.key)
    of_egresses = cleanup.Cleanup(world.store, lambda: NOW, AGE, kind=zoneegressinsight.KIND)
    await of_egresses.look()
    assert [each.meta.name for each in await world.store.list(zoneegress.KIND)] == ["away"]
    assert await world.names() == {"dead"}
