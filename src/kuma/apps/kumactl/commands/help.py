"""`kumactl help COMMAND ...`: the help text of any command."""

import click

from kuma.apps.kumactl import grammar


def _help(call: grammar.Invocation) -> None:
    ctx = call.ctx.parent
    if ctx is None:
        return
    for word in call.args:
        command = ctx.command.get_command(ctx, word) if isinstance(ctx.command, grammar.Group) else None
        if command is None:
            click.echo(f'Unknown help topic "{" ".join(call.args)}"')
            break
        ctx = click.Context(command, info_name=word, parent=ctx)
    click.echo(grammar.help_text(ctx))


COMMAND = grammar.Command("help", _help, summary="Help about any command", arguments=None, operands="[command]")
