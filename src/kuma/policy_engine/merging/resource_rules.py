"""Rules of `to[]` about real resources: MeshService and its like, MeshHTTPRoute, and the mesh as what is left.

Only what some entry is about has a rule. Source: Kuma's documentation, "Introduction to policies: to".
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kuma.base import kri
from kuma.policy_engine.matching import surroundings
from kuma.policy_engine.merging import merge, rules

_WITH_SECTIONS = ("msvc", "mzsvc")
_MESH = "m"


class Placed(NamedTuple):
    """An entry at its place among all entries, of the policy at `position`, about `section` of its resource."""

    place: int
    position: int
    section: str
    entry: merge.Entry


@dataclass(frozen=True, eq=False)
class Resolved:
    """The entries of all policies of a kind by what they are about."""

    around: surroundings.Surroundings
    of_mesh: Sequence[Placed]
    by_resource: Mapping[kri.Kri, Sequence[Placed]]


def resolved(
    entries: Sequence[tuple[int, merge.Entry, Sequence[kri.Kri]]], around: surroundings.Surroundings
) -> Resolved:
    """Entries by resource; they come from the least to the most important, with the position of their policy."""
    of_mesh: list[Placed] = []
    by_resource: dict[kri.Kri, list[Placed]] = {}
    for place, (position, entry, targets) in enumerate(entries):
        for each in targets:
            placed = Placed(place, position, each.section, entry)
            if each.short == _MESH:
                of_mesh.append(placed)
            else:
                by_resource.setdefault(each.with_section("") if each.section else each, []).append(placed)
    return Resolved(around, of_mesh, by_resource)


class ResourceRules:
    """The rules of some policies. Their confs are merged when they are first asked for."""

    def __init__(
        self,
        entries: Resolved,
        positions: Collection[int],
        merged: Callable[[tuple[merge.Entry, ...]], rules.Merged[Any]],
    ) -> None:
        """`positions` are those of the policies."""
        self._entries = entries
        self._positions = frozenset(positions)
        self._merged = merged
        self._found: dict[kri.Kri, rules.Merged[Any] | None] = {}

    def find(self, target: kri.Kri) -> rules.Merged[Any] | None:
        """The rule of exactly that resource and section."""
        own = self._entries.by_resource.get(target.with_section("") if target.section else target)
        if own is None:
            return None
        if target not in self._found:
            self._found[target] = self._merge(target, own)
        return self._found[target]

    def find_mesh(self) -> rules.Merged[Any] | None:
        """The rule of the whole mesh."""
        return self._of_all

    def all(self) -> Iterator[rules.ResourceRule]:
        """Every rule, by KRI."""
        around = self._entries.around
        targets = {
            own.with_section(each.section) for own, several in self._entries.by_resource.items() for each in several
        }
        found = [(each, self.find(each)) for each in targets]
        if around.mesh is not None and around.mesh.kri is not None:
            found.append((around.mesh.kri, self.find_mesh()))
        for target, merged in sorted(found, key=lambda each: str(each[0])):
            resource = around.find(target)
            if merged is not None and resource is not None:
                yield rules.ResourceRule(target, resource, merged)

    def _merge(self, target: kri.Kri, own: Sequence[Placed]) -> rules.Merged[Any] | None:
        chosen = [each for each in own if each.position in self._positions]
        if not any(each.section == target.section for each in chosen):
            return None
        relevant = sorted([*self._of_mesh, *(each for each in chosen if _is_relevant(each.section, target))])
        return self._merged(tuple(each.entry for each in relevant))

    @functools.cached_property
    def _of_mesh(self) -> Sequence[Placed]:
        return [each for each in self._entries.of_mesh if each.position in self._positions]

    @functools.cached_property
    def _of_all(self) -> rules.Merged[Any] | None:
        return self._merged(tuple(each.entry for each in self._of_mesh)) if self._of_mesh else None


def _is_relevant(section: str, target: kri.Kri) -> bool:
    """Whether an entry about `section` of a resource counts for `target`: what has no ports is one whole."""
    return section in ("", target.section) or target.short not in _WITH_SECTIONS
