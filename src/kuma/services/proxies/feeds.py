"""What the publisher knows of one stream, and of the proxies of one shape.

An `Outlet` is where publisher and stream meet. The `Feed` of a sidecar gets both halves of a configuration, and the
stream takes the snapshot that is made of them.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import structlog

from kuma.compiler import compile, matched, shapes
from kuma.discovery import resources as xds
from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.services.trust import identities

_LOG = structlog.get_logger("publisher")

Subject = TypeVar("Subject", proxy.ProxyFacts, proxy.ZoneProxyFacts)


class Outlet(Generic[Subject]):
    """What one stream reads: the newest snapshot, an event for newer ones, and who shaped each resource.

    `own` is what the publisher compiled for this proxy alone, `subject` the facts that it was made of.
    """

    def __init__(self, key: res.Key, metadata: Mapping[str, Any]) -> None:
        self.key = key
        self.metadata = metadata
        self.snapshot: xds.Snapshot | None = None
        self.changed = asyncio.Event()
        self.identity: identities.Identity | identities.External | None = None
        self.subject: Subject | None = None
        self.own: compile.Own | None = None
        self.problems: tuple[str, ...] = ()
        self._failure = ""
        self._on_failure: Callable[[str], None] | None = None

    def tell_failures(self, told: Callable[[str], None]) -> None:
        """Has `told` called with why the proxy keeps an older configuration, and with nothing once it has the newest."""
        self._on_failure = told
        told(self._failure)

    def failed(self, why: str) -> None:
        """The newest configuration could not be made; nothing for `why`: it was."""
        if why != self._failure:
            self._failure = why
            if self._on_failure is not None:
                self._on_failure(why)

    def origins(self, type_url: str, name: str) -> tuple[res.ResourceRef, ...]:
        """The resources that shaped one Envoy resource, the one it stands for first."""
        return self.own.authors.get((type_url, name), ()) if self.own is not None else ()

    def told(self, document: str) -> bytes | None:
        """What the proxy's agent is told in a document, None where it gets none of that name."""
        return self.own.documents.get(document) if self.own is not None else None

    def give(self, made: xds.Snapshot) -> None:
        """Hands a snapshot to the stream, if it does not have it yet."""
        if self.snapshot is None or not _is_same(self.snapshot, made):
            self.snapshot = made
            self.changed.set()


class Feed(Outlet[proxy.ProxyFacts]):
    """What the stream of a sidecar reads, and the shape that it shares with others."""

    def __init__(self, key: res.Key, metadata: Mapping[str, Any], on_detach: "Callable[[Feed], None]") -> None:
        super().__init__(key, metadata)
        self.said: matched.Matched | None = None
        self.group: Group | None = None
        self.basis: compile.Basis | None = None
        self._on_detach = on_detach

    def origins(self, type_url: str, name: str) -> tuple[res.ResourceRef, ...]:
        """As of any proxy; what is not its own is of its shape."""
        if self.own is not None and (type_url, name) in self.own.authors:
            return self.own.authors[type_url, name]
        shape = self.group.shape if self.group is not None else None
        built = shape.built.get((type_url, name)) if shape is not None else None
        return built.authors if built is not None else ()

    def detach(self) -> None:
        """The stream is gone."""
        self._on_detach(self)

    def hand_out(self) -> None:
        """Gives the stream both halves, if they fit together and it does not have them yet.

        A proxy whose one half knows of mutual TLS and whose other half does not would be cut off from its peers.
        """
        own, group = self.own, self.group
        if own is None or group is None or group.shape is None:
            return
        if self.basis is None or not self.basis.is_same(group.basis):
            return
        self.give(compile.snapshot(own, group.shape))


class Group:
    """The feeds of one shape. `basis` is what it was built for; `is_behind`: the newest one could not be."""

    def __init__(self, key: Hashable, mesh: str) -> None:
        self.key = key
        self.mesh = mesh
        self.feeds: dict[Feed, None] = {}
        self.shape: shapes.Shape | None = None
        self.basis: compile.Basis | None = None
        self.is_behind = False
        self.problems: tuple[str, ...] = ()


def reported(found: Iterable[str], before: tuple[str, ...], **who: str) -> tuple[str, ...]:
    """Logs what policies ask for and could not be done, unless it was said before; `who` it concerns."""
    problems = tuple(dict.fromkeys(found))
    for each in problems:
        if each not in before:
            _LOG.warning("a change that a policy asks for cannot be made", problem=each, **who)
    return problems


def _is_same(old: xds.Snapshot, new: xds.Snapshot) -> bool:
    """Whether two snapshots are made of the same objects."""
    return old.sets.keys() == new.sets.keys() and all(
        old.sets[kind].shared is each.shared and old.sets[kind].own is each.own for kind, each in new.sets.items()
    )
