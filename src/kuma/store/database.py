"""The file behind the SQLite store: lock, schema, loading, and one transaction for a batch of writes.

Blocking by nature: the store calls it at start and from its writer thread, never from the event loop afterwards.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources as package_files
from pathlib import Path
from typing import Any

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.store import image, protocol, rows

Write = tuple[protocol.Change, rows.Content | None]
"""A change with the encoded content of the resource; None for a deletion."""

_UPSERT = f"INSERT OR REPLACE INTO resources ({rows.COLUMNS}) VALUES ({','.join('?' * 12)})"
_DELETE = "DELETE FROM resources WHERE kind = ? AND mesh = ? AND name = ?"
_REVISION = "UPDATE revision SET value = ?"


def migrations() -> list[tuple[int, str]]:
    """The numbered schema steps, in order."""
    folder = package_files.files("kuma.store.migrations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(int(f.name[:4]), f.read_text(encoding="utf-8")) for f in files]


class Database:
    """An open database that no other process can open through this class until `close`.

    Raises Unavailable where the file cannot be used: held by another control plane, not a database, written by a
    newer version, not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _translated(path):
            self._lock = _take_lock(path)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                # Signing keys and CA keys lie in here, whatever mode the file was created with.
                os.chmod(path, 0o600)
                self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            except BaseException:
                os.close(self._lock)
                raise
            try:
                self._prepare()
                _sync_folder(path.parent)
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        # FULL: a commit returns after the log has reached the disk, so that an acknowledged write survives a power cut.
        run("PRAGMA synchronous = FULL")
        version = run("PRAGMA user_version").fetchone()[0]
        steps = migrations()
        if version > steps[-1][0]:
            raise errors.Unavailable(
                f"the store {self._path} has schema version {version}, newer than version {steps[-1][0]} "
                "that this control plane knows: start a newer control plane"
            )
        for number, script in steps:
            if number > version:
                self._connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    def load(self, catalog: catalogs.Catalog, into: image.Image) -> None:
        """Fills an image with what is stored. Rows of kinds that the catalog does not know stay in the file, unseen."""
        with _translated(self._path):
            into.revision = self._connection.execute("SELECT value FROM revision").fetchone()[0]
            for row in self._connection.execute(f"SELECT {rows.COLUMNS} FROM resources ORDER BY kind, mesh, name"):
                kind = catalog.find(row[0])
                if kind is None:
                    continue
                try:
                    into.load(*rows.resource_of(kind, row))
                except (ValueError, errors.BadRequest) as problem:
                    where = image.describe(res.Key(*row[:3]))
                    raise errors.Unavailable(
                        f"the store {self._path} holds a resource that cannot be read: {where}: {problem}"
                    ) from problem

    def commit(self, writes: Sequence[Write]) -> None:
        """Makes all writes durable, or none; Unavailable where the file does not take them."""
        with _translated(self._path):
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            try:
                for change, content in writes:
                    if content is None:
                        run(_DELETE, change.resource.key)
                    else:
                        run(_UPSERT, _parameters(change, content))
                run(_REVISION, (writes[-1][0].revision,))
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    run("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes the file (SQLite folds the log into it) and lets others open it."""
        self._connection.close()
        os.close(self._lock)


def _parameters(change: protocol.Change, content: rows.Content) -> tuple[Any, ...]:
    return tuple(rows.row_of(change, content))


def _take_lock(path: Path) -> int:
    """A descriptor that holds `<path>.lock`; the kernel releases it when the process ends, however it ends."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise errors.Unavailable(f"the store {path} is in use by another control plane (process {holder})") from problem
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _sync_folder(folder: Path) -> None:
    """Makes the name of a new file durable: syncing the file alone does not promise that (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as problem:
        raise errors.Unavailable(f"the store {path} cannot be used: {problem}") from problem
