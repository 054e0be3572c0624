"""The durable store that control planes share: an image in memory for reading, Kuma's tables in PostgreSQL.

One task, the keeper, does all that touches both: it carries out writes, a batch a transaction, and reads the rows that
others wrote (the listener says which). So the image only moves forward, and a write is in it before its caller knows.
See decisions/0020-postgres-watch.md.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
import structlog

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import (
    feed,
    memory,
    postgres_lease,
    postgres_listener,
    postgres_mirror,
    postgres_rows,
    postgres_schema,
    postgres_transactions,
    postgres_writes,
    protocol,
)
from kuma.store import postgres_connection as connecting

_LOADED_AT_ONCE = 500
_BATCH = 500
"""Requests that share a transaction at most."""
_MANY = 32
"""From so many keys on everything is compared instead: the notifications of a larger transaction may come in parts."""
_TRIES = 3
"""How often a request is planned anew when the database knew better."""
_PER_ROW = 0.001
"""Seconds that reading a row may take on a slow line."""
_PAUSE = 0.5
"""Seconds until rows that could not be read are asked for again."""
_LOG = structlog.get_logger("store")

_Planned = Sequence[tuple[postgres_writes.Request, Sequence[postgres_writes.Step]]]


class PostgresStore:
    """Implements `protocol.Store`; call it, and make it, on one running event loop.

    Opening blocks while everything is loaded, and raises Unavailable where the database cannot be used or is not
    migrated. Afterwards a lost database is waited for: reads go on, writes raise Unavailable after
    `connection_timeout` seconds. Revisions and versions count what this process has seen.
    """

    def __init__(
        self,
        options: connecting.Options,
        catalog: catalogs.Catalog,
        clock: Callable[[], datetime] = memory.utc_now,
        window: int = feed.WINDOW,
    ) -> None:
        self._options = options
        self._clock = clock
        self._mirror = postgres_mirror.Mirror(catalog)
        _load(options, self._mirror)
        self._mirror.start()
        self._feed = feed.Feed(self._mirror.image.revision, window)
        self._pool = connecting.pool(options)
        self._transactions = postgres_transactions.Transactions(options, self._pool, self._compare)
        self._requests: list[postgres_writes.Request] = []
        self._suspects: dict[res.Key, None] = {}
        self._is_compared = True
        self._wake = asyncio.Event()
        self._is_closing = False
        # The store owns what runs for it from here to `close`, as the SQLite store owns its writer thread.
        listener = postgres_listener.Listener(options, self._heard, self._compare)
        self._listening = asyncio.create_task(listener.run(), name="store-listener")
        self._keeping = asyncio.create_task(self._keep(), name="store-keeper")

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """See `protocol.Store.get`."""
        return self._mirror.image.get(key)

    async def list(self, kind: kinds.Kind[Any], mesh: str | None = None) -> Sequence[res.Resource[Any]]:
        """See `protocol.Store.list`."""
        return self._mirror.image.listing(kind.name, mesh)

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        """See `protocol.Store.create`."""
        request = postgres_writes.Create(self._mirror, self._clock, resource, owner)
        return (await self._write(request))[0].resource

    async def update(self, resource: res.Resource[Any]) -> res.Resource[Any]:
        """See `protocol.Store.update`."""
        return (await self._write(postgres_writes.Update(self._mirror, self._clock, resource)))[0].resource

    async def delete(self, key: res.Key) -> None:
        """See `protocol.Store.delete`."""
        await self._write(postgres_writes.Delete(self._mirror, self._clock, key))

    async def apply(self, changes: Sequence[protocol.Change]) -> None:
        """See `protocol.Store.apply`."""
        await self._write(postgres_writes.Apply(self._mirror, self._clock, changes))

    def watch(self, since: int | None = None) -> AsyncIterator[protocol.Change]:
        """See `protocol.Store.watch`. Writes of other control planes are among the changes."""
        return self._feed.watch(since)

    def revision(self) -> int:
        """See `protocol.Store.revision`."""
        return self._mirror.image.revision

    def lease(self, owner: str) -> postgres_lease.Lease:
        """The lock that one control plane on this database holds; `owner` is the id of this one."""
        return postgres_lease.Lease(self._options, self._transactions, owner)

    async def close(self) -> None:
        """Carries out what was accepted, ends the watches and lets go of the database. A second call does nothing."""
        if self._is_closing:
            return
        self._is_closing = True
        self._wake.set()
        await self._keeping
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._feed.close()

    async def _write(self, request: postgres_writes.Request) -> Sequence[protocol.Change]:
        if self._is_closing:
            raise errors.Unavailable("the store is closed")
        self._requests.append(request)
        self._wake.set()
        changes = await request.answer
        await self._feed.breathe()
        return changes

    # What the listener says

    def _heard(self, key: res.Key, process: int) -> None:
        if not self._transactions.is_own(process):
            self._suspects[key] = None
            self._wake.set()

    def _compare(self) -> None:
        """Everything is to be compared with the database, once, before the next step."""
        self._is_compared = False
        self._wake.set()

    # The keeper

    async def _keep(self) -> None:
        """Runs until the store is closing and nothing is left to write."""
        async with self._pool:
            self._transactions.is_open.set()
            while not self._is_closing or self._requests:
                await self._wake.wait()
                self._wake.clear()
                if not self._is_closing and (self._suspects or not self._is_compared):
                    await self._catch_up()
                while self._requests:
                    batch, self._requests = self._requests[:_BATCH], self._requests[_BATCH:]
                    try:
                        await self._settle(batch)
                    except Exception as failure:
                        self._give_up(batch, failure)

    async def _catch_up(self) -> None:
        """Reads what others wrote. Where that fails it is asked for again, and writes have their turn meanwhile."""
        suspects, self._suspects = self._suspects, {}
        is_compared, self._is_compared = self._is_compared, True
        try:
            await self._read_truth(suspects, everything=not is_compared)
        except Exception as failure:
            if not isinstance(failure, postgres_transactions.LOST):  # the listener tells of lost connections
                _LOG.error("the database could not be read, trying again", error=connecting.describe(failure))
            self._suspects = suspects | self._suspects
            self._is_compared = self._is_compared and is_compared
            asyncio.get_running_loop().call_later(_PAUSE, self._wake.set)

    async def _read_truth(self, keys: Iterable[res.Key], *, everything: bool = False) -> None:
        """Makes the image say of these keys (or of all that differ) what the database says, visible together."""
        patience = self._options.connection_timeout + self._mirror.size * _PER_ROW
        async with self._transactions.connection(patience) as connection:
            wanted = dict.fromkeys(keys)
            if everything or len(wanted) > _MANY:
                await connection.execute(postgres_rows.BEGIN_SNAPSHOT)
                stamps = await (await connection.execute(postgres_rows.STAMPS)).fetchall()
                wanted |= dict.fromkeys(self._mirror.differing(stamps))
            select = connection.execute(postgres_rows.SELECT, postgres_rows.selected(list(wanted)))
            found = await (await select).fetchall()
        self._feed.publish(list(self._mirror.take_truth(wanted, found)))

    async def _settle(self, requests: Sequence[postgres_writes.Request], tries: int = _TRIES) -> None:
        """Answers requests: in one transaction if the database has nothing against any of them, else one by one."""
        try:
            planned = await self._planned(requests)
            steps = [step for _, own in planned for step in own]
            answers = await self._transactions.carry_out(steps) if steps else []
        except errors.KumaError as failure:
            for request in requests:
                request.fail(failure)
        except psycopg.Error as failure:
            if len(requests) > 1:
                for request in requests:
                    await self._settle([request])
            else:
                await self._refused(requests[0], failure, tries)
        else:
            await self._show(planned, answers)

    def _give_up(self, requests: Sequence[postgres_writes.Request], failure: Exception) -> None:
        """The keeper must not die of one batch: whoever waits is told, and everything is compared."""
        _LOG.exception("a write failed unexpectedly")
        self._compare()
        for request in requests:
            request.fail(failure)

    async def _planned(self, requests: Sequence[postgres_writes.Request]) -> _Planned:
        """The requests that can be, with their statements. The others are answered, once the image is certain."""
        planned, doubtful = [], []
        for request in requests:
            try:
                planned.append((request, request.plan()))
            except errors.KumaError:
                doubtful.append(request)
        if doubtful:
            await self._make_certain([key for request in doubtful for key in request.keys])
        for request in doubtful:
            try:
                planned.append((request, request.plan()))
            except errors.KumaError as failure:
                request.fail(failure)
        return planned

    async def _make_certain(self, keys: Iterable[res.Key]) -> None:
        """Reads these keys; Unavailable where that fails."""
        try:
            await self._read_truth(keys)
        except postgres_transactions.LOST as failure:
            self._compare()
            raise connecting.unavailable(self._options, failure) from None

    async def _show(self, planned: _Planned, answers: postgres_transactions.Answers) -> None:
        """Makes what was committed visible, then answers. Requests without effect lost a race."""
        remaining = iter(answers)
        done: list[tuple[postgres_writes.Request, list[protocol.Change]]] = []
        refused: list[postgres_writes.Request] = []
        for request, steps in planned:
            changes: list[protocol.Change] = []
            for step in steps:
                answer = next(remaining)
                if answer is not None:
                    changes += step.show(self._mirror, answer)
                elif not isinstance(request, postgres_writes.Apply):
                    refused.append(request)
            done.append((request, changes))
        self._feed.publish([change for _, changes in done for change in changes])
        for request, changes in done:
            if request not in refused:
                request.succeed(changes)
        if refused:
            try:
                await self._make_certain([key for request in refused for key in request.keys])
            except errors.KumaError:
                _LOG.info("could not look up why writes had no effect; they are answered from what is known")
            for request in refused:
                request.fail(request.refusal())

    async def _refused(self, request: postgres_writes.Request, failure: psycopg.Error, tries: int) -> None:
        """Answers a request whose statements the database refused."""
        if isinstance(failure, psycopg.errors.ForeignKeyViolation) and tries > 1:
            try:
                await self._make_certain(request.keys)
            except errors.KumaError as unavailable:
                request.fail(unavailable)
            else:
                await self._settle([request], tries - 1)
        elif isinstance(failure, psycopg.DataError):
            request.fail(errors.BadRequest(f"the resource cannot be stored: {connecting.describe(failure)}"))
        else:
            request.fail(connecting.unavailable(self._options, failure))


def _load(options: connecting.Options, mirror: postgres_mirror.Mirror) -> None:
    """Checks the schema and fills the mirror. A replica may lag, so the listener's first comparison corrects it."""
    try:
        with psycopg.connect(**connecting.parameters(options), autocommit=True) as primary:
            postgres_schema.require(primary, options)
            replica = options.replica
            if replica is None or random.random() * 100 >= replica.ratio or not _load_replica(options, mirror):
                _load_rows(primary, mirror)
                return
            differing = mirror.differing(primary.execute(postgres_rows.STAMPS))
            found = primary.execute(postgres_rows.SELECT, postgres_rows.selected(differing))
            for _ in mirror.take_truth(differing, found):
                continue  # nobody watches yet
    except psycopg.Error as failure:
        raise connecting.unavailable(options, failure) from None


def _load_replica(options: connecting.Options, mirror: postgres_mirror.Mirror) -> bool:
    """Spares the primary the reading of every row, if the replica answers."""
    assert options.replica is not None, "called where there is a replica"
    where = {"host": options.replica.host, "port": options.replica.port}
    try:
        with psycopg.connect(**{**connecting.parameters(options), **where}, autocommit=True) as replica:
            _load_rows(replica, mirror)
    except psycopg.Error as failure:
        _LOG.warning("the read replica cannot be used", error=connecting.describe(failure))
        return False
    return True


def _load_rows(connection: psycopg.Connection, mirror: postgres_mirror.Mirror) -> None:
    """Reads through a cursor of the server: all rows at once would be in memory twice."""
    with connection.transaction(), connection.cursor("kuma_load") as cursor:
        cursor.itersize = _LOADED_AT_ONCE
        cursor.execute(postgres_rows.LOAD)
        mirror.load(cursor)
