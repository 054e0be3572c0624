"""The kinds that commands speak of, and the words for them: `get dataplanes`, `delete mesh`, `inspect meshtimeout`."""

from functools import cache
from typing import Any

from kuma.apps.kumactl import rest
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds


@cache
def catalog() -> catalogs.Catalog:
    """Every kind this build knows: the core ones and those of the policies (their declarations only, no translation)."""
    from kuma.resources import builtin

    found = list(builtin.CORE_KINDS)
    try:
        from kuma.legacy_policies import discovery as legacy
        from kuma.policies import discovery as policies

        found += [*policies.kinds(), *legacy.kinds()]
    except ImportError:
        pass
    return catalogs.Catalog(found)


def offered() -> list[kinds.Kind[Any]]:
    """The kinds with a command word, ordered by name."""
    return [each for each in catalog() if each.argument]


def list_word(argument: str) -> str:
    """The plural of a command word, by the rules of English: meshes, retries, dataplanes, meshtlses."""
    if argument.endswith(("s", "sh", "ch", "x")):
        return argument + "es"
    if argument.endswith("y") and argument[-2] not in "aeiou":
        return argument[:-1] + "ies"
    return argument + "s"


def collection_path(kind: kinds.Kind[Any], mesh: str) -> str:
    """The REST path of all resources of a kind (of one mesh where they belong to one)."""
    if kind.scope is kinds.Scope.MESH:
        return f"/meshes/{rest.segment(mesh)}/{kind.plural}"
    return f"/{kind.plural}"


def path(kind: kinds.Kind[Any], mesh: str, name: str) -> str:
    """The REST path of one resource."""
    return f"{collection_path(kind, mesh)}/{rest.segment(name)}"
