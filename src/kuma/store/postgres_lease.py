"""The row that says which control plane leads, in the manner Kuma's control planes keep it, so that one of all leads.

Table `locks`, row `kuma-cp-lock`: the holder moves `record_version_number` on at every heartbeat. Who sees the same
number for `TERM` seconds takes the row over. A holder that ends removes it.
"""

import time
from collections.abc import Callable

from kuma.base import errors
from kuma.store import postgres_connection as connecting
from kuma.store import postgres_transactions as transactions

NAME = "kuma-cp-lock"
TERM = 5.0
"""Seconds that a lock outlives its last heartbeat; Kuma's control planes count with the same."""

_RENEW = """
UPDATE locks SET record_version_number = nextval('locks_rvn')
WHERE name = %s AND record_version_number = %s RETURNING record_version_number
"""
_TAKE = """
INSERT INTO locks (name, record_version_number, data, owner) VALUES (%s, nextval('locks_rvn'), '', %s)
ON CONFLICT (name) DO UPDATE
    SET record_version_number = EXCLUDED.record_version_number, data = EXCLUDED.data, owner = EXCLUDED.owner
    WHERE locks.record_version_number IS NULL OR locks.record_version_number = %s
RETURNING record_version_number
"""
_LOOK = "SELECT record_version_number FROM locks WHERE name = %s"
_RELEASE = "DELETE FROM locks WHERE name = %s AND record_version_number = %s"
_NOBODY = -1


class Lease:
    """Implements `leader.Lease`. `owner` is the id of this control plane; `now` a steady clock in seconds."""

    def __init__(
        self,
        options: connecting.Options,
        connections: transactions.Transactions,
        owner: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._connections = connections
        self._owner = owner
        self._now = now
        self._held: int | None = None
        self._seen = _NOBODY
        self._seen_since = 0.0

    async def hold(self) -> bool:
        """Takes the lock or keeps it; False while another has it. Unavailable where the database does not say."""
        try:
            async with self._connections.connection(TERM) as connection:
                if self._held is not None:
                    row = await (await connection.execute(_RENEW, (NAME, self._held))).fetchone()
                    self._held = int(row[0]) if row else None
                    if row:
                        return True
                is_stale = self._now() - self._seen_since >= TERM
                expected = self._seen if is_stale else _NOBODY
                row = await (await connection.execute(_TAKE, (NAME, self._owner, expected))).fetchone()
                if row:
                    self._held = int(row[0])
                    return True
                self._observe(await (await connection.execute(_LOOK, (NAME,))).fetchone())
                return False
        except transactions.LOST as failure:
            raise connecting.unavailable(self._options, failure) from None

    def _observe(self, row: tuple[int | None] | None) -> None:
        number = row[0] if row and row[0] is not None else _NOBODY
        if number != self._seen:
            self._seen, self._seen_since = number, self._now()

    async def release(self) -> None:
        """Lets another take over at once. Where the database does not answer, the lock runs out by itself."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            async with self._connections.connection(connecting.PATIENCE) as connection:
                await connection.execute(_RELEASE, (NAME, held))
        except transactions.LOST as failure:
            raise errors.Unavailable(f"the lock was not released: {connecting.describe(failure)}") from None
