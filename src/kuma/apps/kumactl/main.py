"""The entry point of `kumactl`: the root of the command tree, and the one place where errors become text and exit codes."""

import os
import sys
from collections.abc import Sequence

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
    return 0


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
