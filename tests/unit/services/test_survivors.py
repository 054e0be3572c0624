"""Control planes whose streams stand still are dead; those whose streams move, or that are new, are not."""

from datetime import UTC, datetime
from typing import Any

from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight as insights
from kuma.resources.kinds import zoneegressinsight
from kuma.services.insights import survivors
from kuma.store import memory, protocol


def stream(instance: str, generation: int, *, name: str = "s1", is_open: bool = True) -> insights.DiscoverySubscription:
    end = None if is_open else datetime(2026, 1, 1, tzinfo=UTC)
    return insights.DiscoverySubscription(
        id=name, control_plane_instance_id=instance, generation=generation, disconnect_time=end
    )


class World:
    def __init__(self) -> None:
        self.store = memory.MemoryStore()
        self.recovered: list[dict[str, bool]] = []
        self.survivors = survivors.Survivors(self.store, "own", self._recover, 60.0)

    async def _recover(self, is_alive: Any) -> None:
        self.recovered.append({each: is_alive(each) for each in ("own", "one", "two")})

    async def show(self, proxy: str, *streams: insights.DiscoverySubscription) -> None:
        value = res.Resource(insights.KIND, res.Meta("m", proxy), insights.DataplaneInsight(subscriptions=streams))
        await self.store.apply([protocol.Change(protocol.Op.UPDATED, value)])


async def test_streams_that_stand_still_for_a_period_are_of_a_dead_control_plane() -> None:
    world = World()
    await world.show("p1", stream("one", 3))
    await world.show("p2", stream("two", 3), stream("own", 1, name="s2"))
    assert await world.survivors.look() == set()
    await world.show("p2", stream("two", 4), stream("own", 1, name="s2"))
    assert await world.survivors.look() == {"one"}
    assert world.recovered == [{"own": True, "one": False, "two": True}]


async def test_one_moving_stream_shows_that_its_control_plane_lives() -> None:
    world = World()
    await world.show("p1", stream("one", 3))
    await world.show("p2", stream("one", 3, name="s2"))
    await world.survivors.look()
    await world.show("p2", stream("one", 4, name="s2"))
    assert await world.survivors.look() == set()
    assert world.recovered == []


async def test_streams_that_ended_say_nothing() -> None:
    world = World()
    await world.show("p1", stream("one", 3, is_open=False))
    await world.survivors.look()
    assert await world.survivors.look() == set()


async def test_streams_of_zone_egresses_count() -> None:
    world = World()
    spec = zoneegressinsight.ZoneEgressInsight(subscriptions=(stream("other", 1),))
    await world.store.create(res.Resource(zoneegressinsight.KIND, res.Meta("", "way-out"), spec))
    assert await world.survivors.look() == set()
    assert await world.survivors.look() == {"other"}
