"""Long answers take turns: one piece a round of the loop, first come first served, and nobody's end is in the way."""

import asyncio
import contextlib

from kuma.servers.rest.messages import turns


async def test_one_piece_is_done_a_round_whoever_does_it() -> None:
    shared, pieces, rounds = turns.Turns(), [], 0

    async def work(name: str) -> None:
        for _ in range(3):
            await shared.take()
            pieces.append((name, rounds))

    async def live() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    others = asyncio.create_task(live())
    await asyncio.gather(*(work(name) for name in "abcde"))
    others.cancel()
    assert [name for name, _ in pieces] == list("abcde") * 3
    assert len({at for _, at in pieces}) == len(pieces)


async def test_who_gave_up_is_passed_over() -> None:
    shared = turns.Turns()
    first, second, third = (asyncio.create_task(shared.take()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    third.cancel()
    async with asyncio.timeout(5):
        await second
        for each in (first, third):
            with contextlib.suppress(asyncio.CancelledError):
                await each
        await shared.take()
