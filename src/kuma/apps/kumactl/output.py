"""The three ways in which answers are shown: a table, YAML or JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click

from kuma.apps.kumactl import documents, grammar, session, tables

Row = Callable[[Mapping[str, Any]], Sequence[str]]


def check_format(wanted: str) -> str:
    """`wanted`, if it is one of the three; CommandError otherwise."""
    if wanted not in session.FORMATS:
        raise grammar.CommandError(f'unknown output format "{wanted}"')
    return wanted


def show_list(listing: Mapping[str, Any], wanted: str, headings: Sequence[str], row: Row) -> None:
    """Prints a page of resources; a table says how to ask for the next one."""
    if check_format(wanted) != "table":
        show_tree(listing, wanted)
    else:
        click.echo(tables.render(headings, [row(each) for each in listing.get("items") or []]), nl=False)
        offset = next_offset(listing.get("next"))
        if offset:
            click.echo(f"\nRerun command with --offset={offset} argument to retrieve more resources")


def show_tree(answer: Mapping[str, Any], wanted: str) -> None:
    """Prints an answer as it is, in JSON or YAML."""
    if wanted == "json":
        click.echo(documents.to_json(answer), nl=False)
    else:
        click.echo(documents.to_yaml(dict(answer)), nl=False)


def show_one(resource: Mapping[str, Any], wanted: str, headings: Sequence[str], row: Row) -> None:
    """Prints one resource."""
    if check_format(wanted) == "json":
        click.echo(documents.to_json(resource), nl=False)
    elif wanted == "yaml":
        click.echo(documents.resource_to_yaml(resource), nl=False)
    else:
        click.echo(tables.render(headings, [row(resource)]), nl=False)


def next_offset(url: str | None) -> str:
    """The `offset` of the page that an answer points to, empty where it was the last."""
    return parse_qs(urlsplit(url).query).get("offset", [""])[0] if url else ""
