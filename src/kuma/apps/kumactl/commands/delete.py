"""`kumactl delete TYPE NAME`."""

from collections.abc import Iterable, Sequence

import click

from kuma.apps.kumactl import grammar, kinds, rest, session
from kuma.resources import kind as kind_


def _delete(call: grammar.Invocation) -> None:
    word, name = call.args
    plane = session.connect_checked(call)
    kind = kinds.find(word)
    if kind is None:
        words = [word for each in kinds.offered() for word in (each.argument, each.argument_alias) if word]
        raise grammar.CommandError(f"unknown TYPE: {word}. Allowed values: {', '.join(sorted(words))}")
    if kind.read_only:
        raise grammar.CommandError(f"TYPE: {word} is readOnly, can't use it for write action")
    mesh = session.mesh_of(call) if kind.scope is kind_.Scope.MESH else ""
    try:
        plane.call("DELETE", kinds.path(kind, mesh, name))
    except rest.Refused as problem:
        if problem.status != rest.HTTP_NOT_FOUND:
            raise
        raise grammar.CommandError(f'there is no {kind.name} with name "{name}"') from None
    except rest.Unreachable as problem:
        raise grammar.CommandError(f'failed to delete {kind.name} with the name "{name}": {problem}') from None
    click.echo(f'deleted {kind.name} "{name}"')


def _offers(before: Sequence[str]) -> Iterable[str]:
    """The words for kinds that may be deleted, where the type stands."""
    return [each.argument for each in kinds.offered() if not each.read_only] if not before else ()


COMMAND = grammar.Command(
    "delete",
    _delete,
    summary="Delete a resource",
    description="Delete a resource from the control plane, by its type (the word of `kumactl get`) and name.",
    flags=[session.MESH],
    arguments=2,
    operands="TYPE NAME",
    offers=_offers,
)
