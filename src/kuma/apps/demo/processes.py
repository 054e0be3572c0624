"""Child processes of the demo: their output goes to a file each, and none of them outlives us.

Each leads a process group of its own, so that a Ctrl-C in the terminal reaches the demo alone, which ends them in
order; and the kernel ends them where the demo is killed without a chance to do so (Linux, prctl(2)).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 12
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """One running program."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        parent = os.getpid()

        def follow() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=follow,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The end of its output, for an error message."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
        return ""

    def ask_to_end(self) -> None:
        """Sends SIGTERM."""
        if self.exit_code is None:
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Waits for its end, and after `seconds` ends it and all that it started."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # the usual case: nobody of the group is left
            os.killpg(self._process.pid, signal.SIGKILL)


def end_all(children: Sequence[Child], seconds: float) -> None:
    """Ends all of them at the same time."""
    for each in children:
        each.ask_to_end()
    for each in children:
        each.end(seconds)
