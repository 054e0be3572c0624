"""Turns for long answers: however many are being made, one piece of one of them is done in a round of the event loop.

The loop serves proxies too. Fifty readers that each yield after a millisecond still are fifty milliseconds a round, and
a change needs several rounds to reach a proxy; with turns a round is as long as one piece.
"""

import asyncio
from collections import deque


class Turns:
    """Whoever asked first is next. Made for one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Returns when it is the caller's turn to do one piece of work, of a millisecond or so."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._give)
        await mine

    def _give(self) -> None:
        """Lets the next one go on, and comes back in the next round of the loop while others wait."""
        mine = self._waiting.popleft()
        if not mine.done():
            mine.set_result(None)
        if self._waiting:
            mine.get_loop().call_soon(self._give)
