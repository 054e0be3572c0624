"""The list of kinds a program knows, asked by name, by path and by command word.

Wiring builds one catalog from declared kinds; nothing registers itself.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from kuma.resources import kind as kinds


class Catalog:
    """An immutable set of kinds, iterated in order of their names."""

    def __init__(self, declared: Iterable[kinds.Kind[Any]]) -> None:
        self._by_name = {each.name: each for each in sorted(declared, key=lambda k: k.name)}
        self._by_path: dict[str, kinds.Kind[Any]] = {}
        self._by_argument: dict[str, kinds.Kind[Any]] = {}
        self._by_short: dict[str, kinds.Kind[Any]] = {}
        for each in self._by_name.values():
            for path in filter(None, (each.plural, each.alternative_plural)):
                self._by_path[path] = each
            for word in filter(None, (each.argument, each.argument_alias)):
                self._by_argument[word] = each
            if each.short:
                self._by_short[each.short] = each

    def __iter__(self) -> Iterator[kinds.Kind[Any]]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def find(self, name: str) -> kinds.Kind[Any] | None:
        """The kind called `name` (`Dataplane`), or None."""
        return self._by_name.get(name)

    def at_path(self, path: str) -> kinds.Kind[Any] | None:
        """The kind served under a REST path (`dataplanes`), or None."""
        return self._by_path.get(path)

    def for_argument(self, word: str) -> kinds.Kind[Any] | None:
        """The kind of a singular command word (`dataplane`), or None."""
        return self._by_argument.get(word)

    def by_short(self, short: str) -> kinds.Kind[Any] | None:
        """The kind of a short name (`dp`), or None."""
        return self._by_short.get(short)
