"""What the streams of one server work out once for all of them.

A thousand streams move from the same shared mapping to the same new one: the difference, the list of members and
the version of that mapping are computed by the first and looked up by the others. Everything is keyed by identity;
entries hold their mappings, so an id cannot be taken by another object while its entry lives.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from kuma.discovery import framing
from kuma.discovery import resources as res

V = TypeVar("V")

Members = Mapping[str, res.Rendered]


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one set into another: resources that are new or have new bytes, and names that are gone.

    `common` are shared ones, one tuple for all who ask; `own` are the proxy's.
    """

    common: framing.Common = ()
    removed: tuple[str, ...] = ()
    own: tuple[res.Rendered, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.common or self.own or self.removed)

    @property
    def changed(self) -> tuple[res.Rendered, ...]:
        """All that are new or have new bytes."""
        return self.common + self.own


NO_DIFFERENCE = Difference()


class _Recent(Generic[V]):
    """A mapping that forgets its oldest entries."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[object, V] = {}

    def get(self, key: object) -> V | None:
        return self._entries.get(key)

    def put(self, key: object, value: V) -> V:
        if len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value
        return value


class Sharing:
    """Shared by all machines of a server. `limit` bounds the mappings that it keeps alive."""

    def __init__(self, limit: int = 512) -> None:
        self._differences: _Recent[tuple[Members, Members, Difference]] = _Recent(limit)
        self._members: _Recent[tuple[Members, framing.Common]] = _Recent(limit)
        self._digests: _Recent[tuple[Members, bytes]] = _Recent(limit)
        self._chosen: _Recent[tuple[Members, framing.Common]] = _Recent(limit)
        self.frames = framing.Frames()
        self._names: _Recent[frozenset[str]] = _Recent(limit)

    def difference(self, old: res.ResourceSet, new: res.ResourceSet) -> Difference:
        """What a client that has `old` needs for `new`. Costs nothing where both share their parts."""
        if old is new:
            return NO_DIFFERENCE
        shared = NO_DIFFERENCE if old.shared is new.shared else self._shared_difference(old.shared, new.shared)
        if old.own is new.own or old.own == new.own:
            if not shared.removed or not new.own:
                return shared
            return Difference(shared.common, tuple(name for name in shared.removed if name not in new.own))
        own = tuple(r for r in new.own.values() if old.get(r.name) != r)
        gone = tuple(name for name in old.own if name not in new)
        return Difference(shared.common, tuple(name for name in shared.removed if name not in new.own) + gone, own)

    def members(self, of: res.ResourceSet) -> tuple[framing.Common, tuple[res.Rendered, ...]]:
        """All resources of a set: the shared ones, and the own."""
        found = self._members.get(id(of.shared))
        if found is None:
            found = self._members.put(id(of.shared), (of.shared, tuple(of.shared.values())))
        return found[1], tuple(of.own.values())

    def some(self, of: res.ResourceSet, names: frozenset[str]) -> tuple[framing.Common, tuple[res.Rendered, ...]]:
        """Those resources of a set that have one of some names: the shared ones, and the own."""
        own = tuple([each for name, each in of.own.items() if name in names])
        if not of.shared:
            return (), own
        key = (id(of.shared), names)
        found = self._chosen.get(key)
        if found is None:
            chosen = tuple(each for name, each in of.shared.items() if name in names)
            found = self._chosen.put(key, (of.shared, chosen))
        return found[1], own

    def version(self, of: res.ResourceSet) -> str:
        """The version of a whole set: equal for equal sets, whichever stream or control plane says it."""
        found = self._digests.get(id(of.shared))
        if found is None:
            found = self._digests.put(id(of.shared), (of.shared, _digest(of.shared)))
        return hashlib.blake2b(found[1] + _digest(of.own), digest_size=8).hexdigest()

    def names(self, wanted: frozenset[str]) -> frozenset[str]:
        """An equal set of names, one object for all who ask for the same."""
        found = self._names.get(wanted)
        return found if found is not None else self._names.put(wanted, wanted)

    def _shared_difference(self, old: Members, new: Members) -> Difference:
        key = (id(old), id(new))
        found = self._differences.get(key)
        if found is None:
            changed = tuple(r for name, r in new.items() if (was := old.get(name)) is not r and was != r)
            removed = tuple(name for name in old if name not in new)
            found = self._differences.put(key, (old, new, Difference(changed, removed)))
        return found[2]


def _digest(members: Members) -> bytes:
    hashed = hashlib.blake2b(digest_size=8)
    for name in sorted(members):
        hashed.update(f"{name}\0{members[name].version}\0".encode())
    return hashed.digest()
