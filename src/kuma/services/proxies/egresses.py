"""Keeps the snapshots of zone egresses equal to what the resources ask for, on behalf of the publisher.

An egress serves all meshes and has nothing in common with other proxies, so it is compiled whole, whenever something
changed that it may serve: a mesh with mutual TLS, what is outside of it, its policies, or the egress itself. While the
CA of a mesh is away, the egress keeps the certificate that it has there, and is without that mesh if it has none; one
that cannot be compiled at all keeps what it has.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import structlog

from kuma.base import errors
from kuma.compiler import admin, compile, zone_egress
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.resources.kinds import meshexternalservice, zoneegress
from kuma.services import metrics as metering
from kuma.services.proxies import feeds
from kuma.services.trust import admin_certificates as admin_issuing
from kuma.services.trust import identities as issuing

RETRY_SECONDS = 5.0
"""How long an egress that could not be compiled whole waits for its next try, unless a change comes first."""

_LOG = structlog.get_logger("publisher")


class Feed(feeds.Outlet[proxy.ZoneProxyFacts]):
    """What the stream of an egress reads. `issued`: what it proves itself with in each mesh."""

    def __init__(self, key: res.Key, metadata: Mapping[str, Any], on_detach: "Callable[[Feed], None]") -> None:
        super().__init__(key, metadata)
        self.issued: dict[str, compile.Identity] = {}
        self._on_detach = on_detach

    def detach(self) -> None:
        """The stream is gone."""
        self._on_detach(self)


class Egresses:
    """The egresses that have streams. Whoever follows the store tells it what changed, and when to `publish`.

    `wake` is called when there is something to publish.
    """

    def __init__(
        self,
        compiler: zone_egress.ZoneEgressCompiler,
        identities: issuing.Identities,
        admin_certificates: admin_issuing.AdminCertificates,
        metrics: metering.Metrics,
        wake: Callable[[], None],
    ) -> None:
        self._compiler = compiler
        self._identities = identities
        self._admin_certificates = admin_certificates
        self._metrics = metrics
        self._wake = wake
        self._feeds: dict[Feed, None] = {}
        self._stale: dict[Feed, None] = {}
        self._retries: dict[Feed, asyncio.TimerHandle] = {}

    def attach(self, key: res.Key, metadata: Mapping[str, Any]) -> Feed:
        """A feed for a stream of the egress at `key`."""
        feed = Feed(key, metadata, self._detach)
        self._feeds[feed] = None
        self._refresh(feed)
        return feed

    def refresh(self, egress: str) -> None:
        """Compiles an egress again, say because a certificate of it was renewed."""
        for feed in [each for each in self._feeds if each.key.name == egress]:
            self._refresh(feed)

    def take(self, before: view.WorldView, after: view.WorldView, touched: view.Touched) -> None:
        """The picture changed from `before` to `after`."""
        if not touched.meshes <= after.meshes.keys():
            self._compiler.forget_all_but(after.meshes)
        if self._feeds and concerns_egresses(before, after, touched, self._compiler.policy_kinds):
            self._stale.update(self._feeds)

    async def publish(self, world: view.WorldView) -> None:
        """Compiles what is stale and hands it out."""
        stale, self._stale = self._stale, {}
        for feed in stale:
            if feed not in self._feeds:
                continue
            try:
                await self._renew(feed, world)
            except Exception as failure:
                self._failed(feed, "zone egress keeps its last configuration", failure)
            await asyncio.sleep(0)

    async def _renew(self, feed: Feed, world: view.WorldView) -> None:
        """Compiles an egress and hands it out. One that is not stored (yet, any more) keeps what it has."""
        resource = world.zones.egresses.get(feed.key.name)
        if resource is None:
            return
        self._give_up(feed)
        subject = proxy.zone_facts_of(resource, feed.metadata)
        await self._issue(feed, world)
        certificate = await self._admin_certificate(resource) if subject.admin.port else None
        if feed not in self._feeds:
            self._forget(feed)  # its stream ended while we waited
            return
        own = self._compiler.compile(world, subject, feed.issued, certificate)
        feed.problems = feeds.reported(own.problems, feed.problems, proxy=feed.key.name)
        feed.subject = subject
        is_same = feed.own is not None and feed.own.sets == own.sets
        feed.own = dataclasses.replace(own, sets=feed.own.sets) if feed.own and is_same else own
        feed.give(xds.Snapshot({kind: xds.ResourceSet(xds.NO_MEMBERS, made) for kind, made in feed.own.sets.items()}))

    async def _issue(self, feed: Feed, world: view.WorldView) -> None:
        """Brings the certificates of an egress up to date."""
        found: dict[str, compile.Identity] = {}
        for mesh in zone_egress.meshes_of(world):
            try:
                made = await self._identities.of_egress(world.meshes[mesh].resource, feed.key.name)
            except errors.KumaError as failure:
                self._failed(feed, "zone egress gets no certificate", failure, mesh=mesh)
                if mesh in feed.issued:
                    found[mesh] = feed.issued[mesh]
                continue
            if made is not None:
                found[mesh] = compile.Identity(made.cert_pem, made.key_pem, made.ca_pem)
        for mesh in feed.issued.keys() - found.keys():
            self._identities.forget(issuing.egress_key(mesh, feed.key.name))
        feed.issued = found

    async def _admin_certificate(self, resource: res.Resource[zoneegress.ZoneEgress]) -> admin.AdminCertificate:
        pair = await self._admin_certificates.server(resource)
        return admin.AdminCertificate(pair.cert_pem, pair.key_pem, await self._admin_certificates.trust())

    def _refresh(self, feed: Feed) -> None:
        self._stale[feed] = None
        self._wake()

    def _failed(self, feed: Feed, what: str, failure: Exception, **where: str) -> None:
        """Says so, and tries again later."""
        self._metrics.generation_failed()
        _LOG.error(what, proxy=feed.key.name, error=str(failure), **where)
        feed.failed(str(failure))

        def retry() -> None:
            del self._retries[feed]
            self._refresh(feed)

        if feed in self._feeds and feed not in self._retries:
            self._retries[feed] = asyncio.get_running_loop().call_later(RETRY_SECONDS, retry)

    def _give_up(self, feed: Feed) -> None:
        """No further try is needed."""
        feed.failed("")
        timer = self._retries.pop(feed, None)
        if timer is not None:
            timer.cancel()

    def _detach(self, feed: Feed) -> None:
        self._feeds.pop(feed, None)
        self._stale.pop(feed, None)
        self._give_up(feed)
        self._forget(feed)

    def _forget(self, feed: Feed) -> None:
        """Lets go of the certificates of an egress without streams."""
        if all(each.key != feed.key for each in self._feeds):
            for mesh in feed.issued:
                self._identities.forget(issuing.egress_key(mesh, feed.key.name))
            self._admin_certificates.forget(feed.key)


def concerns_egresses(
    before: view.WorldView, after: view.WorldView, touched: view.Touched, policies: Collection[str]
) -> bool:
    """Whether an egress may look different: see the module. Proxies that come and go in a mesh are nothing to it.

    `policies` are the kinds of those that it depends on.
    """
    served = {name for world in (before, after) for name, each in world.meshes.items() if each.backend is not None}
    return (
        before.zones.egresses is not after.zones.egresses
        or not served.isdisjoint(touched.meshes)
        or any(mesh in served and _kind(old, new) in policies for mesh, old, new in touched.policies)
        or any(one is not two for mesh in served for one, two in _outsides(mesh, before, after))
    )


def _kind(*states: res.Resource[Any] | None) -> str:
    """The kind of a policy before and after a change."""
    return next(each.kind.name for each in states if each is not None)


def _outsides(mesh: str, *worlds: view.WorldView) -> Iterable[tuple[object, ...]]:
    """What is outside of a mesh in each world: indexes that stay the same objects while nothing in them changes."""
    pictures = [world.meshes.get(mesh) for world in worlds]
    kind = meshexternalservice.KIND.name
    yield tuple(each.outside if each is not None else None for each in pictures)
    yield tuple(each.destinations.resources(kind) if each is not None else None for each in pictures)
