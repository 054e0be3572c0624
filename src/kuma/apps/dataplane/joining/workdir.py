"""The directory of one run: made for it, held by a lock, removed with it.

An agent that is killed cannot remove its own. The kernel gives its lock back, though, and by that the next agent of
the same user knows whose directories are left over.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

PREFIX = "kuma-dp-"
_LOCK = "lock"


def make_workdir(resources: ExitStack) -> str:
    """A new directory that only its owner may enter, because it holds the token; `resources` removes it."""
    remove_stale(tempfile.gettempdir())
    made = tempfile.mkdtemp(prefix=PREFIX)
    resources.callback(shutil.rmtree, made, ignore_errors=True)
    resources.callback(os.close, _locked(made))
    return made


def remove_stale(parent: str) -> None:
    """Removes the directories of our own dead agents. One without a lock is too young, or not an agent's."""
    for each in Path(parent).glob(f"{PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # locked: its agent lives; or another one removes it just now
            if each.parent.is_symlink() or each.parent.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(each, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(each.parent, ignore_errors=True)
            finally:
                os.close(descriptor)


def _locked(directory: str) -> int:
    """The descriptor that holds the lock. The file gets its name when it is locked, so nobody sees it free."""
    unnamed = os.path.join(directory, f".{_LOCK}")
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(unnamed, os.path.join(directory, _LOCK))
    return descriptor
