"""How to reach the PostgreSQL database: options, connection parameters, the pool, and what its errors become.

Silence is as bad as a refusal: `guarded` shuts the socket of a server that accepts connections and does not answer.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import psycopg_pool

from kuma.base import errors

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Pool = psycopg_pool.AsyncConnectionPool[Connection]

SSL_MODES = {"disable": "disable", "verifyNone": "require", "verifyCa": "verify-ca", "verifyFull": "verify-full"}
"""Kuma's names of TLS modes and libpq's (PostgreSQL documentation, "SSL Support")."""

PATIENCE = 0.5
"""Seconds to wait for a connection of the pool before asking again: its own retries come seconds apart."""


@dataclass(frozen=True, slots=True)
class Tls:
    """`store.postgres.tls`: a mode of `SSL_MODES`, and PEM files."""

    mode: str = "disable"
    cert_path: str = ""
    key_path: str = ""
    ca_path: str = ""
    send_server_name: bool = True


@dataclass(frozen=True, slots=True)
class Replica:
    """`store.postgres.readReplica`; `ratio` is a percentage."""

    host: str
    port: int
    ratio: int


@dataclass(frozen=True, slots=True)
class Options:
    """`store.postgres`, with every time in seconds. `max_connections` 0 is no limit."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    connection_timeout: float = 5.0
    tls: Tls = Tls()
    min_connections: int = 0
    max_connections: int = 50
    max_idle: float = 1800.0
    max_lifetime: float = 3600.0
    health_check_interval: float = 30.0
    tolerate_newer_schema: bool = False
    replica: Replica | None = None

    @property
    def where(self) -> str:
        """The database, for messages."""
        return f"{self.host}:{self.port}/{self.database}"


def parameters(options: Options) -> dict[str, Any]:
    """What libpq is told (PostgreSQL documentation, "Parameter Key Words"). Holds the password: never print it.

    A peer that is gone without a word is noticed by the kernel: unacknowledged bytes and missing answers to probes
    both end the connection after some `connection_timeout`.
    """
    patience = max(int(options.connection_timeout), 1)
    tls = options.tls
    found: dict[str, Any] = {
        "host": options.host,
        "port": options.port,
        "user": options.user,
        "password": options.password,
        "dbname": options.database,
        "connect_timeout": max(patience, 2),  # libpq takes no less
        "application_name": "kuma-cp",
        "client_encoding": "UTF8",
        "keepalives_idle": patience,
        "keepalives_interval": patience,
        "keepalives_count": 2,
        "tcp_user_timeout": patience * 2000,
        "sslmode": SSL_MODES[tls.mode],
        "sslcert": tls.cert_path,
        "sslkey": tls.key_path,
        # Without a mode that verifies, a CA file would make libpq verify all the same.
        "sslrootcert": tls.ca_path if tls.mode.startswith("verifyC") or tls.mode == "verifyFull" else "",
        "sslsni": int(tls.send_server_name),
    }
    return {key: value for key, value in found.items() if value != ""}


def pool(options: Options) -> Pool:
    """A pool that is not open yet. One connection of the allowed ones is kept for the listener, outside the pool."""
    limit = max(options.max_connections - 1, 1) if options.max_connections else 100
    return psycopg_pool.AsyncConnectionPool(
        kwargs={**parameters(options), "autocommit": True},
        connection_class=Connection,
        min_size=min(options.min_connections, limit),
        max_size=limit,
        max_idle=options.max_idle or float("inf"),
        max_lifetime=options.max_lifetime or float("inf"),
        reconnect_timeout=PATIENCE,
        timeout=PATIENCE,
        name="kuma",
        open=False,
    )


@contextlib.contextmanager
def guarded(connection: Connection, seconds: float) -> Iterator[None]:
    """Ends the connection, and so what waits for it, when the body takes longer."""
    alarm = asyncio.get_running_loop().call_later(seconds, _sever, connection)
    try:
        yield
    finally:
        alarm.cancel()


def _sever(connection: Connection) -> None:
    if connection.closed:
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)  # a peer that is gone already needs no telling


def describe(failure: BaseException) -> str:
    """The first line of what the server or libpq said. Neither repeats passwords or values of columns there."""
    if isinstance(failure, psycopg.Error) and failure.diag.message_primary:
        return failure.diag.message_primary
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__


def unavailable(options: Options, failure: BaseException | str) -> errors.Unavailable:
    """The error for a database that does not do what it should, in words for the user."""
    text = failure if isinstance(failure, str) else describe(failure)
    return errors.Unavailable(f"the database {options.where} cannot be used: {text}")
