"""The certificates that proxies prove themselves with: issued on first need, kept, renewed before they end.

The publisher asks `current` whenever it compiles a proxy, and `run` tells it which proxies to compile again: those
whose certificate has reached four fifths of its life, and those whose CA was replaced in its Secret. One heap of dates
and one timer serve all proxies.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import secret
from kuma.security import authorities, certificates, tokens, workloads
from kuma.services import cas
from kuma.store import protocol

RETRY = timedelta(seconds=30)
"""How long after a renewal was due, and did not happen, it is asked for again."""

_SPARE_DATES = 64
"""Dates of renewals that no longer hold and may stay in the heap, beside as many as there are proxies."""

_LONGEST_WAIT = 60.0
"""Seconds. The date of a renewal is wall time and timers are not: a machine that slept must not sleep on."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What one proxy holds. `cert_pem` is its certificate with intermediates, `ca_pem` what it trusts.

    `regenerations` counts certificates since this control plane first met the proxy, this one included.
    """

    cert_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
    uris: tuple[str, ...]
    generated: datetime
    expires: datetime
    renew_at: datetime
    regenerations: int
    issued_backend: str
    supported_backends: tuple[str, ...]


@dataclass(slots=True)
class _Held:
    identity: Identity
    issuer: cas.MeshAuthority


class Identities:
    """All identities of this control plane. `clock` tells wall time; `retry` see `RETRY`."""

    def __init__(self, store: protocol.Store, clock: tokens.Clock, retry: timedelta = RETRY) -> None:
        self._store = store
        self._clock = clock
        self._retry = retry
        self._cas = cas.MeshAuthorities(store)
        self._held: dict[res.Key, _Held] = {}
        self._due: list[tuple[datetime, res.Key]] = []
        self._dates: dict[res.Key, datetime] = {}
        self._earlier = asyncio.Event()

    async def current(
        self, mesh: res.Resource[meshes.Mesh], dataplane: res.Resource[dataplanes.Dataplane]
    ) -> Identity | None:
        """The proxy's identity now; None where the mesh has no mutual TLS.

        The same object as before, unless its names, backend, CA or lifetime changed or it is due for renewal.
        Unavailable where the CA cannot be used or the proxy has no name to certify.
        """
        issuer = await self._cas.of(mesh)
        if issuer is None:
            self.forget(dataplane.key)
            return None
        uris = tuple(certificates.workload_uris(mesh.meta.name, workloads.identity_tags(dataplane)))
        held = self._held.get(dataplane.key)
        now = self._clock()
        if held is not None and _is_good(held, issuer, uris, now):
            return held.identity
        count = held.identity.regenerations + 1 if held else 1
        supported = tuple(each.name for each in mesh.spec.mtls.backends) if mesh.spec.mtls else ()
        identity = _issue(issuer, uris, now, count, supported)
        self._held[dataplane.key] = _Held(identity, issuer)
        self._schedule(identity.renew_at, dataplane.key)
        return identity

    async def trust(self, mesh: res.Resource[meshes.Mesh]) -> bytes | None:
        """The CA bundle of a mesh, PEM; None where it has no mutual TLS. Unavailable as `current`."""
        issuer = await self._cas.of(mesh)
        return issuer.authority.bundle_pem if issuer else None

    def held(self, key: res.Key) -> Identity | None:
        """The last identity of a Dataplane, without renewing it: for insights."""
        found = self._held.get(key)
        return found.identity if found else None

    def forget(self, key: res.Key) -> None:
        """Lets go of the identity of a Dataplane that is gone."""
        self._held.pop(key, None)
        self._dates.pop(key, None)

    def forget_mesh(self, mesh: str) -> None:
        """Lets go of all identities of a mesh that is gone, and of its CA."""
        for key in [each for each in self._held if each.mesh == mesh]:
            self.forget(key)
        self._cas.forget(mesh)

    def next_renewal(self) -> datetime | None:
        """When the next certificate is due for renewal; None where there is none."""
        while self._due and self._dates.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)  # rescheduled or forgotten since
        return self._due[0][0] if self._due else None

    async def run(self, on_due: Callable[[res.Key], None]) -> None:
        """Calls `on_due` with the key of each Dataplane whose identity must be asked for again. Runs until cancelled.

        `on_due` must be quick: it marks the proxy as changed. It is called again after `retry` if nobody came.
        """
        changes = self._store.watch()  # before anything waits, so that no change is missed
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew(on_due))
            group.create_task(self._follow_secrets(changes, on_due))

    async def _renew(self, on_due: Callable[[res.Key], None]) -> None:
        while True:
            self._earlier.clear()
            for key in self._take_due():
                on_due(key)
            due = self.next_renewal()
            wait = _LONGEST_WAIT if due is None else (due - self._clock()).total_seconds()
            try:
                async with asyncio.timeout(min(max(wait, 0.0), _LONGEST_WAIT)):
                    await self._earlier.wait()
            except TimeoutError:
                continue  # the date has come, or the wall clock is to be looked at again

    def _take_due(self) -> list[res.Key]:
        """The keys that are due, each put off by `retry`: `current` gives them a new date when it renews them."""
        now = self._clock()
        keys: list[res.Key] = []
        while (due := self.next_renewal()) is not None and due <= now:
            keys.append(heapq.heappop(self._due)[1])
        for key in keys:
            self._schedule(now + self._retry, key)
        return keys

    def _schedule(self, when: datetime, key: res.Key) -> None:
        first = self.next_renewal()
        self._dates[key] = when
        heapq.heappush(self._due, (when, key))
        if len(self._due) > 2 * len(self._dates) + _SPARE_DATES:  # proxies that come and go leave their dates behind
            self._due = [(date, each) for each, date in self._dates.items()]
            heapq.heapify(self._due)
        if first is None or when < first:
            self._earlier.set()

    async def _follow_secrets(self, changes: AsyncIterator[protocol.Change], on_due: Callable[[res.Key], None]) -> None:
        """A Mesh or Dataplane that changes is compiled anyway; the Secret behind a CA is known here alone.

        The keys of a Mesh that is gone do not stay in memory.
        """
        while True:
            try:
                async for change in changes:
                    if change.resource.kind is secret.KIND:
                        self._tell_users_of(change.resource.key, on_due)
                    elif change.resource.kind is meshes.KIND and change.op is protocol.Op.DELETED:
                        self.forget_mesh(change.resource.meta.name)
                return  # the store was closed
            except errors.Conflict:
                changes = self._store.watch()
                for key in list(self._held):  # too far behind to say which CA changed: ask for all
                    on_due(key)

    def _tell_users_of(self, changed: res.Key, on_due: Callable[[res.Key], None]) -> None:
        for key in [each for each, held in self._held.items() if changed in held.issuer.secrets]:
            on_due(key)


def _is_good(held: _Held, issuer: cas.MeshAuthority, uris: tuple[str, ...], now: datetime) -> bool:
    return (
        held.identity.uris == uris
        and held.issuer.authority is issuer.authority
        and held.issuer.backend == issuer.backend
        and held.issuer.lifetime == issuer.lifetime
        and now < held.identity.renew_at
    )


def _issue(
    issuer: cas.MeshAuthority, uris: tuple[str, ...], now: datetime, count: int, supported: tuple[str, ...]
) -> Identity:
    authority: authorities.Authority = issuer.authority
    pair = certificates.workload(authority, uris, now, issuer.lifetime)
    return Identity(
        cert_pem=pair.cert_pem,
        key_pem=pair.key_pem,
        ca_pem=authority.bundle_pem,
        uris=uris,
        generated=now,
        expires=(now + issuer.lifetime).replace(microsecond=0),
        renew_at=now + issuer.lifetime * 4 / 5,
        regenerations=count,
        issued_backend=issuer.backend,
        supported_backends=supported,
    )
