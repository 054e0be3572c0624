"""The store that forgets: everything lives in this process and goes with it. For tests, simulations and zones of a day."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import feed, image, protocol


def utc_now() -> datetime:
    """The time that writes are stamped with."""
    return datetime.now(UTC)


class MemoryStore:
    """Implements `protocol.Store`. `window` is how many changes a watcher may lag."""

    def __init__(self, clock: Callable[[], datetime] = utc_now, window: int = feed.WINDOW) -> None:
        self._image = image.Image(clock)
        self._feed = feed.Feed(0, window)

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """See `protocol.Store.get`."""
        return self._image.get(key)

    async def list(self, kind: kinds.Kind[Any], mesh: str | None = None) -> Sequence[res.Resource[Any]]:
        """See `protocol.Store.list`."""
        return self._image.listing(kind.name, mesh)

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        """See `protocol.Store.create`."""
        changes = self._image.create(resource, owner)
        await self._publish(changes)
        return changes[0].resource

    async def update(self, resource: res.Resource[Any]) -> res.Resource[Any]:
        """See `protocol.Store.update`."""
        changes = self._image.update(resource)
        await self._publish(changes)
        return changes[0].resource

    async def delete(self, key: res.Key) -> None:
        """See `protocol.Store.delete`."""
        await self._publish(self._image.delete(key))

    async def apply(self, changes: Sequence[protocol.Change]) -> None:
        """See `protocol.Store.apply`."""
        await self._publish(self._image.apply(changes))

    def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        """See `protocol.Store.watch`."""
        return self._feed.watch(since)

    def revision(self) -> int:
        """See `protocol.Store.revision`."""
        return self._image.revision

    async def close(self) -> None:
        """Ends the watches."""
        self._feed.close()

    async def _publish(self, changes: Sequence[protocol.Change]) -> None:
        self._feed.publish(changes)
        await self._feed.breathe()
