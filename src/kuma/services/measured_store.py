"""A store that times and counts its operations, and the count of what it holds. Wraps any store."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.services import metrics as metering
from kuma.store import protocol


class MeasuredStore:
    """Implements `protocol.Store` by another one. Reads are answered from memory, so only lists and writes are timed."""

    def __init__(self, inner: protocol.Store, metrics: metering.Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """See `protocol.Store.get`."""
        self._metrics.read("get", key.kind)
        return await self._inner.get(key)

    async def list(self, kind: kinds.Kind[Any], mesh: str | None = None) -> Sequence[res.Resource[Any]]:
        """See `protocol.Store.list`."""
        self._metrics.read("list", kind.name)
        with self._metrics.store_operation("list", kind.name):
            return await self._inner.list(kind, mesh)

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        """See `protocol.Store.create`."""
        with self._metrics.store_operation("create", resource.kind.name):
            return await self._inner.create(resource, owner)

    async def update(self, resource: res.Resource[Any]) -> res.Resource[Any]:
        """See `protocol.Store.update`."""
        with self._metrics.store_operation("update", resource.kind.name):
            return await self._inner.update(resource)

    async def delete(self, key: res.Key) -> None:
        """See `protocol.Store.delete`."""
        with self._metrics.store_operation("delete", key.kind):
            await self._inner.delete(key)

    async def apply(self, changes: Sequence[protocol.Change]) -> None:
        """See `protocol.Store.apply`. Timed under the kind of the first change."""
        if not changes:
            return
        with self._metrics.store_operation("apply", changes[0].resource.kind.name):
            await self._inner.apply(changes)

    def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        """See `protocol.Store.watch`."""
        return _CountedWatch(self._inner.watch(since), self._metrics)

    def revision(self) -> int:
        """See `protocol.Store.revision`."""
        return self._inner.revision()

    async def close(self) -> None:
        """See `protocol.Store.close`."""
        await self._inner.close()


class _CountedWatch(AsyncIterator[protocol.Change]):
    """A watch that reports when it missed changes."""

    def __init__(self, inner: AsyncIterator[protocol.Change], metrics: metering.Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def __anext__(self) -> protocol.Change:
        try:
            return await anext(self._inner)
        except errors.Conflict:
            self._metrics.fell_behind()
            raise


async def count_resources(store: protocol.Store, catalog: catalogs.Catalog, metrics: metering.Metrics) -> None:
    """Sets `resources_count` for every kind; called before a scrape."""
    with metrics.loop("store_counter"):
        for kind in catalog:
            metrics.resources(kind.name, len(await store.list(kind)))
