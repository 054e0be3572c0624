"""Matching that remembers: an answer is found once for all proxies that policies cannot tell apart.

Replicas carry the same tags and labels. What was found lives as long as the policies and surroundings that it was
found for; of what did not change, the next state takes over the merges.
"""

import itertools
from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kuma.plan import proxy
from kuma.policy_engine.matching import index, matching, places, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import kind as kinds
from kuma.resources import resource as res

LARGEST_TABLE = 4096
"""Answers that one table keeps. Proxies with labels of their own would fill it without end as they come and go."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A proxy as policies see it. `signature` is a number for all of it but its name, which few policies ask for."""

    resource: res.Resource[Any]
    around: surroundings.Surroundings
    places: places.Places
    signature: int


@dataclass(slots=True)
class _Table:
    """The answers for one state of the policies of a kind."""

    policies: Sequence[res.Resource[Any]]
    counting: index.PolicyIndex
    answers: dict[Hashable, matching.Answer] = field(default_factory=dict)


class Matcher:
    """Matches of proxies; one table for each mesh and kind, with shadow policies and without."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str, bool], _Table] = {}
        self._silent: dict[str, rules.ProxyRules] = {}
        self._last: _Subject | None = None
        self._signatures: dict[Hashable, int] = {}
        self._numbers = itertools.count()

    def match(
        self,
        kind: kinds.Kind[Any],
        policies: tuple[res.Resource[Any], ...],
        subject: proxy.ProxyFacts,
        around: surroundings.Surroundings,
        with_shadow: bool = False,
    ) -> rules.ProxyRules:
        """As `matching.match`. `policies` and `around` are compared by identity: a change brings new ones."""
        if not policies:
            return self._silent.setdefault(kind.name, rules.ProxyRules(kind.name, (), rules.NO_DESTINATIONS))
        asking = self._subject(subject, around)
        table = self._table(kind, policies, subject.resource.meta.mesh, around, with_shadow)
        name = asking.places.proxy.display_name
        at = (asking.signature, name if name in table.counting.names else "")
        found = table.answers.get(at)
        if found is None:
            found = matching.answer(table.counting, asking.places)
            if len(table.answers) >= LARGEST_TABLE:
                del table.answers[next(iter(table.answers))]  # the oldest
            table.answers[at] = found
        return found.for_proxy(asking.places)

    def forget_all_but(self, meshes: Container[str]) -> None:
        """Lets go of what was found in meshes that are gone."""
        self._tables = {at: table for at, table in self._tables.items() if at[0] in meshes}
        if self._last is not None and self._last.resource.meta.mesh not in meshes:
            self._last = None

    def _table(
        self,
        kind: kinds.Kind[Any],
        policies: tuple[res.Resource[Any], ...],
        mesh: str,
        around: surroundings.Surroundings,
        with_shadow: bool,
    ) -> _Table:
        held = self._tables.get((mesh, kind.name, with_shadow))
        if held is not None and held.policies is policies and held.counting.around is around:
            return held
        before = None if held is None else held.counting
        counting = index.PolicyIndex(kind, matching.in_force(policies, with_shadow), around, before)
        made = self._tables[mesh, kind.name, with_shadow] = _Table(policies, counting)
        return made

    def _subject(self, subject: proxy.ProxyFacts, around: surroundings.Surroundings) -> _Subject:
        """The proxy as policies see it; kept for the next kind, which is asked about the same one."""
        last = self._last
        if last is None or last.resource is not subject.resource or last.around is not around:
            found = places.places_of(subject.resource, around.gateways)
            last = self._last = _Subject(subject.resource, around, found, self._number(_signature(found)))
        return last

    def _number(self, signature: Hashable) -> int:
        """Equal for equal signatures, as long as there are not too many: short to look for in the table of each kind."""
        if len(self._signatures) >= LARGEST_TABLE:
            self._signatures.clear()  # numbers are not given twice
        found = self._signatures.get(signature)
        if found is None:
            found = self._signatures[signature] = next(self._numbers)
        return found


def _signature(found: places.Places) -> Hashable:
    """Everything but the name by which policies can tell proxies apart. Addresses they cannot."""
    return (
        tuple(sorted(found.proxy.labels.items())),
        tuple((each.sort, each.section, each.port, tuple(sorted(each.tags.items()))) for each in found.all),
        found.is_gateway,
        id(found.gateway),
    )
