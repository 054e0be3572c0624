"""The kinds that commands speak of, and the words for them: `get dataplanes`, `delete mesh`, `inspect meshtimeout`.

Loading every kind takes longer than a whole call should, so a word is first looked up where the kind of that name
lives by convention; the catalog of all kinds is made for what cannot be found so, and for help.
"""

import importlib
import importlib.util
from functools import cache
from typing import Any

from kuma.apps.kumactl import rest
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds

_HOMES = ("kuma.resources.kinds.{}", "kuma.policies.{}.model", "kuma.legacy_policies.{}.model")


@cache
def catalog() -> catalogs.Catalog:
    """Every kind this build knows: the core ones and those of the policies (their declarations only, no translation)."""
    from kuma.legacy_policies import discovery as legacy
    from kuma.policies import discovery as policies
    from kuma.resources import builtin

    return catalogs.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy.kinds()])


def find(word: str) -> kinds.Kind[Any] | None:
    """The kind of a singular command word or its alias, or None."""
    return find_home(word) or catalog().for_argument(word)


def find_listed(word: str) -> kinds.Kind[Any] | None:
    """The kind of a plural command word (`dataplanes`), or None; looks only where the kind lives by convention."""
    endings = (("ies", "y"), ("es", ""), ("s", ""))
    for ending, instead in endings:
        single = word.removesuffix(ending) + instead
        if word.endswith(ending) and list_word(single) == word and (found := find_home(single)) is not None:
            return found
    return None


def find_home(word: str) -> kinds.Kind[Any] | None:
    """The kind of a singular command word where its module is called so; None for everything else."""
    plain = word.replace("-", "")
    for home in _HOMES if plain.isalnum() else ():
        found = _kind_in(home.format(plain))
        if found is not None and word in (found.argument, found.argument_alias):
            return found
    return None


def _kind_in(module: str) -> kinds.Kind[Any] | None:
    try:
        if importlib.util.find_spec(module) is None:
            return None
    except ModuleNotFoundError:
        return None
    found = getattr(importlib.import_module(module), "KIND", None)
    return found if isinstance(found, kinds.Kind) else None


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
