"""The durable store of one control plane: an image in memory for reading, an SQLite file for surviving.

A write is checked against `_head` (everything accepted so far) when it is called, waits with its contemporaries
for one transaction, and becomes visible in `_image`, to watchers and to its caller after that transaction is on disk.
"""

import asyncio
import concurrent.futures
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import database, feed, image, memory, protocol, rows

_Acknowledgement = asyncio.Future[None]


class _Batch:
    """Writes that share a transaction, and the callers who wait for it."""

    __slots__ = ("waiters", "writes")

    def __init__(self) -> None:
        self.writes: list[database.Write] = []
        self.waiters: list[_Acknowledgement] = []


class SqliteStore:
    """Implements `protocol.Store` on a file. Opening it raises Unavailable where the file cannot be used.

    All calls must come from one event loop. `window` is how many changes a watcher may lag.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        catalog: catalogs.Catalog,
        clock: Callable[[], datetime] = memory.utc_now,
        window: int = feed.WINDOW,
    ) -> None:
        self._database = database.Database(Path(path))
        self._image = image.Image(clock)
        try:
            self._database.load(catalog, self._image)
        except BaseException:
            self._database.close()
            raise
        self._head = self._image.copy()
        self._feed = feed.Feed(self._image.revision, window)
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "store-writer")
        self._next = _Batch()
        self._committing: _Batch | None = None
        self._closed = False

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """See `protocol.Store.get`."""
        return self._image.get(key)

    async def list(self, kind: kinds.Kind[Any], mesh: str | None = None) -> Sequence[res.Resource[Any]]:
        """See `protocol.Store.list`."""
        return self._image.listing(kind.name, mesh)

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        """See `protocol.Store.create`."""
        return (await self._write([resource], lambda: self._head.create(resource, owner)))[0].resource

    async def update(self, resource: res.Resource[Any]) -> res.Resource[Any]:
        """See `protocol.Store.update`."""
        return (await self._write([resource], lambda: self._head.update(resource)))[0].resource

    async def delete(self, key: res.Key) -> None:
        """See `protocol.Store.delete`."""
        await self._write([], lambda: self._head.delete(key))

    async def apply(self, changes: Sequence[protocol.Change]) -> None:
        """See `protocol.Store.apply`."""
        stored = [each.resource for each in changes if each.op is not protocol.Op.DELETED]
        await self._write(stored, lambda: self._head.apply(changes))

    def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        """See `protocol.Store.watch`."""
        return self._feed.watch(since)

    def revision(self) -> int:
        """See `protocol.Store.revision`. Writes on their way to the disk do not count yet."""
        return self._image.revision

    async def close(self) -> None:
        """Waits for accepted writes, ends the watches and closes the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        # A failed write was told to its writer; what is left to do here is to let go of the file.
        with contextlib.suppress(errors.Unavailable):
            await self._settled()
        self._feed.close()
        self._writer.shutdown()
        self._database.close()

    # The way of a write

    async def _write(
        self, stored: Sequence[res.Resource[Any]], attempt: Callable[[], Sequence[protocol.Change]]
    ) -> Sequence[protocol.Change]:
        """Checks and carries out a write on the head, then waits until it is on disk."""
        if self._closed:
            raise errors.Unavailable("the store is closed")
        # Encoded first: a resource that does not encode fails alone, before anything changed.
        contents = {each.key: rows.encode_content(each) for each in stored}
        try:
            changes = attempt()
        except errors.KumaError:
            # The refusal may rest on a write that is not on disk yet; it is given when that one is certain.
            await self._settled()
            raise
        if changes:
            self._next.writes += [(each, _content(each, contents)) for each in changes]
        await self._settled()
        await self._feed.breathe()
        return changes

    async def _settled(self) -> None:
        """Returns when every write accepted so far is on disk; Unavailable where it could not be."""
        batch = self._next if self._next.writes else self._committing
        if batch is None:
            return
        waiter: _Acknowledgement = asyncio.get_running_loop().create_future()
        batch.waiters.append(waiter)
        self._commit_next()
        await waiter

    def _commit_next(self) -> None:
        """Sends the gathered batch to the writer thread, unless one is under way: then its end calls again."""
        if self._committing is not None or not self._next.writes:
            return
        batch, self._next = self._next, _Batch()
        self._committing = batch
        loop = asyncio.get_running_loop()
        job = self._writer.submit(self._database.commit, batch.writes)
        job.add_done_callback(lambda done: loop.call_soon_threadsafe(self._committed, batch, done.exception()))

    def _committed(self, batch: _Batch, failure: BaseException | None) -> None:
        """Runs on the event loop after a transaction: shows its changes, or takes back all that was accepted."""
        self._committing = None
        if failure is None:
            changes = [change for change, _ in batch.writes]
            self._image.replay(changes)
            self._feed.publish(changes)
        else:
            # Whatever was accepted since then was checked against writes that do not exist.
            batch.waiters += self._next.waiters
            self._next = _Batch()
            self._head = self._image.copy()
        for waiter in batch.waiters:
            if waiter.done():
                continue  # its caller was cancelled meanwhile
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(errors.Unavailable(str(failure)))
        self._commit_next()


def _content(change: protocol.Change, contents: dict[res.Key, rows.Content]) -> rows.Content | None:
    return None if change.op is protocol.Op.DELETED else contents[change.resource.key]
