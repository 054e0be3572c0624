"""Stores are opened as the settings say, and only who uses PostgreSQL pays for its driver."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kuma.apps.control_plane import opening
from kuma.apps.control_plane.settings import store as settings_store
from kuma.base import errors
from kuma.resources import catalog
from kuma.store import memory, sqlite


async def test_stores_without_a_lease_are_of_one_control_plane(tmp_path: Path) -> None:
    none = catalog.Catalog([])
    in_memory = opening.open_store(settings_store.StoreSettings(type="memory"), none, "cp")
    path = str(tmp_path / "folder" / "kuma.db")
    own = settings_store.StoreSettings(type="sqlite", sqlite=settings_store.SqliteSettings(path))
    in_file = opening.open_store(own, none, "cp")
    assert isinstance(in_memory.store, memory.MemoryStore)
    assert isinstance(in_file.store, sqlite.SqliteStore)
    assert in_memory.lease is in_file.lease is None
    await in_file.store.close()


def test_every_option_of_postgres_is_handed_on() -> None:
    options = opening.postgres_options(
        settings_store.PostgresSettings(
            host="db",
            port=1,
            user="u",
            password="p",
            db_name="d",
            connection_timeout=7,
            max_connection_idle_time=settings_store.Duration(2 * 10**9),
            max_connection_lifetime=settings_store.Duration(3 * 10**9),
            health_check_interval=settings_store.Duration(4 * 10**9),
            min_open_connections=1,
            max_open_connections=9,
            tls=settings_store.PostgresTlsSettings("verifyFull", "cert", "key", "ca", disable_ssl_sni=True),
            tolerate_newer_db_versions=True,
            read_replica=settings_store.ReadReplicaSettings("replica", 5, 50),
        )
    )
    assert (options.where, options.user, options.password) == ("db:1/d", "u", "p")
    assert (options.connection_timeout, options.max_idle, options.max_lifetime) == (7, 2.0, 3.0)
    assert (options.health_check_interval, options.min_connections, options.max_connections) == (4.0, 1, 9)
    assert options.tolerate_newer_schema
    tls, replica = options.tls, options.replica
    assert (tls.mode, tls.cert_path, tls.key_path, tls.ca_path) == ("verifyFull", "cert", "key", "ca")
    assert not tls.send_server_name
    assert replica is not None
    assert (replica.host, replica.port, replica.ratio) == ("replica", 5, 50)


def test_times_of_zero_are_no_busy_loops() -> None:
    options = opening.postgres_options(
        settings_store.PostgresSettings(connection_timeout=0, health_check_interval=settings_store.Duration(0))
    )
    assert options.connection_timeout == options.health_check_interval == 60.0


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, *_: Any) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(errors.Unavailable, match=r'pip install "kuma\[postgres\]"'):
        opening.postgres_options(settings_store.PostgresSettings())


def test_the_driver_is_not_imported_for_others() -> None:
    code = (
        "import sys; from kuma.apps.control_plane import main, opening, wiring; "
        "sys.exit('psycopg' in sys.modules or 'psycopg_pool' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
