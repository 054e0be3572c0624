"""`kumactl version`: what this program and the control plane are."""

import click

import kuma
from kuma.apps.kumactl import flags, grammar, rest, session

DETAILED = flags.Flag("detailed", short="a", form=flags.Form.SWITCH, help="print where the build comes from, too")


def _version(call: grammar.Invocation) -> None:
    detailed = call.switch("detailed")
    if detailed:
        rows = [
            ("Product", session.PRODUCT),
            ("Version", kuma.VERSION),
            ("Git Tag", "unknown"),
            ("Git Commit", "unknown"),
            ("Build Date", "unknown"),
        ]
        click.echo("Client:")
        for label, value in rows:
            click.echo(f"{label + ':':<14} {value}")
    else:
        click.echo(f"Client: {session.PRODUCT} {kuma.VERSION}")
    try:
        index = session.connect(call).get("/")
    except (rest.Unreachable, rest.Refused) as problem:
        click.echo(f"Unable to connect to control plane: {problem}", err=True)
        return
    if detailed:
        import json

        click.echo(f"Server: {json.dumps(index, indent=3)}")
    else:
        click.echo(f"Server: {index.get('product', '')} {index.get('version', '')}")


COMMAND = grammar.Command(
    "version",
    _version,
    summary="Print the versions of kumactl and of the control plane",
    flags=[DETAILED],
    arguments=None,
)
