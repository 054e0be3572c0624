"""What every store offers: optimistic writes, ordered listing, and one ordered stream of changes.

Revisions are a single counter per store. A write gets the next one, and watchers see writes in that order.
"""

import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kuma.resources import kind as kinds
from kuma.resources import resource as res


class Op(enum.Enum):
    """What happened to a resource."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `resource` is the new value, or the last one where it was deleted; `revision` 0 before it is applied.

    `owner` of a change to apply: None leaves the owner that the resource has, if any.
    """

    op: Op
    resource: res.Resource[Any]
    revision: int = 0
    owner: res.Key | None = None


class Store(Protocol):
    """Durable resources. Every method is safe to call from many tasks at once."""

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """The resource at `key`; NotFound where there is none."""
        ...

    async def list(self, kind: kinds.Kind[Any], mesh: str | None = None) -> Sequence[res.Resource[Any]]:
        """All resources of a kind (of one mesh, if given), ordered by mesh, then name."""
        ...

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        """Stores a new resource and returns it with its times and version; AlreadyExists where the key is taken.

        When the owner is deleted, so is the resource, in the same transaction. NotFound where the owner is absent.
        """
        ...

    async def update(self, resource: res.Resource[Any]) -> res.Resource[Any]:
        """Replaces labels, spec and status; NotFound, or Conflict unless `meta.version` is the stored one."""
        ...

    async def delete(self, key: res.Key) -> None:
        """Removes a resource and all it owns, transitively; NotFound where there is none.

        Each removal is a change of its own; what is owned goes before its owner.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Carries out changes in order, all or none, visible together.

        Idempotent: creates and updates store the resource whether or not it is there and whatever its version,
        deletes of absent keys pass, and what would change nothing is not written. A delete cascades.
        NotFound where an owner is absent.
        """
        ...

    def watch(self, since: int | None = None) -> AsyncIterator[Change]:
        """Every change after revision `since`, in order, for ever; None means from now on.

        What was written before the first step of the iterator but after the call is not missed.
        A `since` that the store cannot replay (too old, or not reached yet) raises Conflict, and so does the step of
        a watcher that fell behind by more than the store keeps: list again, then watch from `revision()`.
        No change is lost or seen twice where nothing is awaited between `list` and `revision()`. `close` ends the
        iterator after what there was.
        """
        ...

    def revision(self) -> int:
        """The revision of the last write."""
        ...

    async def close(self) -> None:
        """Flushes and releases everything. Afterwards the store must not be used."""
        ...
