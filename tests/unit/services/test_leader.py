"""One leads, the others wait; who cannot renew stops by itself before another may begin."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kuma.base import errors
from kuma.services import leader


class Lease:
    """A lease whose answers the test gives."""

    def __init__(self) -> None:
        self.answer: bool | Exception = True
        self.asked = asyncio.Event()
        self.released = False

    async def hold(self) -> bool:
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def release(self) -> None:
        self.released = True


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class World:
    def __init__(self, lease: Lease | None) -> None:
        self.lease = lease
        self.clock = Clock()
        self.turns: list[bool] = []
        self.turned = asyncio.Event()
        self.leader = leader.Leader(lease, self._told, interval=0.001, term=4.0, now=self.clock)

    def _told(self, leads: bool) -> None:
        self.turns.append(leads)
        self.turned.set()

    async def until_turned(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.turns) < count:
                self.turned.clear()
                await self.turned.wait()


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.leader.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_alone_on_a_store_a_control_plane_leads_for_ever() -> None:
    world = World(None)
    await world.leader.stand()
    await world.leader.run()
    assert world.leader.is_leading
    assert world.turns == [True]


async def test_the_first_lead_is_known_before_anything_runs() -> None:
    world = World(Lease())
    assert not world.leader.is_leading
    await world.leader.stand()
    assert world.leader.is_leading


async def test_a_lead_that_another_took_ends_and_may_come_back() -> None:
    lease = Lease()
    world = World(lease)
    async with running(world):
        await world.until_turned(1)
        lease.answer = False
        await world.until_turned(2)
        lease.answer = True
        await world.until_turned(3)
    assert world.turns == [True, False, True, False]
    assert lease.released


async def test_a_store_that_is_away_ends_the_lead_when_the_term_is_over_and_not_before() -> None:
    lease = Lease()
    world = World(lease)
    await world.leader.stand()
    lease.answer = errors.Unavailable("gone")
    async with running(world):
        for _ in range(3):
            lease.asked.clear()
            async with asyncio.timeout(5):
                await lease.asked.wait()
        assert world.turns == [True]
        world.clock.seconds += 4.0
        await world.until_turned(2)
    assert world.turns == [True, False]


async def test_a_lease_that_never_answers_ends_the_lead_too() -> None:
    class Silent(Lease):
        async def hold(self) -> bool:
            if self.answer is True:
                return True
            await asyncio.Event().wait()
            raise AssertionError("never")

    lease = Silent()
    world = World(lease)
    world.leader = leader.Leader(lease, world._told, interval=0.001, term=0.05)
    await world.leader.stand()
    lease.answer = False
    async with running(world):
        await world.until_turned(2)
    assert world.turns == [True, False]


async def test_work_runs_while_leading_and_begins_again_at_the_next_turn() -> None:
    lease = Lease()
    world = World(lease)
    turns, ended = [asyncio.Event(), asyncio.Event()], asyncio.Event()

    async def work() -> None:
        next(each for each in turns if not each.is_set()).set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    leading = asyncio.create_task(world.leader.lead(work))
    async with running(world):
        await world.until_turned(1)
        lease.answer = False
        await world.until_turned(2)
        async with asyncio.timeout(5):
            await ended.wait()
        lease.answer = True
        await world.until_turned(3)
        async with asyncio.timeout(5):
            await turns[1].wait()
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    assert turns[0].is_set()


async def test_work_that_fails_is_not_hidden() -> None:
    world = World(None)
    await world.leader.stand()

    async def work() -> None:
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup) as failed:
        await world.leader.lead(work)
    assert failed.group_contains(RuntimeError, match="broken")
