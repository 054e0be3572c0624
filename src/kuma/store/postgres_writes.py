"""The four writes as requests: what they need, the statements they come down to, and what a refusal means.

A request is planned against the image at the moment it is carried out; the database has the last word, because other
control planes write too.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.store import image, postgres_mirror, protocol
from kuma.store import postgres_rows as rows
from kuma.store import rows as contents

AnyResource = res.Resource[Any]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement. `stored` is the resource that it puts; None where it deletes `key`."""

    key: res.Key
    stored: AnyResource | None
    sql: str
    parameters: Sequence[Any]

    def show(self, mirror: postgres_mirror.Mirror, answer: Sequence[Any]) -> Iterator[protocol.Change]:
        """The changes, made to the image, once the statement is committed and had an effect."""
        if self.stored is None:
            yield from mirror.deleted(self.key)
        else:
            yield mirror.wrote(self.stored, rows.written_of(answer))


def _delete(key: res.Key) -> Step:
    return Step(key, None, rows.DELETE, key)


class Request(ABC):
    """A write that waits for its turn. `answer` gets the changes it made, or the error for its caller."""

    def __init__(self, mirror: postgres_mirror.Mirror, clock: Clock) -> None:
        self.mirror = mirror
        self.clock = clock
        self.answer: asyncio.Future[Sequence[protocol.Change]] = asyncio.get_running_loop().create_future()

    @property
    @abstractmethod
    def keys(self) -> Sequence[res.Key]:
        """What must be known truly before the request may be refused."""

    @abstractmethod
    def plan(self) -> Sequence[Step]:
        """The statements; a KumaError where the image says that the request cannot be."""

    @abstractmethod
    def refusal(self) -> errors.KumaError:
        """The error where its only statement had no effect. The image says what is true now."""

    def fail(self, failure: BaseException) -> None:
        """Answers with an error, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_exception(failure)

    def succeed(self, changes: Sequence[protocol.Change]) -> None:
        """Answers with what was done, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_result(changes)


class Create(Request):
    """See `protocol.Store.create`."""

    def __init__(
        self, mirror: postgres_mirror.Mirror, clock: Clock, resource: AnyResource, owner: res.Key | None
    ) -> None:
        super().__init__(mirror, clock)
        self._resource = resource
        self._owner = owner
        self._content = contents.encode_content(resource)

    @property
    def keys(self) -> Sequence[res.Key]:
        """Itself and its owner."""
        return (self._resource.key, self._owner) if self._owner else (self._resource.key,)

    def plan(self) -> Sequence[Step]:
        """One insertion; NotFound where the owner is absent."""
        own = self._resource
        if self.mirror.image.find(own.key) is not None:
            raise self.refusal()
        if self._owner is not None:
            self.mirror.image.get(self._owner)
        return (Step(own.key, own, rows.CREATE, rows.inserted(own, self._content, self._owner, self.clock())),)

    def refusal(self) -> errors.KumaError:
        """The key is taken."""
        return errors.AlreadyExists(f"resource already exists: {image.describe(self._resource.key)}")


class Update(Request):
    """See `protocol.Store.update`."""

    def __init__(self, mirror: postgres_mirror.Mirror, clock: Clock, resource: AnyResource) -> None:
        super().__init__(mirror, clock)
        self._resource = resource
        self._content = contents.encode_content(resource)

    @property
    def keys(self) -> Sequence[res.Key]:
        """Itself."""
        return (self._resource.key,)

    def plan(self) -> Sequence[Step]:
        """One update of the row as it was read; NotFound, or Conflict where the version is another."""
        own = self._resource
        known = self.mirror.image.get(own.key)
        stamp = self.mirror.stamp(own.key)
        if known.meta.version != own.meta.version or stamp is None:
            raise self.refusal()
        return (Step(own.key, own, rows.UPDATE, rows.updated(own, self._content, stamp, self.clock())),)

    def refusal(self) -> errors.KumaError:
        """Somebody else wrote, or deleted."""
        if self.mirror.image.find(self._resource.key) is None:
            return image.not_found(self._resource.key)
        return errors.Conflict(f"resource conflict: {image.describe(self._resource.key)}")


class Delete(Request):
    """See `protocol.Store.delete`."""

    def __init__(self, mirror: postgres_mirror.Mirror, clock: Clock, key: res.Key) -> None:
        super().__init__(mirror, clock)
        self._key = key

    @property
    def keys(self) -> Sequence[res.Key]:
        """Itself."""
        return (self._key,)

    def plan(self) -> Sequence[Step]:
        """One deletion; the database takes along what is owned. NotFound where there is nothing."""
        self.mirror.image.get(self._key)
        return (_delete(self._key),)

    def refusal(self) -> errors.KumaError:
        """Somebody else was faster."""
        return image.not_found(self._key)


class Apply(Request):
    """See `protocol.Store.apply`."""

    def __init__(self, mirror: postgres_mirror.Mirror, clock: Clock, changes: Sequence[protocol.Change]) -> None:
        super().__init__(mirror, clock)
        self._changes = changes
        self._contents = {
            id(each): contents.encode_content(each.resource) for each in changes if each.op is not protocol.Op.DELETED
        }

    @property
    def keys(self) -> Sequence[res.Key]:
        """The owners: nothing else can be missing."""
        return list(dict.fromkeys(each.owner for each in self._changes if each.owner is not None))

    def plan(self) -> Sequence[Step]:
        """What has an effect, in order. NotFound where an owner is absent at its turn."""
        steps: list[Step] = []
        put: set[res.Key] = set()
        gone: set[res.Key] = set()
        for change in self._changes:
            key = change.resource.key
            if change.op is protocol.Op.DELETED:
                gone.update(self.mirror.image.family(key))
                put.discard(key)
                steps.append(_delete(key))
                continue
            owner = change.owner
            if owner is not None and owner not in put and (owner in gone or self.mirror.image.find(owner) is None):
                raise image.not_found(owner)
            if key in put or key in gone or not self.mirror.image.holds(change):
                steps.append(self._put(change))
                put.add(key)
        return steps

    def _put(self, change: protocol.Change) -> Step:
        own = change.resource
        values = rows.inserted(own, self._contents[id(change)], change.owner, self.clock())
        return Step(own.key, own, rows.PUT, values)

    def refusal(self) -> errors.KumaError:
        """Statements without effect are none: what is absent may be deleted."""
        raise AssertionError("an apply is not refused")
