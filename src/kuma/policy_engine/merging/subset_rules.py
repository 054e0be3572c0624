"""Entries about tags as rules of which exactly one fits each proxy: the confs of all entries that fit it, merged.

Serves `from[]`, where tags describe clients, and `to[]` for destinations that are known by `kuma.io/service`.
Source: Kuma's documentation, "MeshTrafficPermission"; the order of rules can be seen in the inspection API and in
Envoy's configuration, so it is Kuma's.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kuma.base import labels
from kuma.policy_engine.merging import merge, rules
from kuma.resources import targetref

Item = tuple[rules.Subset, merge.Entry]
"""An entry and the proxies that it is about."""

Numbered = tuple[rules.Subset, tuple[merge.Entry, ...]]
"""A rule before its entries are merged."""

LARGEST = 512
"""Rules that some entries may make, where they are not very many themselves: each is written into every inbound."""

MOST_PARTS = 64
"""Parts into which clients are divided to see which rules they fit; where more are needed, nothing is known."""

TAGGED = ("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset")
"""Kinds of targetRef that mean tags."""


def subset_of(target: targetref.TargetRef) -> rules.Subset:
    """The tags that a targetRef of a kind in `TAGGED` means, by key."""
    wanted = dict(target.tags or {}) if target.kind in ("MeshSubset", "MeshServiceSubset") else {}
    if target.kind in ("MeshService", "MeshServiceSubset"):
        wanted[labels.SERVICE_TAG] = target.name
    return tuple(rules.Tag(key, wanted[key]) for key in sorted(wanted))


class SubsetRules:
    """Rules in order. They are made, and their confs merged, when they are first asked for."""

    def __init__(
        self,
        numbered: Callable[[], Sequence[Numbered]],
        merged: Callable[[tuple[merge.Entry, ...]], rules.Merged[Any]],
    ) -> None:
        self._make = numbered
        self._merged = merged
        self._answers: dict[tuple[tuple[str, str], ...], rules.Merged[Any] | None] = {}  # as many as there are services

    @functools.cached_property
    def _numbered(self) -> Sequence[Numbered]:
        return self._make()

    def all(self) -> Iterator[rules.SubsetRule]:
        """Every rule, in order."""
        return (rules.SubsetRule(subset, self._merged(entries)) for subset, entries in self._numbered)

    def find(self, element: Mapping[str, str]) -> rules.Merged[Any] | None:
        """The conf of a proxy or destination with these tags: of the first rule that fits."""
        asked = tuple(element.items())
        if asked not in self._answers:
            self._answers[asked] = self._first(element)
        return self._answers[asked]

    def _first(self, element: Mapping[str, str]) -> rules.Merged[Any] | None:
        places = set(self._without_positive)
        for pair in element.items():
            places.update(self._by_positive.get(pair, ()))
        for place in sorted(places):
            subset, entries = self._numbered[place]
            if _fits(subset, element):
                return self._merged(entries)
        return None

    @functools.cached_property
    def _by_positive(self) -> Mapping[tuple[str, str], Sequence[int]]:
        """Places of rules by the first tag that they ask for."""
        out: dict[tuple[str, str], list[int]] = {}
        for place, (subset, _) in enumerate(self._numbered):
            first = next((each for each in subset if not each.negated), None)
            if first is not None:
                out.setdefault((first.key, first.value), []).append(place)
        return out

    @functools.cached_property
    def _without_positive(self) -> Sequence[int]:
        return [place for place, (subset, _) in enumerate(self._numbered) if all(each.negated for each in subset)]


def _fits(subset: rules.Subset, element: Mapping[str, str]) -> bool:
    """Whether an element is in a subset; one that shares no key with it is not, unless the subset is everything."""
    return all((element.get(tag.key) == tag.value) is not tag.negated for tag in subset) and (
        not subset or any(tag.key in element for tag in subset)
    )


def exclusive_rules(items: Sequence[Item]) -> list[Numbered]:
    """Rules of which the first that fits knows every entry that fits; entries from the least important on.

    Kuma's rules where they are right, so that users see the same: for each set of tags that go together, every choice
    of some and none of the others, those that ask for most first. Where entries with different keys overlap, they can
    hide one: a client then fits a rule that knows nothing of, say, a refusal. There the rules are without negations.
    """
    return _choice_rules(items) or _union_rules(items) or _last_wins(items)


def _choice_rules(items: Sequence[Item]) -> list[Numbered]:
    """Kuma's rules; none where one of them hides an entry or where there are too many to know."""
    members: dict[rules.Subset, list[int]] = {}
    for number, (subset, _) in enumerate(items):
        members.setdefault(subset, []).append(number)
    subsets = list(members)
    most = max(LARGEST, 4 * len(items))
    groups = [
        sorted(itertools.chain.from_iterable(members[subsets[each]] for each in clique))
        for clique in itertools.islice(_cliques(_neighbours(subsets)), most + 1)
    ]
    if sum(1 << len({tag for number in numbers for tag in items[number][0]}) for numbers in groups) > most:
        return []
    groups.sort(key=lambda numbers: ":".join(map(str, numbers)), reverse=True)
    found = [rule for numbers in groups for rule in _choices([items[number] for number in numbers])]
    found.sort(key=lambda rule: -sum(not tag.negated for tag in rule[0]))
    return found if _is_exact([rule for rule, _ in found], subsets) else []


def _union_rules(items: Sequence[Item]) -> list[Numbered]:
    """A rule for whatever entries can fit one client together, most tags first; none where there are too many."""
    unions: dict[frozenset[rules.Tag], None] = {}
    for subset in dict.fromkeys(subset for subset, _ in items):
        if len(unions) > LARGEST // 4:
            return []
        wanted = {tag.key: tag for tag in subset}
        together = [each for each in unions if all(wanted.get(tag.key, tag) == tag for tag in each)]
        unions.update(dict.fromkeys(frozenset(subset) | each for each in (frozenset[rules.Tag](), *together)))
    found = [(tuple(sorted(one)), tuple(entry for subset, entry in items if one.issuperset(subset))) for one in unions]
    found.sort(key=lambda rule: -len(rule[0]))
    return found


def _is_exact(found: Sequence[rules.Subset], asked: Sequence[rules.Subset]) -> bool:
    """Whether the first rule that fits a client always knows every entry that fits it.

    Entries that ask for the same keys never hide each other; very many others are not looked through.
    """
    if len({tuple(tag.key for tag in subset) for subset in asked if subset}) <= 1:
        return True
    if len(found) * len(asked) > 16 * LARGEST:
        return False
    tags = _Tags(asked)
    written = [tags.clients(rule) for rule in found]
    wanted = [tags.clients(subset) for subset in asked]
    for at, rule in enumerate(written):
        hidden = [each for each in wanted if each.has & ~rule.has and not rule.is_apart(each)]
        earlier = [each for each in written[:at] if not rule.is_apart(each)] if hidden else []
        if not all(_are_taken(rule.both(each), earlier, tags) for each in hidden):
            return False
    return True


class _Clients(NamedTuple):
    """Clients that carry some tags and lack others, a bit for each tag; of one key they carry one value at most."""

    has: int
    lacks: int

    def is_apart(self, other: "_Clients") -> bool:
        """Whether nobody is among both."""
        return bool(self.has & other.lacks or self.lacks & other.has)

    def both(self, other: "_Clients") -> "_Clients":
        """Those who are among both."""
        return _Clients(self.has | other.has, self.lacks | other.lacks)


class _Tags:
    """A number for each tag that some subsets ask for."""

    def __init__(self, asked: Sequence[rules.Subset]) -> None:
        tags = {(tag.key, tag.value) for subset in asked for tag in subset}
        self._bits = {tag: 1 << number for number, tag in enumerate(sorted(tags))}
        of_key: dict[str, int] = {}
        for (key, _), bit in self._bits.items():
            of_key[key] = of_key.get(key, 0) | bit
        self._others = {bit: of_key[key] & ~bit for (key, _), bit in self._bits.items()}

    def clients(self, subset: rules.Subset) -> _Clients:
        """Those in a subset."""
        out = _Clients(0, 0)
        for tag in subset:
            bit = self._bits[tag.key, tag.value]
            out = out.both(_Clients(0, bit) if tag.negated else _Clients(bit, self._others[bit]))
        return out

    def parted(self, clients: _Clients, bit: int) -> tuple[_Clients, _Clients]:
        """Those with a tag and those without it."""
        return clients.both(_Clients(bit, self._others[bit])), clients.both(_Clients(0, bit))


def _are_taken(clients: _Clients, earlier: Sequence[_Clients], tags: _Tags) -> bool:
    """Whether each of some clients fits one of the rules, maybe not all the same: they are parted by what is open."""
    pending = [clients]
    for _ in range(MOST_PARTS):
        if not pending:
            return True
        known = pending.pop()
        unclear = 0
        for rule in earlier:
            if rule.has & known.lacks or rule.lacks & known.has:
                continue
            unclear = rule.has & ~known.has or rule.lacks & ~known.lacks
            if not unclear:
                break
        else:
            if not unclear:
                return False
            pending += tags.parted(known, unclear & -unclear)
    return False


def _last_wins(items: Sequence[Item]) -> list[Numbered]:
    """The most important entry that fits decides, with what all its clients have in common merged below it.

    Exact where a conf says everything, as in MeshTrafficPermission; others lose what less important entries say. Only
    for so many tags of different keys that no other way would come to an end.
    """
    subsets = dict.fromkeys(subset for subset, _ in reversed(items))
    return [(one, tuple(entry for subset, entry in items if set(subset) <= set(one))) for one in subsets]


def inclusive_rules(items: Sequence[Item]) -> list[Numbered]:
    """Rules without negations, for at most one key: the first that fits has everything that fits merged into it."""
    everything: list[tuple[int, merge.Entry]] = []
    members: dict[rules.Subset, list[tuple[int, merge.Entry]]] = {}
    for number, (subset, entry) in enumerate(items):
        members.setdefault(subset, []).append((number, entry))
        if not subset:
            everything.append((number, entry))
    found: list[Numbered] = []
    for subset, own in members.items():
        relevant = sorted([*everything, *own] if subset else own, key=lambda each: each[0])
        found.append((subset, tuple(entry for _, entry in relevant)))
    found.sort(key=lambda rule: -len(rule[0]))
    return found


def destination_rules(items: Sequence[Item]) -> list[Numbered]:
    """Rules of `to[]`: negations are needed only where entries ask for tags of several keys."""
    keys = {tag.key for subset, _ in items for tag in subset}
    return inclusive_rules(items) if len(keys) <= 1 else exclusive_rules(items)


def _choices(items: Sequence[Item]) -> Iterator[Numbered]:
    """Every choice among the tags of subsets that go together, the first tag changing fastest."""
    tags = sorted({tag for subset, _ in items for tag in subset})
    for negations in itertools.product((False, True), repeat=len(tags)):
        chosen = tuple(tag._replace(negated=negated) for tag, negated in zip(tags, reversed(negations), strict=True))
        asked = {tag for tag in chosen if not tag.negated}
        entries = tuple(entry for subset, entry in items if asked.issuperset(subset))
        if entries:
            yield chosen, entries


def _neighbours(subsets: Sequence[rules.Subset]) -> list[int]:
    """For each subset the others that can hold for one proxy together with it, as bits."""
    everything = (1 << len(subsets)) - 1
    asking: dict[str, int] = {}
    fitting: dict[tuple[str, str], int] = {}
    for number, subset in enumerate(subsets):
        for tag in subset:
            asking[tag.key] = asking.get(tag.key, 0) | 1 << number
            at = (tag.key, tag.value)
            fitting[at] = fitting.get(at, 0) | 1 << number
    out = []
    for number, subset in enumerate(subsets):
        near = everything & ~(1 << number)
        for tag in subset:
            near &= fitting[tag.key, tag.value] | ~asking[tag.key]
        out.append(near)
    return out


def _cliques(near: Sequence[int]) -> Iterator[list[int]]:
    """The largest groups of nodes that are all neighbours of each other (Bron and Kerbosch, with pivots)."""
    pending: list[tuple[list[int], int, int]] = [([], (1 << len(near)) - 1, 0)]
    while pending:
        clique, candidates, excluded = pending.pop()
        if not candidates and not excluded:
            yield clique
            continue
        pivot = max(_bits(candidates | excluded), key=lambda node: (candidates & near[node]).bit_count())
        for node in _bits(candidates & ~near[pivot]):
            bit = 1 << node
            pending.append(([*clique, node], candidates & near[node], excluded & near[node]))
            candidates &= ~bit
            excluded |= bit


def _bits(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
