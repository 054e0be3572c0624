"""`kumactl demo`: becomes the demo program, which is an application of its own; it reads its arguments itself."""

import os
import sys

import click

from kuma.apps.kumactl import grammar


class _Demo(grammar.Command):
    """Hands all its arguments on, `--help` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps the arguments as they are."""
        ctx.args = list(args)
        return []

    def inherit(self, persistent: object) -> None:
        """Takes no flags of kumactl."""


def _become_demo(call: grammar.Invocation) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "kuma.apps.demo", *call.args])


COMMAND = _Demo("demo", _become_demo, summary="Run a small mesh on this machine", arguments=None)
