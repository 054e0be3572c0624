"""Hears what is written to the database, by whomever: LISTEN on the channel that a trigger notifies.

PostgreSQL delivers notifications in the order of commits, and none to a connection that is not there; so whenever
there is a new connection, and now and then besides, everything has to be compared. What is heard is only a key: the
store reads the rows.
"""

import asyncio
from collections.abc import Callable

import msgspec
import psycopg
import structlog

from kuma.resources import resource as res
from kuma.store import postgres_connection as connecting
from kuma.store import postgres_transactions as transactions

CHANNEL = "resource_events"

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LOG = structlog.get_logger("store")


class _Subject(msgspec.Struct):
    name: str
    mesh: str
    type: str


class _Event(msgspec.Struct):
    """The part of a notification that matters; the row's other facts are read from the row."""

    data: _Subject


class Listener:
    """`heard` is called with a key and the server process that wrote it, `compare` when everything is to be compared."""

    def __init__(
        self,
        options: connecting.Options,
        heard: Callable[[res.Key, int], None],
        compare: Callable[[], None],
    ) -> None:
        self._options = options
        self._heard = heard
        self._compare = compare
        self._is_lost = False

    async def run(self) -> None:
        """Listens until cancelled; a connection that breaks is replaced for as long as it takes."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except (psycopg.Error, *transactions.LOST) as failure:
                if not self._is_lost:
                    _LOG.warning("lost the database, trying again", error=connecting.describe(failure))
                    self._is_lost, pause = True, _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        options = self._options
        connection = await psycopg.AsyncConnection.connect(**connecting.parameters(options), autocommit=True)
        try:
            with connecting.guarded(connection, options.connection_timeout):
                await connection.execute(f"LISTEN {CHANNEL}")
            if self._is_lost:
                _LOG.info("the database is back")
                self._is_lost = False
            while True:
                self._compare()
                async for notice in connection.notifies(timeout=options.health_check_interval):
                    self._note(notice)
                with connecting.guarded(connection, options.connection_timeout):
                    await connection.execute("SELECT 1")
        finally:
            # Closed without a goodbye round trip: the server may be gone.
            await connection.close()

    def _note(self, notice: psycopg.Notify) -> None:
        try:
            subject = msgspec.json.decode(notice.payload, type=_Event).data
        except msgspec.DecodeError:
            self._compare()  # not as expected, but something was written
            return
        self._heard(res.Key(subject.type, subject.mesh, subject.name), notice.pid)
