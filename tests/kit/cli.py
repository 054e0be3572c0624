"""Runs kumactl inside the test process and keeps what it printed."""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from kuma.apps.kumactl import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit code, both outputs, and both together in the order in which they were written."""

    code: int
    out: str
    err: str
    both: str


class _Tee(io.StringIO):
    def __init__(self, both: io.StringIO) -> None:
        super().__init__()
        self._both = both

    def write(self, text: str) -> int:
        self._both.write(text)
        return super().write(text)


def kumactl(args: Sequence[str], stdin: str | bytes = "") -> Outcome:
    """What one command line printed and returned."""
    given = io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin), encoding="utf-8")
    both = io.StringIO()
    out, err = _Tee(both), _Tee(both)
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "stdin", given),
    ):
        code = main.run(args)
    return Outcome(code, out.getvalue(), err.getvalue(), both.getvalue())
