"""One transaction for a batch of statements, and certainty about its fate when the connection breaks.

A transaction that broke before its COMMIT was sent did not happen, so it is tried again. One that broke at its COMMIT
is looked up by its number: PostgreSQL remembers whether it was committed (documentation, `txid_status`).
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import psycopg_pool

from kuma.base import errors
from kuma.store import postgres_connection as connecting
from kuma.store import postgres_writes as writes

Answers = list[Sequence[Any] | None]

LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a primary that has just become a standby
    psycopg_pool.PoolTimeout,
    OSError,
)
"""Failures that pass: no connection, a server that stops or starts, a deadlock."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_PER_STEP = 0.01
"""Seconds that a statement may take on a slow server, on top of the patience with one that is silent."""


class _InDoubt(Exception):
    """The connection broke while transaction `number` was being committed."""

    def __init__(self, number: int, answers: Answers) -> None:
        super().__init__(number)
        self.number = number
        self.answers = answers


class Transactions:
    """Carries out statements on connections of a pool. `on_loss` is called whenever one of them breaks."""

    def __init__(self, options: connecting.Options, pool: connecting.Pool, on_loss: Callable[[], None]) -> None:
        self._options = options
        self._pool = pool
        self._on_loss = on_loss
        self.is_open = asyncio.Event()
        """Set when the pool is open: who asks earlier waits for that."""
        self._own: weakref.WeakValueDictionary[int, connecting.Connection] = weakref.WeakValueDictionary()

    def is_own(self, process: int) -> bool:
        """Whether a server process works for this object, so that what it notifies of is known here."""
        connection = self._own.get(process)
        return connection is not None and not connection.closed

    @contextlib.asynccontextmanager
    async def connection(self, patience: float) -> AsyncIterator[connecting.Connection]:
        """A connection for the body, which must be through within `patience` seconds; one of LOST otherwise."""
        await self.is_open.wait()
        async with self._pool.connection() as connection:
            process = connection.info.backend_pid
            self._own[process] = connection
            try:
                with connecting.guarded(connection, patience):
                    yield connection
            except LOST:
                if connection.closed:
                    self._own.pop(process, None)
                    self._on_loss()
                raise

    async def carry_out(self, steps: Sequence[writes.Step]) -> Answers:
        """All statements or none, durable; what each returned, None where it had no effect.

        A lost connection is tried again for `connection_timeout` seconds, then Unavailable. psycopg.Error where the
        database refuses a statement.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._options.connection_timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                patience = max(deadline - now(), connecting.PATIENCE) + len(steps) * _PER_STEP
                return await self._attempt(steps, patience)
            except _InDoubt as doubt:
                if await self._was_committed(doubt.number):
                    return doubt.answers
            except LOST as failure:
                if now() + pause > deadline:
                    raise connecting.unavailable(self._options, failure) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _attempt(self, steps: Sequence[writes.Step], patience: float) -> Answers:
        async with self.connection(patience) as connection:
            async with connection.pipeline():
                await connection.execute("BEGIN")
                cursors = [await connection.execute(step.sql, step.parameters) for step in steps]
                numbered = await connection.execute("SELECT txid_current()")
            answers: Answers = [await cursor.fetchone() for cursor in cursors]
            number = await numbered.fetchone()
            assert number is not None, "a SELECT of one value has one row"
            try:
                await connection.execute("COMMIT")
            except LOST as failure:
                if connection.closed:
                    raise _InDoubt(int(number[0]), answers) from failure
                raise
            return answers

    async def _was_committed(self, number: int) -> bool:
        """The fate of a transaction; Unavailable where it cannot be learnt within `connection_timeout` seconds."""
        self._on_loss()
        now = asyncio.get_running_loop().time
        deadline = now() + self._options.connection_timeout
        while now() < deadline:
            try:
                async with self.connection(max(deadline - now(), connecting.PATIENCE)) as connection:
                    found = await (await connection.execute("SELECT txid_status(%s)", (number,))).fetchone()
            except LOST:
                await asyncio.sleep(_FIRST_PAUSE)
                continue
            if found and found[0] in ("committed", "aborted"):
                return bool(found[0] == "committed")
            await asyncio.sleep(_FIRST_PAUSE)
        raise self._unknown()

    def _unknown(self) -> errors.Unavailable:
        return connecting.unavailable(
            self._options, "the connection was lost during a write, and whether it was stored is not known yet"
        )
