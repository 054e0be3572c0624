"""`kumactl completion SHELL`: the script that makes a shell complete kumactl's words."""

from functools import partial

import click
from click import shell_completion

from kuma.apps.kumactl import flags, grammar

_VARIABLE = "_KUMACTL_COMPLETE"
NO_DESCRIPTIONS = flags.Flag("no-descriptions", form=flags.Form.SWITCH, help="accepted for compatibility")


def _print_script(shell: str, call: grammar.Invocation) -> None:
    kind = shell_completion.get_completion_class(shell)
    root = call.ctx.find_root()
    if kind is None:
        raise grammar.CommandError(f"no completion for {shell}")
    click.echo(
        kind(root.command, {}, "kumactl", _VARIABLE).source_template
        % {
            "complete_func": "_kumactl_completion",
            "complete_var": _VARIABLE,
            "prog_name": "kumactl",
        }
    )


def _entries() -> dict[str, grammar.Entry]:
    commands = [
        grammar.Command(
            shell,
            partial(_print_script, shell),
            summary=f"Print the completion script for {shell}",
            flags=[NO_DESCRIPTIONS],
        )
        for shell in ("bash", "fish", "zsh")
    ]
    return grammar.ready(commands)


COMMAND = grammar.Group(
    "completion",
    _entries,
    strict=True,
    description="Print a completion script; load it with `source <(kumactl completion bash)`.",
)
