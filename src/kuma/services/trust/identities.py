"""The certificates that proxies prove themselves with: issued on first need, kept, renewed before they end.

A proxy has one of its mesh's CA, one because of its MeshIdentity, or both while a mesh goes from one to the other; a
zone egress has one of the CA of every mesh that it serves. The publisher asks `current` and `by_identity` whenever it
compiles a proxy, and `run` tells it which proxies to compile again: those with a certificate that has reached four
fifths of its life, and those whose CA was replaced in its Secret. One heap of dates and one timer serve all
certificates.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kuma.base import errors, labels
from kuma.mesh import destinations, spiffe_ids
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import meshidentity, secret, zoneegress
from kuma.security import authorities, certificates, tokens, workloads
from kuma.services.trust import cas, identity_cas
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


@dataclass(frozen=True, slots=True)
class External:
    """What is known of a proxy's identity that somebody else hands out."""

    issued_backend: str
    supported_backends: tuple[str, ...] = ()
    expires: None = None
    generated: None = None
    regenerations: int = 0


Slot = tuple[res.Key, bool]
"""Whose certificate it is, and whether it is there because of a MeshIdentity."""


def egress_key(mesh: str, egress: str) -> res.Key:
    """Under what the identity of a zone egress in one mesh is held: an egress has one in each."""
    return res.Key(zoneegress.KIND.name, mesh, egress)


@dataclass(slots=True)
class _Held:
    identity: Identity
    issuer: cas.MeshAuthority


class Identities:
    """All identities of this control plane. `clock` tells wall time; `retry` see `RETRY`.

    `trusted_first`: how long a new authority of a MeshIdentity is trusted before it is used.
    """

    def __init__(
        self,
        store: protocol.Store,
        clock: tokens.Clock,
        retry: timedelta = RETRY,
        trusted_first: timedelta = identity_cas.TRUSTED_FIRST,
    ) -> None:
        self._store = store
        self._clock = clock
        self._retry = retry
        self._cas = cas.MeshAuthorities(store)
        self._identity_cas = identity_cas.IdentityAuthorities(store, trusted_first)
        self._held: dict[Slot, _Held] = {}
        self._due: list[tuple[datetime, Slot]] = []
        self._dates: dict[Slot, datetime] = {}
        self._earlier = asyncio.Event()

    async def current(
        self, mesh: res.Resource[meshes.Mesh], dataplane: res.Resource[dataplanes.Dataplane]
    ) -> Identity | None:
        """The proxy's identity now; None where the mesh has no mutual TLS.

        The same object as before, unless its names, backend, CA or lifetime changed or it is due for renewal.
        Unavailable where the CA cannot be used or the proxy has no name to certify.
        """
        return await self._by_mesh(dataplane.key, mesh, lambda: workloads.identity_tags(dataplane))

    async def of_egress(self, mesh: res.Resource[meshes.Mesh], egress: str) -> Identity | None:
        """The identity that a zone egress has in a mesh; None where it has no mutual TLS. Otherwise as `current`."""
        key = egress_key(mesh.meta.name, egress)
        return await self._by_mesh(key, mesh, lambda: {labels.SERVICE_TAG: {destinations.EGRESS_SERVICE}})

    async def _by_mesh(
        self, key: res.Key, mesh: res.Resource[meshes.Mesh], tags: Callable[[], Mapping[str, set[str]]]
    ) -> Identity | None:
        issuer = await self._cas.of(mesh)
        slot = key, False
        if issuer is None:
            self._forget(slot)
            return None
        uris = tuple(certificates.workload_uris(mesh.meta.name, tags()))
        supported = tuple(each.name for each in mesh.spec.mtls.backends) if mesh.spec.mtls else ()
        return self._issued(slot, issuer, uris, supported)

    async def by_identity(
        self,
        chosen: spiffe_ids.Identity,
        dataplane: res.Resource[dataplanes.Dataplane],
        trusts: tuple[str, ...],
    ) -> Identity:
        """The proxy's identity by the MeshIdentity that selects it; `trusts` are the KRIs of the mesh's MeshTrusts.

        The same object as long as `current` gives the same; a CA that was replaced counts until the new one is trusted.
        Unavailable where the CA cannot be used or the proxy has no SPIFFE ID.
        """
        spiffe_id = chosen.spiffe_id(dataplane.meta.labels)
        if spiffe_id is None:
            why = chosen.obstacle(dataplane.meta.labels)
            raise errors.Unavailable(f"{chosen.kri} makes no SPIFFE ID for {dataplane.meta.name}: {why}")
        issuer, again = await self._identity_cas.issuing(chosen, self._clock())
        slot = dataplane.key, True
        found = self._issued(slot, issuer, (spiffe_id,), trusts)
        if again is not None:
            self._schedule(min(again, found.renew_at), slot)
        return found

    def _issued(
        self, slot: Slot, issuer: cas.MeshAuthority, uris: tuple[str, ...], supported: tuple[str, ...]
    ) -> Identity:
        held = self._held.get(slot)
        now = self._clock()
        if held is not None and _is_good(held, issuer, uris, now):
            if held.identity.supported_backends != supported:
                held.identity = replace(held.identity, supported_backends=supported)
            return held.identity
        count = held.identity.regenerations + 1 if held else 1
        identity = _issue(issuer, uris, now, count, supported)
        self._held[slot] = _Held(identity, issuer)
        self._schedule(identity.renew_at, slot)
        return identity

    async def trust(self, mesh: res.Resource[meshes.Mesh]) -> bytes | None:
        """The CA bundle of a mesh, PEM; None where it has no mutual TLS. Unavailable as `current`."""
        issuer = await self._cas.of(mesh)
        return issuer.authority.bundle_pem if issuer else None

    def forget(self, key: res.Key) -> None:
        """Lets go of the identities of a Dataplane that is gone."""
        for is_identity in (False, True):
            self._forget((key, is_identity))

    def forget_identity(self, key: res.Key) -> None:
        """Lets go of what a Dataplane had because of a MeshIdentity, which no longer selects it."""
        self._forget((key, True))

    def _forget(self, slot: Slot) -> None:
        self._held.pop(slot, None)
        self._dates.pop(slot, None)

    def forget_mesh(self, mesh: str) -> None:
        """Lets go of all identities of a mesh that is gone, and of its CAs."""
        for slot in [each for each in self._held if each[0].mesh == mesh]:
            self._forget(slot)
        self._cas.forget(mesh)

    def next_renewal(self) -> datetime | None:
        """When the next certificate is due for renewal; None where there is none."""
        while self._due and self._dates.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)  # rescheduled or forgotten since
        return self._due[0][0] if self._due else None

    async def run(self, on_due: Callable[[res.Key], None]) -> None:
        """Calls `on_due` with the key of each proxy whose identity must be asked for again. Runs until cancelled.

        `on_due` must be quick: it marks the proxy as changed. It is called again after `retry` if nobody came.
        """
        changes = self._store.watch()  # before anything waits, so that no change is missed
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew(on_due))
            group.create_task(self._follow_secrets(changes, on_due))

    async def _renew(self, on_due: Callable[[res.Key], None]) -> None:
        while True:
            self._earlier.clear()
            for key, _ in self._take_due():
                on_due(key)
            due = self.next_renewal()
            wait = _LONGEST_WAIT if due is None else (due - self._clock()).total_seconds()
            try:
                async with asyncio.timeout(min(max(wait, 0.0), _LONGEST_WAIT)):
                    await self._earlier.wait()
            except TimeoutError:
                continue  # the date has come, or the wall clock is to be looked at again

    def _take_due(self) -> list[Slot]:
        """What is due, each put off by `retry`: who renews it gives it a new date."""
        now = self._clock()
        slots: list[Slot] = []
        while (due := self.next_renewal()) is not None and due <= now:
            slots.append(heapq.heappop(self._due)[1])
        for slot in slots:
            self._schedule(now + self._retry, slot)
        return slots

    def _schedule(self, when: datetime, slot: Slot) -> None:
        first = self.next_renewal()
        self._dates[slot] = when
        heapq.heappush(self._due, (when, slot))
        if len(self._due) > 2 * len(self._dates) + _SPARE_DATES:  # proxies that come and go leave their dates behind
            self._due = [(date, each) for each, date in self._dates.items()]
            heapq.heapify(self._due)
        if first is None or when < first:
            self._earlier.set()

    async def _follow_secrets(self, changes: AsyncIterator[protocol.Change], on_due: Callable[[res.Key], None]) -> None:
        """A Mesh or Dataplane that changes is compiled anyway; the Secret behind a CA is known here alone.

        The keys of a Mesh or MeshIdentity that is gone do not stay in memory.
        """
        while True:
            try:
                async for change in changes:
                    if change.resource.kind is secret.KIND:
                        self._tell_users_of(change.resource.key, on_due)
                    elif change.op is protocol.Op.DELETED:
                        self._let_go(change.resource)
                return  # the store was closed
            except errors.Conflict:
                changes = self._store.watch()
                for key, _ in list(self._held):  # too far behind to say which CA changed: ask for all
                    on_due(key)

    def _let_go(self, gone: res.Resource[Any]) -> None:
        if gone.kind is meshes.KIND:
            self.forget_mesh(gone.meta.name)
        elif gone.kind is meshidentity.KIND:
            self._identity_cas.forget(gone.key)

    def _tell_users_of(self, changed: res.Key, on_due: Callable[[res.Key], None]) -> None:
        for key, _ in [each for each, held in self._held.items() if changed in held.issuer.secrets]:
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
