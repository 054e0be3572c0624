"""Keeps what destinations are made of current: follows the store and writes drafts that differ from what is stored.

A change is answered within `gather` seconds, together with what came in that time; while rounds take long they are
further apart, so that the loop never takes more than a share of the machine. Counts of proxies alone wait for `settle`:
nothing depends on them. While nothing changes nothing runs.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import dns_vips
from kuma.resources import resource as res
from kuma.resources.kinds import mesh
from kuma.services import following
from kuma.services.destinations import drafting, picture, standing
from kuma.services.rules import role as roles
from kuma.store import protocol

AnyResource = res.Resource[Any]

_LOG = structlog.get_logger("destinations")

_REST = 2
"""A round is followed by this many times its own duration without one, but no longer than a second."""

_SLICE = 50
"""Resources that are read or drafted without a pause: other tasks have their turn in between."""

_TOGETHER = 64
"""Writes that are under way at once: stores commit together what comes together."""

_LONGEST_WAIT = 60.0
"""Seconds. A MeshService's end is wall time and timers are not: a machine that slept must not sleep on."""


class DestinationLoop:
    """Writes MeshServices, Workloads and legacy addresses, and the statuses of everything that proxies can reach."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        role: roles.Role,
        settings: drafting.Settings,
        clock: Callable[[], datetime],
        measures: drafting.Measures,
        gather: float = 0.05,
        settle: float = 1.0,
    ) -> None:
        """`clock` tells wall time; `gather` and `settle` are seconds."""
        self._store = store
        self._kinds = [kind for name in picture.KINDS if (kind := catalog.find(name)) is not None]
        self._offered = frozenset(kind.name for kind in self._kinds)
        self._role = role
        self._settings = settings
        self._clock = clock
        self._measures = measures
        self._gather = gather
        self._settle = settle
        self._wake = asyncio.Event()
        self._put_off: dict[res.Key, float] = {}
        self._begin()

    def _begin(self) -> None:
        self._picture = picture.Picture(self._role, untagged=self._settings.untagged)
        self._drafting = drafting.Drafting(self._picture, self._role, self._settings, self._measures, self._offered)
        self._put_off.clear()

    async def run(self) -> None:
        """Runs until cancelled, or until the store is closed."""
        await following.follow(self._store, self._load, self._hear, self._write_when_due)

    async def write_all(self) -> None:
        """Writes what is missing or out of date now, without following changes."""
        while True:
            await self._load()
            before = self._store.revision()
            await self._round(everything=True)
            if self._store.revision() == before:
                return

    async def _load(self) -> int:
        """Reads everything; the revision from which to follow. Everything is due afterwards."""
        revision = self._store.revision()
        self._begin()
        for kind in self._kinds:
            for index, each in enumerate(await self._store.list(kind)):
                self._take(protocol.Op.CREATED, each)
                if index % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
        self._wake.set()
        return revision

    def _take(self, op: protocol.Op, resource: AnyResource) -> None:
        """Notes a change; one that cannot be read is as if it had not happened."""
        try:
            self._picture.take(op, resource)
        except Exception as failure:
            key = resource.key
            _LOG.error("cannot be read", kind=key.kind, mesh=key.mesh, name=key.name, error=str(failure))

    def _hear(self, change: protocol.Change) -> None:
        if change.resource.kind.name in self._offered:
            self._take(change.op, change.resource)
            if self._picture.due:
                self._wake.set()

    async def _write_when_due(self) -> None:
        """What a change brings along (the other replicas of a service, the rest of a rollout) is written with it."""
        now = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait(now())):
                    await self._wake.wait()
            await asyncio.sleep(pause or self._gather)
            self._wake.clear()
            pause = max(self._gather, min(_REST * await self._round(), 1.0))
            if self._picture.due:
                self._wake.set()

    def _wait(self, now: float) -> float:
        """Seconds until something is due by itself."""
        dates = [date - now for date in self._put_off.values()]
        wall = self._clock()
        dates += [(end - wall).total_seconds() for end in self._drafting.waning.values()]
        return min(max(min(dates, default=_LONGEST_WAIT), 0.0), _LONGEST_WAIT)

    async def _round(self, *, everything: bool = False) -> float:
        """Writes what is due; the seconds that drafting took. Counts alone wait to settle, unless `everything` is due."""
        now, wall = asyncio.get_running_loop().time, self._clock()
        due, busy = self._picture.take_due(), 0.0
        settled = {key for key, date in self._put_off.items() if date <= now()}
        for key in settled:
            del self._put_off[key]
            due.add(key)
        due.services.update(key for key, end in self._drafting.waning.items() if end <= wall)
        self._drafting.note_addresses(due.services)
        for some in due.slices(_SLICE):
            began = now()
            drafts = self._drafting.drafts(some, wall)
            found = [each for each in drafts.items() if self._is_due(*each, at_once=everything or each[0] in settled)]
            busy += now() - began
            await self._write(found)
            await asyncio.sleep(0)
        return busy

    def _is_due(self, key: res.Key, draft: AnyResource | None, *, at_once: bool) -> bool:
        """Whether a draft is to be written now."""
        stored = self._picture.stored(key)
        is_late = not _are_equal(stored, draft) and not at_once and _differ_in_counts(stored, draft)
        if is_late:
            self._put_off.setdefault(key, asyncio.get_running_loop().time() + self._settle)
            return False
        self._put_off.pop(key, None)
        return not _are_equal(stored, draft)

    async def _write(self, drafts: Iterable[tuple[res.Key, AnyResource | None]]) -> None:
        for some in _batches(drafts, _TOGETHER):
            async with asyncio.TaskGroup() as tasks:
                for key, draft in some:
                    tasks.create_task(self._put(key, draft))

    async def _put(self, key: res.Key, draft: AnyResource | None) -> None:
        """Stores a draft, or removes what should not be there."""
        try:
            if draft is None:
                await self._store.delete(key)
            elif self._picture.stored(key) is not None:
                await self._store.update(draft)
            else:
                owner = dns_vips.mesh_of(key.name) if key.kind == picture.CONFIG else key.mesh
                await self._store.create(draft, res.Key(mesh.KIND.name, "", owner or ""))
        except (errors.Conflict, errors.AlreadyExists, errors.Unavailable):
            # Somebody else wrote in between, or the store is away for now: try again on what there is then.
            self._put_off[key] = asyncio.get_running_loop().time() + self._settle
        except errors.NotFound:
            # It, or its mesh, went away meanwhile.
            return


def _batches(
    drafts: Iterable[tuple[res.Key, AnyResource | None]], size: int
) -> Iterator[tuple[tuple[res.Key, AnyResource | None], ...]]:
    left = iter(drafts)
    while some := tuple(itertools.islice(left, size)):
        yield some


def _are_equal(stored: AnyResource | None, draft: AnyResource | None) -> bool:
    if stored is None or draft is None:
        return stored is draft
    return (stored.meta.labels, stored.spec, stored.status) == (draft.meta.labels, draft.spec, draft.status)


def _differ_in_counts(stored: AnyResource | None, draft: AnyResource | None) -> bool:
    """Whether nothing but the number of proxies changed."""
    if stored is None or draft is None:
        return False
    if stored.kind.name == picture.WORKLOAD:
        return True
    return stored.kind.name == picture.MESH_SERVICE and standing.without_counts(stored) == standing.without_counts(
        draft
    )
