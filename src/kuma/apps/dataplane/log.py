"""The agent's own log lines: to standard error, or to a file that rotates.

Envoy and the supervised command write to the agent's streams directly; these lines stand between theirs.
"""

import logging
import sys
import time
from pathlib import Path

LEVELS = {"off": logging.CRITICAL + 1, "info": logging.INFO, "debug": logging.DEBUG}

_DAY = 86_400
_MEGABYTE = 1024 * 1024


def configure_log(level: str, path: str, retained: int, megabytes: int, days: int) -> None:
    """Sets the one handler of the process. Rotated files older than `days` are removed at start; 0 keeps all."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path:
        # Imported here: rotation drags in sockets and queues, which most runs never need.
        from logging.handlers import RotatingFileHandler

        _remove_older(Path(path), days)
        handler = RotatingFileHandler(path, maxBytes=megabytes * _MEGABYTE, backupCount=retained)
        print(f'kuma-dp: logs will be stored in "{path}"', flush=True)
    handler.setFormatter(logging.Formatter("%(asctime)s\t%(levelname)s\t%(name)s\t%(message)s"))
    root = logging.getLogger("kuma-dp")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(LEVELS[level])


def logger(part: str) -> logging.Logger:
    """The logger of one part of the agent."""
    return logging.getLogger(f"kuma-dp.{part}")


def _remove_older(path: Path, days: int) -> None:
    if days <= 0 or not path.parent.is_dir():
        return
    oldest = time.time() - days * _DAY
    for each in path.parent.glob(path.name + ".*"):
        if each.suffix[1:].isdigit() and each.stat().st_mtime < oldest:
            each.unlink()
