"""The schema of the database: Kuma's, under Kuma's version number, so that either control plane can use it.

Blocking: it runs before a control plane starts, or as `kuma-cp migrate up`.
"""

from importlib import resources as package_files

import psycopg

from kuma.base import errors
from kuma.store import postgres_connection as connecting

VERSION = 1710856785
"""The schema of Kuma 2.14, as it numbers it in `schema_migrations`."""

NOT_MIGRATED = 'database is not migrated. Run "kuma-cp migrate up" to update database to the newest schema'

_LOCK = VERSION
"""Key of the advisory lock that lets one control plane migrate at a time."""

_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version bigint  NOT NULL CONSTRAINT schema_migrations_pkey PRIMARY KEY,
    dirty   boolean NOT NULL
)
"""
_HAS_TRIGGER = """
SELECT EXISTS (
    SELECT FROM pg_trigger WHERE tgname = 'products_notify_event' AND tgrelid = to_regclass('resources')
)
"""


def migrate(options: connecting.Options) -> bool:
    """Brings the schema up to date; False where it was. A newer one is refused as `require` does."""
    try:
        with psycopg.connect(**connecting.parameters(options)) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            version = _version(connection)
            if version > VERSION and not options.tolerate_newer_schema:
                raise _newer(version)
            if version >= VERSION and _has_trigger(connection):
                return False
            _run_script(connection)
            if version < VERSION:
                connection.execute(_VERSIONS)
                connection.execute("DELETE FROM schema_migrations")
                connection.execute("INSERT INTO schema_migrations (version, dirty) VALUES (%s, false)", (VERSION,))
            return True
    except psycopg.Error as failure:
        raise connecting.unavailable(options, failure) from None


def require(connection: psycopg.Connection, options: connecting.Options) -> None:
    """Unavailable, in Kuma's words, unless the schema is the one that this program knows.

    The trigger may be missing where a database was restored from a dump without it. Without it nobody would hear of
    writes, so it is put back.
    """
    version = _version(connection)
    if version < VERSION:
        raise errors.Unavailable(NOT_MIGRATED)
    if version > VERSION and not options.tolerate_newer_schema:
        raise _newer(version)
    if not _has_trigger(connection):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            _run_script(connection)


def _run_script(connection: psycopg.Connection) -> None:
    script = package_files.files("kuma.store").joinpath("postgres.sql").read_bytes()
    connection.execute(script)


def _version(connection: psycopg.Connection) -> int:
    """The version in the database, 0 where there is none; Unavailable where a migration was cut short."""
    there = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if not there or not there[0]:
        return 0
    row = connection.execute("SELECT version, dirty FROM schema_migrations").fetchone()
    if row is None:
        return 0
    if row[1]:
        raise errors.Unavailable(f"Dirty database version {row[0]}. Fix and force version.")
    return int(row[0])


def _has_trigger(connection: psycopg.Connection) -> bool:
    row = connection.execute(_HAS_TRIGGER).fetchone()
    return bool(row and row[0])


def _newer(version: int) -> errors.Unavailable:
    return errors.Unavailable(
        f"DB is migrated to newer version than Kuma. DB migration version {version}. "
        f"Kuma migration version {VERSION}. Run newer version of Kuma"
    )
