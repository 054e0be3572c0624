"""The frame of loops that follow a store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import mesh
from kuma.services import following
from kuma.store import memory, protocol


class Losing(memory.MemoryStore):
    """A store whose first watcher hears one change and then falls behind."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = 0

    async def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        self.watched += 1
        async for change in super().watch(since):
            yield change
            if self.watched == 1:
                raise errors.Conflict("too far behind")


def a_mesh(name: str) -> res.Resource[mesh.Mesh]:
    return res.Resource(mesh.KIND, res.Meta("", name), mesh.Mesh())


async def test_what_is_there_is_read_anew_where_the_feed_moved_on() -> None:
    store, seen = Losing(), asyncio.Queue[str]()

    async def load() -> int:
        seen.put_nowait("loaded")
        return store.revision()

    async def write() -> None:
        seen.put_nowait("began")
        try:
            await asyncio.Event().wait()
        finally:
            seen.put_nowait("ended")

    async def told(count: int) -> list[str]:
        async with asyncio.timeout(5):
            return [await seen.get() for _ in range(count)]

    running = asyncio.create_task(
        following.follow(store, load, lambda change: seen.put_nowait(change.resource.meta.name), write)
    )
    assert await told(2) == ["loaded", "began"]
    await store.create(a_mesh("a"))
    assert await told(4) == ["a", "ended", "loaded", "began"]
    await store.create(a_mesh("b"))
    assert await told(1) == ["b"]
    await store.close()
    async with asyncio.timeout(5):
        await running
    assert await told(1) == ["ended"]


class Rounds:
    """Counts rounds; `left` is what each of them says."""

    def __init__(self, left: bool = False) -> None:
        self.left = left
        self.done = asyncio.Queue[None]()

    async def write(self) -> bool:
        self.done.put_nowait(None)
        return self.left

    async def next(self) -> None:
        async with asyncio.timeout(5):
            await self.done.get()


@contextlib.asynccontextmanager
async def answering(store: protocol.Store, rounds: Rounds, again: float) -> AsyncIterator[None]:
    running = asyncio.create_task(
        following.answer(
            store,
            lambda change: change.resource.meta.name != "other",
            rounds.write,
            gather=0.0,
            again=again,
        )
    )
    yield
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_round_comes_first_and_then_with_what_concerns_it() -> None:
    store, rounds = memory.MemoryStore(), Rounds()
    async with answering(store, rounds, again=60.0):
        await rounds.next()
        await store.create(a_mesh("other"))
        await store.create(a_mesh("a"))
        await rounds.next()
        for _ in range(10):
            await asyncio.sleep(0)
        assert rounds.done.empty()


@pytest.mark.parametrize("left", [True, False])
async def test_what_is_left_is_tried_again(left: bool) -> None:
    store, rounds = memory.MemoryStore(), Rounds(left)
    async with answering(store, rounds, again=0.001):
        await rounds.next()
        if left:
            await rounds.next()
        else:
            await store.create(a_mesh("a"))
            await rounds.next()
            assert rounds.done.empty()
