"""The file that the log goes to with `--log-output-path`: cut when it is large, old parts thrown away.

A full part becomes `kuma-cp-2026-01-31T10-20-30.123.log` beside `kuma-cp.log`. Rules and names: Kuma's.
"""

import datetime
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kuma.base import errors

_MEGABYTE = 1024 * 1024
_DAY = 86_400
_STAMP = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a file is cut, in megabytes, and which parts are kept: so many, of so many days. 0 keeps all."""

    size: int = 100
    files: int = 1000
    days: int = 30


class LogFile(io.TextIOBase):
    """Writes lines to a file, from any thread. What cannot be written goes to stderr: a full disk stops nothing.

    Raises Unavailable when the file cannot be opened at the start.
    """

    def __init__(self, path: Path, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._writing = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self._prune()
        except OSError as problem:
            raise errors.Unavailable(f'could not open log file "{path}": {problem.strerror}') from problem

    def write(self, text: str) -> int:
        """Appends a text of whole lines, to a new file where it would make this one too large."""
        line = text.encode(errors="replace")
        with self._writing:
            try:
                if self._size and self._size + len(line) > max(self._limits.size, 1) * _MEGABYTE:
                    self._cut()
                self._file.write(line)
                self._size += len(line)
            except OSError as problem:
                sys.stderr.write(f"{text.rstrip()} (not in the log file: {problem.strerror})\n")
        return len(text)

    def flush(self) -> None:
        """Nothing waits: every line is handed to the kernel when it is written."""

    def close(self) -> None:
        """Closes the file. What is written afterwards goes to stderr."""
        with self._writing:
            self._file.close()
        super().close()

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def _cut(self) -> None:
        moment = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        stamp = moment.strftime(_STAMP)[:-3]
        os.replace(self._path, self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        old = self._file
        self._open()
        old.close()
        self._prune()

    def _prune(self) -> None:
        """Throws away the parts beyond the limits, oldest first."""
        parts = sorted(self._parts(), reverse=True)
        oldest = self._clock() - self._limits.days * _DAY
        for rank, (moment, part) in enumerate(parts):
            is_surplus = bool(self._limits.files) and rank >= self._limits.files
            is_old = bool(self._limits.days) and moment < oldest
            if is_surplus or is_old:
                part.unlink(missing_ok=True)

    def _parts(self) -> list[tuple[float, Path]]:
        """The parts by the time in their names."""
        found = []
        for path in self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"):
            stamp = path.name[len(self._path.stem) + 1 : len(path.name) - len(self._path.suffix)]
            try:
                moment = datetime.datetime.strptime(stamp, _STAMP).replace(tzinfo=datetime.UTC)
            except ValueError:
                continue  # somebody else's file of a like name
            found.append((moment.timestamp(), path))
        return found
