"""The ordered stream of changes that a store offers its watchers, with a bounded window for replay.

Watchers hold a revision, not a queue: one that sleeps costs nothing, and one that sleeps for longer than the window is told so.
"""

import asyncio
import collections
import itertools
import weakref
from collections.abc import AsyncIterator, Sequence

from kuma.base import errors
from kuma.store import protocol

WINDOW = 8192
"""How many changes a watcher may lag by default; a burst that is larger than this is kept whole."""

TAIL = 256
"""How many changes are kept when no watcher lags, for those that join with a revision they listed at."""


class Feed:
    """The latest changes. Revisions are consecutive, so a place among them is a difference of revisions."""

    def __init__(self, revision: int, window: int = WINDOW) -> None:
        self._window = window
        self._recent: collections.deque[protocol.Change] = collections.deque()
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self.revision = revision
        self.closed = False

    @property
    def oldest(self) -> int:
        """The smallest revision that a watch can start after."""
        return self.revision - len(self._recent)

    def publish(self, changes: Sequence[protocol.Change]) -> None:
        """Appends changes whose revisions follow the last one, and wakes the watchers."""
        if not changes:
            return
        self._recent.extend(changes)
        self.revision = changes[-1].revision
        self._trim(max(self._window, len(changes)))
        self._wake()

    def _trim(self, limit: int) -> None:
        """Keeps what the slowest watcher lacks, up to the limit. Changes hold old values, so they are let go early."""
        lag = max((self.revision - watch.position for watch in self._watches), default=0)
        keep = max(min(lag, limit), min(TAIL, self._window))
        while len(self._recent) > keep:
            self._recent.popleft()

    def after(self, revision: int) -> list[protocol.Change]:
        """Every change after `revision`; Conflict where the window does not reach back (or not yet) that far."""
        missed = self.revision - revision
        if not 0 <= missed <= len(self._recent):
            raise errors.Conflict(
                f"changes after revision {revision} cannot be replayed (kept: {self.oldest} to {self.revision}); "
                "list again and watch from the current revision"
            )
        newest_first = list(itertools.islice(reversed(self._recent), missed))
        newest_first.reverse()
        return newest_first

    async def breathe(self) -> None:
        """Lets watchers run when one of them lags by half the window.

        A store that never waits would otherwise outrun them inside one turn of the event loop.
        """
        if any(self.revision - watch.position > self._window // 2 for watch in self._watches):
            await asyncio.sleep(0)

    def watch(self, since: int | None) -> "Watch":
        """An iterator over the changes after `since`; None means from now on."""
        watch = Watch(self, self.revision if since is None else since)
        self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Ends every watch once it has seen what there is."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        for watch in self._watches:
            watch.news.set()


class Watch(AsyncIterator[protocol.Change]):
    """One watcher: its position, and the changes that it has fetched and not yet handed out."""

    def __init__(self, feed: Feed, since: int) -> None:
        self._feed = feed
        self._fetched: collections.deque[protocol.Change] = collections.deque()
        self.position = since
        self.news = asyncio.Event()

    async def __anext__(self) -> protocol.Change:
        """The next change, waiting for it; Conflict when the watcher fell behind the window, the end on close."""
        while not self._fetched:
            self.news.clear()
            self._fetched.extend(self._feed.after(self.position))
            if self._fetched:
                self.position = self._feed.revision
            elif self._feed.closed:
                raise StopAsyncIteration
            else:
                await self.news.wait()
        return self._fetched.popleft()
