"""Rules about clients by their tags, out of `from[]` entries.

Entries overlap: one client can carry the tags of several. All combinations that can occur become rules of their
own, each with the merged conf of the entries that hold for it; more specific rules come first.
Source: Kuma's documentation, "MeshTrafficPermission" and the merging of `from`.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import labels
from kuma.envoy import rbac
from kuma.policy_engine import merge, policy
from kuma.resources import resource as res


@dataclass(frozen=True, slots=True)
class Entry:
    """One `from[]` entry: the tags a client must carry, what it then gets, and where that was written."""

    tags: tuple[tuple[str, str], ...]
    conf: Any
    origin: res.ResourceRef


def tags_of(target: Any) -> tuple[tuple[str, str], ...]:
    """The tags that a `from[].targetRef` asks for, sorted."""
    wanted: dict[str, str] = dict(target.tags or {})
    if target.kind in ("MeshService", "MeshServiceSubset"):
        wanted[labels.SERVICE_TAG] = target.name
    return tuple(sorted(wanted.items()))


def build(entries: Sequence[Entry]) -> tuple[policy.ClientRule[Any], ...]:
    """Rules for entries given in order of precedence (last wins)."""
    distinct = list(dict.fromkeys(entry.tags for entry in entries))
    combinations: dict[tuple[rbac.TagTest, ...], None] = {}
    for clique in _cliques(distinct):
        for tests in _combinations([dict(tags) for tags in clique]):
            combinations.setdefault(tests)
    rules = []
    for tests in combinations:
        relevant = [entry for entry in entries if _holds(dict(entry.tags), tests)]
        if relevant:
            conf = merge.merge_confs([entry.conf for entry in relevant])
            origins = tuple(dict.fromkeys(entry.origin for entry in relevant))
            rules.append(policy.ClientRule(tests, conf, origins))
    rules.sort(key=lambda rule: -sum(not test.negated for test in rule.tests))
    return tuple(rules)


def _holds(tags: Mapping[str, str], tests: Iterable[rbac.TagTest]) -> bool:
    """Whether every client that passes `tests` carries `tags`."""
    known = {test.key: test for test in tests if not test.negated}
    return all(key in known and known[key].value == value for key, value in tags.items())


def _can_meet(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(other.get(key, value) == value for key, value in one.items())


def _cliques(subsets: Sequence[tuple[tuple[str, str], ...]]) -> list[list[tuple[tuple[str, str], ...]]]:
    """Maximal groups of subsets that one client may belong to together (Bron-Kerbosch with pivoting)."""
    tags = [dict(subset) for subset in subsets]
    size = len(subsets)
    near = [{j for j in range(size) if j != i and _can_meet(tags[i], tags[j])} for i in range(size)]
    found: list[list[int]] = []

    def extend(chosen: list[int], open_: set[int], closed: set[int]) -> None:
        if not open_ and not closed:
            found.append(sorted(chosen))
            return
        pivot = max(open_ | closed, key=lambda node: len(near[node] & open_))
        for node in sorted(open_ - near[pivot]):
            extend([*chosen, node], open_ & near[node], closed & near[node])
            open_ = open_ - {node}
            closed = closed | {node}

    extend([], set(range(size)), set())
    return [[subsets[i] for i in clique] for clique in sorted(found)]


def _combinations(clique: Sequence[Mapping[str, str]]) -> list[tuple[rbac.TagTest, ...]]:
    """For every key of the clique: one of its values, or none of them."""
    values: dict[str, list[str]] = {}
    for tags in clique:
        for key, value in tags.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    choices: list[list[tuple[rbac.TagTest, ...]]] = []
    for key in sorted(values):
        present = [(rbac.TagTest(key, value),) for value in values[key]]
        absent = tuple(rbac.TagTest(key, value, negated=True) for value in values[key])
        choices.append([*present, absent])
    return [tuple(itertools.chain.from_iterable(pick)) for pick in itertools.product(*choices)]
