"""Rules of `to[]` about real resources: MeshService and its like, MeshHTTPRoute, and the mesh as what is left.

Only what some entry is about has a rule. Source: Kuma's documentation, "Introduction to policies: to".
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kuma.base import kri
from kuma.policy_engine import merge, rules, surroundings

_WITH_SECTIONS = ("msvc", "mzsvc")
_MESH = "m"

Targeted = tuple[merge.Entry, tuple[kri.Kri, ...]]
"""An entry and the resources that it is about."""


class ResourceRules:
    """Rules by KRI. Their confs are merged when they are first asked for."""

    def __init__(
        self,
        entries: Sequence[Targeted],
        around: surroundings.Surroundings,
        merged: Callable[[tuple[merge.Entry, ...]], rules.Merged[Any]],
    ) -> None:
        """`entries` from the least to the most important."""
        self._entries = entries
        self._around = around
        self._merged = merged
        self._found: dict[kri.Kri, rules.Merged[Any] | None] = {}

    def find(self, target: kri.Kri) -> rules.Merged[Any] | None:
        """The rule of exactly that resource and section."""
        if target not in self._by_resource and not target.section:
            return None
        if target not in self._found:
            self._found[target] = self._find(target)
        return self._found[target]

    def _find(self, target: kri.Kri) -> rules.Merged[Any] | None:
        own = self._by_resource.get(target.with_section(""))
        if own is None or not any(section == target.section for section, _, _ in own):
            return None
        relevant = [(number, entry) for section, number, entry in own if _is_relevant(section, target)]
        relevant += self._of_mesh
        return self._merged(tuple(entry for _, entry in sorted(relevant, key=lambda each: each[0])))

    def find_mesh(self) -> rules.Merged[Any] | None:
        """The rule of the whole mesh."""
        return self._merged(tuple(entry for _, entry in self._of_mesh)) if self._of_mesh else None

    def all(self) -> Iterator[rules.ResourceRule]:
        """Every rule, by KRI."""
        targets = {own.with_section(section) for own, all_ in self._by_resource.items() for section, _, _ in all_}
        found = [(each, self.find(each)) for each in targets]
        mesh = self._around.mesh
        if mesh is not None and mesh.kri is not None:
            found.append((mesh.kri, self.find_mesh()))
        for target, merged in sorted(found, key=lambda each: str(each[0])):
            resource = self._around.find(target)
            if merged is not None and resource is not None:
                yield rules.ResourceRule(target, resource, merged)

    @functools.cached_property
    def _of_mesh(self) -> list[tuple[int, merge.Entry]]:
        return [
            (number, entry)
            for number, (entry, targets) in enumerate(self._entries)
            if any(each.short == _MESH for each in targets)
        ]

    @functools.cached_property
    def _by_resource(self) -> Mapping[kri.Kri, list[tuple[str, int, merge.Entry]]]:
        """Section, number and entry by resource."""
        out: dict[kri.Kri, list[tuple[str, int, merge.Entry]]] = {}
        for number, (entry, targets) in enumerate(self._entries):
            for each in targets:
                if each.short != _MESH:
                    out.setdefault(each.with_section(""), []).append((each.section, number, entry))
        return out


def _is_relevant(section: str, target: kri.Kri) -> bool:
    """Whether an entry about `section` of a resource counts for `target`: what has no ports is one whole."""
    return section in ("", target.section) or target.short not in _WITH_SECTIONS
