"""`kumactl get`: for each kind one command that lists and one that shows a single resource, derived from the catalog."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from kuma.apps.kumactl import flags, grammar, kinds, output, rest, session, tables
from kuma.resources import kind as kind_

SIZE = flags.Flag(
    "size", form=flags.Form.NUMBER, default=0, help="how many resources a page holds; 0 leaves it to the server"
)
OFFSET = flags.Flag("offset", help="where the page starts, as the previous page said")


def _entries() -> Mapping[str, grammar.Entry]:
    found = {}
    for kind in kinds.offered():
        one, many = kind.argument, kinds.list_word(kind.argument)
        found[many] = grammar.Entry(f"Show {kind.name}", partial(_list_command, kind, many))
        found[one] = grammar.Entry(f"Show a single {kind.name} resource", partial(_one_command, kind))
    return found


def _find(word: str) -> grammar.Entry | None:
    """The command of a word, without loading the kinds that it is not about."""
    kind = kinds.find_home(word)
    if kind is not None:
        return grammar.Entry("", partial(_one_command, kind))
    kind = kinds.find_listed(word)
    return grammar.Entry("", partial(_list_command, kind, word)) if kind is not None else None


def _aliases() -> Mapping[str, str]:
    found = {}
    for kind in kinds.offered():
        if kind.argument_alias:
            found[kind.argument_alias] = kind.argument
            found[kinds.list_word(kind.argument_alias)] = kinds.list_word(kind.argument)
    return found


def _list_command(kind: kind_.Kind[Any], word: str) -> grammar.Command:
    alias = [kinds.list_word(kind.argument_alias)] if kind.argument_alias else [""]
    return grammar.Command(
        word,
        partial(_show_all, kind),
        summary=f"Show {kind.name}",
        flags=[session.MESH, SIZE, OFFSET],
        aliases=alias,
    )


def _one_command(kind: kind_.Kind[Any]) -> grammar.Command:
    return grammar.Command(
        kind.argument,
        partial(_show_one, kind),
        summary=f"Show a single {kind.name} resource",
        flags=[session.MESH],
        arguments=1,
        operands="NAME",
        aliases=[kind.argument_alias],
    )


def _show_all(kind: kind_.Kind[Any], call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    query = {}
    if call.number("size"):
        query["size"] = str(call.number("size"))
    if call.text("offset"):
        query["offset"] = call.text("offset")
    try:
        listing = plane.get(kinds.collection_path(kind, session.mesh_of(call)), query)
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"failed to list {kind.name}: {problem}") from None
    output.show_list(listing, call.text("output"), headings_of(kind), _row_of(kind, tables.now()))


def _show_one(kind: kind_.Kind[Any], call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    mesh, name = session.mesh_of(call), call.args[0]
    try:
        found = plane.get(kinds.path(kind, mesh, name))
    except rest.Refused as problem:
        if problem.status != rest.HTTP_NOT_FOUND:
            raise
        where = f" in {mesh} mesh" if kind.scope is kind_.Scope.MESH else ""
        raise grammar.CommandError(f"No resources found{where}") from None
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"failed to get a resource: {problem}") from None
    output.show_one(found, call.text("output"), headings_of(kind), _row_of(kind, tables.now()))


def headings_of(kind: kind_.Kind[Any]) -> Sequence[str]:
    """The columns of a kind's table."""
    if kind.name == "Mesh":
        return ("NAME", "mTLS", "LOCALITY", "ZONEEGRESS", "AGE")
    if kind.name in ("Dataplane", "ExternalService"):
        return ("MESH", "NAME", "TAGS", "ADDRESS", "AGE")
    return ("MESH", "NAME", "AGE") if kind.scope is kind_.Scope.MESH else ("NAME", "AGE")


def _row_of(kind: kind_.Kind[Any], now: datetime) -> output.Row:
    def row(item: Mapping[str, Any]) -> Sequence[str]:
        name, age = str(item.get("name", "")), tables.age(item.get("modificationTime"), now)
        mesh = str(item.get("mesh", ""))
        if kind.name == "Mesh":
            routing = item.get("routing") or {}
            return (
                name,
                _mtls(item),
                _on(routing.get("localityAwareLoadBalancing")),
                _on(routing.get("zoneEgress")),
                age,
            )
        if kind.name == "Dataplane":
            networking = item.get("networking") or {}
            address = str(networking.get("advertisedAddress") or networking.get("address") or "")
            return (mesh, name, tags_text(dataplane_tags(networking)), address, age)
        if kind.name == "ExternalService":
            address = str((item.get("networking") or {}).get("address") or "")
            return (
                mesh,
                name,
                tags_text({key: {value} for key, value in (item.get("tags") or {}).items()}),
                address,
                age,
            )
        return (mesh, name, age) if kind.scope is kind_.Scope.MESH else (name, age)

    return row


def dataplane_tags(networking: Mapping[str, Any]) -> dict[str, set[str]]:
    """Every value of every tag of a proxy's inbounds and gateway."""
    found: dict[str, set[str]] = {}
    sources = [*(networking.get("inbound") or []), networking.get("gateway") or {}]
    for source in sources:
        for key, value in (source.get("tags") or {}).items():
            found.setdefault(key, set()).add(str(value))
    return found


def tags_text(tags: Mapping[str, set[str]]) -> str:
    """`k=v1,v2 k2=v`, keys and values sorted."""
    return " ".join(f"{key}={','.join(sorted(values))}" for key, values in sorted(tags.items()))


def _mtls(mesh: Mapping[str, Any]) -> str:
    mtls = mesh.get("mtls") or {}
    enabled = mtls.get("enabledBackend")
    for backend in mtls.get("backends") or []:
        if enabled and backend.get("name") == enabled:
            return f"{backend.get('type', '')}/{enabled}"
    return "off"


def _on(value: object) -> str:
    return "on" if value else "off"


COMMAND = grammar.Group(
    "get",
    _entries,
    description="Show resources of the mesh.",
    persistent=[session.OUTPUT],
    aliases=_aliases,
    find=_find,
)
