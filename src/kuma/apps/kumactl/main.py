"""The entry point of `kumactl`: the root of the command tree, and the one place where errors become text and exit codes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kuma.apps.kumactl import grammar, session
from kuma.base import errors

_ROOM = "kuma.apps.kumactl.commands"
_COMMANDS = (
    ("apply", "Create or update resources", "apply", "COMMAND"),
    ("completion", "Print a completion script for a shell", "completion", "COMMAND"),
    ("config", "Manage the configuration of kumactl", "config", "COMMAND"),
    ("delete", "Delete a resource", "delete", "COMMAND"),
    ("demo", "Run a small mesh on this machine", "demo", "COMMAND"),
    ("export", "Print the resources of a control plane, to be applied to another one", "export", "COMMAND"),
    ("generate", "Generate tokens, keys and certificates", "generate", "COMMAND"),
    ("get", "Show resources", "get", "COMMAND"),
    ("help", "Help about any command", "help", "COMMAND"),
    ("inspect", "Show resources with what is known about their state", "inspect", "COMMAND"),
    ("install", "Print what Kubernetes needs to run the mesh", "install", "COMMAND"),
    ("version", "Print versions", "version", "COMMAND"),
)


def _entries() -> dict[str, grammar.Entry]:
    return {
        name: grammar.Entry(text, grammar.lazily(f"{_ROOM}.{module}", attribute))
        for name, text, module, attribute in _COMMANDS
    }


UNEXPECTED = "kumactl met something that it does not understand"

ROOT = grammar.Group(
    "kumactl",
    _entries,
    description="Command line of Kuma, a universal service mesh.",
    persistent=session.GLOBAL_FLAGS,
    strict=True,
)


def run(args: Sequence[str]) -> int:
    """Carries out one command line; returns the exit code (0, or 1 after `Error: ...` on stderr)."""
    try:
        _require_text(args)
        ROOT.main(list(args), prog_name="kumactl", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.UsageError as problem:
        return _fail(grammar.explain(problem), problem.ctx)
    except grammar.UsageProblem as problem:
        return _fail(str(problem), problem.ctx)
    except errors.KumaError as problem:
        return _fail(str(problem), None)
    except Exception as defect:
        return _fail(_described(defect), None)
    return 0


def _require_text(args: Sequence[str]) -> None:
    """CommandError for an argument that came as other bytes than UTF-8: it could be neither sent nor stored."""
    for each in args:
        try:
            each.encode()
        except UnicodeEncodeError:
            raise grammar.CommandError(f"argument {each!r} is not UTF-8 text") from None


def _described(defect: Exception) -> str:
    """A defect of this program, or an answer that no control plane gives: its place, never values, which may be secret."""
    import traceback

    frame = traceback.extract_tb(defect.__traceback__)[-1]
    place = f"{type(defect).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
    return f"{UNEXPECTED} ({place}): is this the address of a control plane? If so, please report it"


def _fail(text: str, ctx: click.Context | None) -> int:
    """The error first: what follows on standard output may be longer than a screen."""
    click.echo(f"Error: {text}", err=True)
    if ctx is not None:
        click.echo(grammar.usage_text(ctx) + "\n")
    return 1


def main() -> None:
    """Console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
