"""Merging the confs of several entries into one: a later entry has the last word on what it says.

Objects are merged member by member, scalars and lists replaced (RFC 7396), lists named `append...` joined. A conf
that is a route marks the fields that follow rules of their own with `BY_MATCHES` and `EACH`. Source: Kuma's
documentation, "How policies are merged".
"""

import functools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import inspect

from kuma.policy_engine.merging import matches_hash, rules
from kuma.resources import resource as res
from kuma.resources import targetref

Struct = TypeVar("Struct", bound=msgspec.Struct)

BY_MATCHES = msgspec.Meta(extra={"merge": "by matches"})
"""Marks a list of rules with `matches` and `default`: rules of all entries are gathered, equal matches merged."""

EACH = msgspec.Meta(extra={"merge": "each"})
"""Marks a list of texts each of which gets a conf of its own, out of the entries that list it; an empty list is one."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Entry:
    """One item of a policy's `to`, `from` or `rules`, or its `default`. `target` is None where items have none.

    Entries of a policy are made once and compared by identity.
    """

    target: targetref.TargetRef | None
    conf: Any
    origin: res.ResourceRef
    match: targetref.Match | None = None


class Merges:
    """Merges of entries. The same entries in the same order give the same object for as long as somebody holds it."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[tuple[Entry, ...], rules.Merged[Any]] = WeakValueDictionary()

    def of(self, entries: tuple[Entry, ...]) -> rules.Merged[Any]:
        """The merge of at least one entry, the least important first."""
        found = self._held.get(entries)
        if found is None:
            found = self._held[entries] = merge_entries(entries)
        return found


def merge_entries(entries: Sequence[Entry]) -> rules.Merged[Any]:
    """The merge of at least one entry, the least important first."""
    first, *others = merge_confs([each.conf for each in entries])
    written = {
        matches_hash.matches_hash(rule.matches): each.origin for each in entries for rule in _gathered_rules(each.conf)
    }
    return rules.Merged(first, tuple(dict.fromkeys(each.origin for each in entries)), written, tuple(others))


def merge_confs(confs: Sequence[Struct]) -> list[Struct]:
    """One conf out of at least one; of gateways' routes one for each host name, in order of first mention."""
    each = _marked(type(confs[0])).get("each")
    if each is None:
        return [_merged(confs)]
    by_value: dict[str | None, list[Struct]] = {}
    for conf in confs:
        for value in getattr(conf, each) or (None,):
            alone = conf if value is None else msgspec.structs.replace(conf, **{each: (value,)})
            by_value.setdefault(value, []).append(alone)
    return [_merged(several) for several in by_value.values()]


def _merged(confs: Sequence[Struct]) -> Struct:
    out = functools.reduce(_patched, confs)
    gathered = _marked(type(out)).get("by matches")
    if gathered is None:
        return out
    reversed_rules = [rule for conf in confs for rule in reversed(getattr(conf, gathered) or ())]
    return msgspec.structs.replace(out, **{gathered: tuple(_merged_by_matches(reversed_rules))})


def _merged_by_matches(entries: Iterable[Any]) -> Iterator[Any]:
    """Rules with equal matches as one, where the last of them stood, and all of them in reverse order.

    Entries come from the least to the most important one, the rules of each back to front: in a list of routes the
    first one that fits counts.
    """
    found: dict[Hashable, Any] = {}
    for rule in entries:
        before = found.pop(rule.matches, None)
        found[rule.matches] = rule if before is None else _patched(before, rule)
    return reversed(found.values())


def _patched(target: Struct, patch: Struct) -> Struct:
    """`target` with everything that `patch` says."""
    changes: dict[str, Any] = {}
    for name, unset in _fields(type(patch)):
        value = getattr(patch, name)
        if value == unset:
            continue
        before = getattr(target, name)
        if name.startswith("append_") and before:
            value = (*before, *value)
        changes[name] = _patched_value(before, value)
    return msgspec.structs.replace(target, **changes)


def _patched_value(before: Any, value: Any) -> Any:
    if isinstance(before, dict) and isinstance(value, dict):
        return {**before, **{key: _patched_value(before.get(key), each) for key, each in value.items()}}
    if isinstance(value, msgspec.Struct) and type(before) is type(value):
        return _patched(before, value)
    return value


@functools.cache
def _fields(wanted: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """The fields of a struct, each with the value that says nothing; fields that always say something have NODEFAULT."""
    return tuple((each.name, each.default) for each in msgspec.structs.fields(wanted))


@functools.cache
def _marked(wanted: type[msgspec.Struct]) -> dict[str, str]:
    """Names of fields with a mark of this module, by mark."""
    described = inspect.type_info(wanted)
    assert isinstance(described, inspect.StructType)
    out = {}
    for each in described.fields:
        kind = each.type
        while isinstance(kind, inspect.Metadata):
            if kind.extra and "merge" in kind.extra:
                out[kind.extra["merge"]] = each.name
            kind = kind.type
    return out


def _gathered_rules(conf: msgspec.Struct) -> Sequence[Any]:
    gathered = _marked(type(conf)).get("by matches")
    return (getattr(conf, gathered) or ()) if gathered else ()
