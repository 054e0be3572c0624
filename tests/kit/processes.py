"""Programs that a test starts: their output goes to a file, and none of them outlives the test."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kit import network

_END_SECONDS = 15.0

_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks the kernel for SIGTERM when the test dies (prctl(2)), then becomes the program. Not done between fork and exec:
a fork of a process that uses gRPC runs handlers that may end the child."""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment without settings meant for others, plus `extra`."""
    return {key: value for key, value in os.environ.items() if not key.startswith("KUMA_")} | dict(extra)


class Program:
    """One running program: of ours, by the name of its console script; of others, by its path."""

    def __init__(self, script: str, arguments: Sequence[str], extra: Mapping[str, str], log: Path) -> None:
        self.log = log
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, str(Path(sys.executable).parent / script), *arguments],
                env=environment(extra),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def until_running(self, what: str, condition: object) -> None:
        """Waits for a condition (a callable); an early end of the program fails at once with its last words."""
        assert callable(condition)

        def reached() -> bool:
            if self.exit_code is not None:
                raise RuntimeError(f"{self.log.stem} ended with {self.exit_code}:\n{self.text()[-3000:]}")
            return bool(condition())

        try:
            network.until(what, reached)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.text()[-3000:]}") from None

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        if self.exit_code is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        if self.exit_code is None:
            self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """SIGTERM, SIGKILL if that does not help; its exit code."""
        self.terminate()
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()
