"""The frame of loops that follow a store: what is there is read first, then kept current by changes.

Changes are noted as they come, and what is written because of them is written beside that, so that a slow write holds
up no news.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from kuma.base import errors
from kuma.store import protocol

Load = Callable[[], Awaitable[int]]
Take = Callable[[protocol.Change], None]
Beside = Callable[[], Coroutine[Any, Any, None]]


async def follow(store: protocol.Store, load: Load, take: Take, *beside: Beside) -> None:
    """Gives every change to `take` while `beside` run. Runs until cancelled, or until the store is closed.

    `load` reads what is there and gives the revision from which to follow. It is called again, and `beside` begin
    anew, where the feed moved on without us.
    """
    is_lost = True
    while is_lost:
        revision = await load()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each()) for each in beside]
            is_lost = await _hear(store, revision, take)
            for each in running:
                each.cancel()


async def _hear(store: protocol.Store, revision: int, take: Take) -> bool:
    """Whether the feed moved on without us; else the store was closed."""
    try:
        async for change in store.watch(revision):
            take(change)
    except errors.Conflict:
        return True
    return False


async def answer(
    store: protocol.Store,
    concerns: Callable[[protocol.Change], bool],
    write: Callable[[], Awaitable[bool]],
    *,
    gather: float,
    again: float,
) -> None:
    """Calls `write` at first, and then `gather` seconds after each change that `concerns` it. Runs as `follow` does.

    `write` tells whether something is left, to be tried again after `again` seconds.
    """
    due = asyncio.Event()

    async def load() -> int:
        revision = store.revision()
        due.set()
        return revision

    def take(change: protocol.Change) -> None:
        if concerns(change):
            due.set()

    async def rounds() -> None:
        is_left = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again if is_left else None):
                    await due.wait()
            await asyncio.sleep(gather)
            due.clear()
            is_left = await write()

    await follow(store, load, take, rounds)
