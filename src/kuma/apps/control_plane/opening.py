"""Opens the store that the settings name, and brings its schema up to date for `kuma-cp migrate up`.

A store is imported where it is used: only who has PostgreSQL pays for its driver.
"""

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kuma.apps.control_plane.settings import store as settings_store
from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.services import leader
from kuma.store import memory, protocol, sqlite

if TYPE_CHECKING:
    from kuma.store import postgres_connection

_SECONDS = 1e-9
_PATIENT = 60.0
"""Seconds, for times of 0: the driver of Kuma takes them for no limit, or a minute."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, and the lease that decides who leads where control planes share it; None where this one is alone."""

    store: protocol.Store
    lease: leader.Lease | None = None


def open_store(settings: settings_store.StoreSettings, catalog: catalogs.Catalog, instance_id: str) -> Opened:
    """The opened store; Unavailable, saying why, where it cannot be used."""
    if settings.type == "memory":
        return Opened(memory.MemoryStore())
    if settings.type == "postgres":
        options = postgres_options(settings.postgres)
        from kuma.store import postgres

        # The store says once that the database is lost, and once that it is back; the pool says it at every try.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        shared = postgres.PostgresStore(options, catalog)
        return Opened(shared, shared.lease(instance_id))
    path = Path(settings.sqlite.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return Opened(sqlite.SqliteStore(path, catalog))


def migrate(settings: settings_store.StoreSettings) -> bool:
    """Brings the schema of a PostgreSQL store up to date; False where it was."""
    options = postgres_options(settings.postgres)
    from kuma.store import postgres_schema

    return postgres_schema.migrate(options)


def postgres_options(settings: settings_store.PostgresSettings) -> "postgres_connection.Options":
    """What the store is told; Unavailable where its driver is not installed."""
    if importlib.util.find_spec("psycopg") is None or importlib.util.find_spec("psycopg_pool") is None:
        raise errors.Unavailable('the PostgreSQL store needs the extra "postgres": pip install "kuma[postgres]"')
    from kuma.store import postgres_connection

    tls, replica = settings.tls, settings.read_replica
    return postgres_connection.Options(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        database=settings.db_name,
        connection_timeout=settings.connection_timeout if settings.connection_timeout > 0 else _PATIENT,
        tls=postgres_connection.Tls(
            mode=tls.mode,
            cert_path=tls.cert_path,
            key_path=tls.key_path,
            ca_path=tls.ca_path,
            send_server_name=not tls.disable_ssl_sni,
        ),
        min_connections=settings.min_open_connections,
        max_connections=settings.max_open_connections,
        max_idle=settings.max_connection_idle_time * _SECONDS,
        max_lifetime=settings.max_connection_lifetime * _SECONDS,
        health_check_interval=settings.health_check_interval * _SECONDS or _PATIENT,
        tolerate_newer_schema=settings.tolerate_newer_db_versions,
        replica=postgres_connection.Replica(replica.host, replica.port, replica.ratio) if replica.host else None,
    )
