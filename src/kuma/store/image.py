"""The state of a store in memory: resources by kind, mesh and name, who owns whom, and the revision.

Every operation is synchronous and all or nothing, returns the changes it made, each with its revision, and leaves
telling others about them to the store. One task sees an image at a time, so there are no locks.
"""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.store import protocol

AnyResource = res.Resource[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    resource: AnyResource
    owner: res.Key | None


class _Shelf:
    """The resources of one kind in one mesh; names are kept sorted so that listing is a walk."""

    __slots__ = ("entries", "listed", "names")

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.names: list[str] = []
        self.listed: tuple[AnyResource, ...] | None = None

    def put(self, name: str, entry: _Entry) -> None:
        if name not in self.entries:
            bisect.insort(self.names, name)
        self.entries[name] = entry
        self.listed = None

    def drop(self, name: str) -> None:
        del self.entries[name]
        del self.names[bisect.bisect_left(self.names, name)]
        self.listed = None

    def listing(self) -> tuple[AnyResource, ...]:
        if self.listed is None:
            self.listed = tuple(self.entries[name].resource for name in self.names)
        return self.listed

    def copy(self) -> "_Shelf":
        twin = _Shelf()
        twin.entries, twin.names, twin.listed = dict(self.entries), list(self.names), self.listed
        return twin


def describe(key: res.Key) -> str:
    """A key as Kuma spells it in store errors."""
    return f'type="{key.kind}" name="{key.name}" mesh="{key.mesh}"'


def not_found(key: res.Key) -> errors.NotFound:
    """The error for a key without a resource."""
    return errors.NotFound(f"resource not found: {describe(key)}")


class Image:
    """Resources, owners and one revision counter. `clock` gives the times that writes are stamped with."""

    def __init__(self, clock: Callable[[], datetime], revision: int = 0) -> None:
        self._clock = clock
        self._shelves: dict[str, dict[str, _Shelf]] = {}
        self._owned: dict[res.Key, set[res.Key]] = {}
        self.revision = revision

    def copy(self) -> "Image":
        """An independent image of the same values."""
        twin = Image(self._clock, self.revision)
        twin._shelves = {
            kind: {mesh: shelf.copy() for mesh, shelf in meshes.items()} for kind, meshes in self._shelves.items()
        }
        twin._owned = {owner: set(keys) for owner, keys in self._owned.items()}
        return twin

    # Reading

    def get(self, key: res.Key) -> AnyResource:
        """The resource at `key`; NotFound where there is none."""
        entry = self._entry(key)
        if entry is None:
            raise not_found(key)
        return entry.resource

    def listing(self, kind: str, mesh: str | None) -> Sequence[AnyResource]:
        """The resources of a kind, ordered by mesh, then name."""
        meshes = self._shelves.get(kind, {})
        if mesh is not None:
            return meshes[mesh].listing() if mesh in meshes else ()
        if len(meshes) == 1:
            return next(iter(meshes.values())).listing()
        return tuple(each for name in sorted(meshes) for each in meshes[name].listing())

    def find(self, key: res.Key) -> AnyResource | None:
        """The resource at `key`, or None."""
        entry = self._entry(key)
        return entry.resource if entry else None

    def holds(self, change: protocol.Change) -> bool:
        """Whether storing the resource of a change, with its owner, would change nothing."""
        entry = self._entry(change.resource.key)
        return entry is not None and _same(entry, change)

    def family(self, root: res.Key) -> list[res.Key]:
        """The key and all it owns, transitively: owned before owner. Cycles are walked once."""
        return self._family(root)

    # Writing

    def create(self, resource: AnyResource, owner: res.Key | None) -> Sequence[protocol.Change]:
        """One change; AlreadyExists where the key is taken, NotFound where the owner is absent."""
        if self._entry(resource.key) is not None:
            raise errors.AlreadyExists(f"resource already exists: {describe(resource.key)}")
        return (self._write(resource, owner),)

    def update(self, resource: AnyResource) -> Sequence[protocol.Change]:
        """One change; NotFound, or Conflict where the version is not the stored one."""
        entry = self._entry(resource.key)
        if entry is None:
            raise not_found(resource.key)
        if entry.resource.meta.version != resource.meta.version:
            raise errors.Conflict(f"resource conflict: {describe(resource.key)}")
        return (self._write(resource, None),)

    def delete(self, key: res.Key) -> Sequence[protocol.Change]:
        """The removal of everything owned, deepest first, and of the resource; NotFound where there is none."""
        if self._entry(key) is None:
            raise not_found(key)
        return [self._remove(each) for each in self._family(key)]

    def apply(self, changes: Iterable[protocol.Change]) -> Sequence[protocol.Change]:
        """The changes that had an effect. NotFound for an absent owner undoes what was done and is raised."""
        before: list[tuple[res.Key, _Entry | None]] = []
        revision = self.revision
        done: list[protocol.Change] = []
        try:
            for change in changes:
                key = change.resource.key
                entry = self._entry(key)
                if change.op is protocol.Op.DELETED:
                    for each in self._family(key) if entry else ():
                        before.append((each, self._entry(each)))
                        done.append(self._remove(each))
                elif entry is None or not _same(entry, change):
                    before.append((key, entry))
                    done.append(self._write(change.resource, change.owner))
        except BaseException:
            for key, entry in reversed(before):
                self._place(key, entry)
            self.revision = revision
            raise
        return done

    def replay(self, changes: Iterable[protocol.Change]) -> None:
        """Repeats changes that another image of the same values made."""
        for change in changes:
            entry = None if change.op is protocol.Op.DELETED else _Entry(change.resource, change.owner)
            self._place(change.resource.key, entry)
            self.revision = change.revision

    def take(self, resource: AnyResource, owner: res.Key | None) -> protocol.Change:
        """Keeps what was written elsewhere, with its times and exactly this owner, as this image's next revision."""
        is_new = self._entry(resource.key) is None
        self.revision += 1
        stamped = dataclasses.replace(resource, meta=dataclasses.replace(resource.meta, version=self.revision))
        self._place(resource.key, _Entry(stamped, owner))
        op = protocol.Op.CREATED if is_new else protocol.Op.UPDATED
        return protocol.Change(op, stamped, self.revision, owner)

    def load(self, resource: AnyResource, owner: res.Key | None) -> None:
        """Takes a stored resource as it is, without a change or a new revision."""
        self._place(resource.key, _Entry(resource, owner))

    # Within

    def _entry(self, key: res.Key) -> _Entry | None:
        shelf = self._shelves.get(key.kind, {}).get(key.mesh)
        return shelf.entries.get(key.name) if shelf else None

    def _place(self, key: res.Key, entry: _Entry | None) -> None:
        """Puts an entry at a key, or nothing (None), and keeps the index of owners."""
        old = self._entry(key)
        if old is not None and old.owner is not None:
            siblings = self._owned[old.owner]
            siblings.discard(key)
            if not siblings:
                del self._owned[old.owner]
        meshes = self._shelves.setdefault(key.kind, {})
        if entry is None:
            if old is not None:
                meshes[key.mesh].drop(key.name)
                if not meshes[key.mesh].names:
                    del meshes[key.mesh]
            return
        if entry.owner is not None:
            self._owned.setdefault(entry.owner, set()).add(key)
        meshes.setdefault(key.mesh, _Shelf()).put(key.name, entry)

    def _write(self, resource: AnyResource, owner: res.Key | None) -> protocol.Change:
        """Stamps and keeps a resource. An owner of None leaves the one it has."""
        if owner is not None and self._entry(owner) is None:
            raise not_found(owner)
        old = self._entry(resource.key)
        now = self._clock()
        self.revision += 1
        meta = dataclasses.replace(
            resource.meta,
            version=self.revision,
            creation_time=old.resource.meta.creation_time if old else now,
            modification_time=now,
        )
        entry = _Entry(dataclasses.replace(resource, meta=meta), owner or (old.owner if old else None))
        self._place(resource.key, entry)
        op = protocol.Op.UPDATED if old else protocol.Op.CREATED
        return protocol.Change(op, entry.resource, self.revision, entry.owner)

    def _remove(self, key: res.Key) -> protocol.Change:
        entry = self._entry(key)
        assert entry is not None, "only what the image holds is removed"
        self._place(key, None)
        self.revision += 1
        return protocol.Change(protocol.Op.DELETED, entry.resource, self.revision, entry.owner)

    def _family(self, root: res.Key) -> list[res.Key]:
        """The key and all it owns, transitively: owned before owner, siblings by key. Cycles are walked once."""
        found = [root]
        seen = {root}
        for key in found:
            fresh = [each for each in sorted(self._owned.get(key, ())) if each not in seen]
            seen.update(fresh)
            found += fresh
        found.reverse()
        return found


def _same(entry: _Entry, change: protocol.Change) -> bool:
    old, new = entry.resource, change.resource
    return (
        old.spec == new.spec
        and old.status == new.status
        and dict(old.meta.labels) == dict(new.meta.labels)
        and (change.owner is None or change.owner == entry.owner)
    )
