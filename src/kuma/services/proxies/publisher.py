"""Keeps the snapshot of every connected proxy equal to what the resources ask for.

Stands between the store's changes and the streams. Changes are gathered for a few milliseconds, the picture of the
meshes is advanced, and only shapes and proxies that the changes touched are compiled again. A proxy that cannot be
compiled keeps what it has and is reported; the others go on.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any

import structlog

from kuma.base import errors
from kuma.compiler import admin, compile, credentials, matched, zone_egress
from kuma.mesh import view, zones
from kuma.plan import proxy
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.resources.kinds import zoneegress
from kuma.services import metrics as metering
from kuma.services.proxies import egresses, feeds
from kuma.services.trust import admin_certificates as admin_issuing
from kuma.services.trust import identities as issuing
from kuma.store import protocol as stores

GATHER_SECONDS = 0.003
"""How long changes are gathered before work starts; whatever comes during the work waits for its end."""

FEEDS_PER_TURN = 25
"""Proxies published before other tasks get their turn."""

MATCHES_PER_TURN = 100
"""Proxies of which is asked what policies say now, before other tasks get their turn."""

SHAPES_PER_TURN = 10
"""Shapes built before other tasks get their turn: about a millisecond each where a proxy has a hundred outbounds."""

RETRY_SECONDS = 5.0
"""How long a proxy that could not be compiled waits for its next try, unless a change comes first."""

_LOG = structlog.get_logger("publisher")


class Publisher:
    """Attach a stream, get a feed. `run` does the work and must be running."""

    def __init__(
        self,
        store: stores.Store,
        catalog: catalogs.Catalog,
        compiler: compile.Compiler,
        egress_compiler: zone_egress.ZoneEgressCompiler,
        identities: issuing.Identities,
        admin_certificates: admin_issuing.AdminCertificates,
        metrics: metering.Metrics,
        *,
        zone: str = "default",
        environment: str = "universal",
    ) -> None:
        """`zone` is the one whose proxies these are, `environment` where they run."""
        self._store = store
        self._catalog = catalog
        self._compiler = compiler
        self._identities = identities
        self._admin_certificates = admin_certificates
        self._metrics = metrics
        self._relevant = compiler.policy_kinds.union(view.KINDS)
        self._world = view.WorldView(compiler.policy_kinds, zones=zones.Zones(zone), environment=environment)
        self._feeds: dict[res.Key, dict[feeds.Feed, None]] = {}
        self._groups: dict[Hashable, feeds.Group] = {}
        self._edits: list[view.Edit] = []
        self._stale: dict[feeds.Feed, matched.Matched | None] = {}
        self._wake = asyncio.Event()
        self._egresses = egresses.Egresses(egress_compiler, identities, admin_certificates, metrics, self._wake.set)
        self._failed: dict[feeds.Feed | feeds.Group, asyncio.TimerHandle] = {}
        self.ready = asyncio.Event()

    @property
    def world(self) -> view.WorldView:
        """The picture that the last compile used."""
        return self._world

    def attach(self, key: res.Key, metadata: Mapping[str, Any]) -> feeds.Feed | egresses.Feed:
        """A feed for a stream of the proxy at `key`; its snapshot follows as soon as its resource is known."""
        if key.kind == zoneegress.KIND.name:
            return self._egresses.attach(key, metadata)
        feed = feeds.Feed(key, metadata, self._detach)
        self._feeds.setdefault(key, {})[feed] = None
        self.refresh(feed)
        return feed

    def refresh(self, feed: feeds.Feed) -> None:
        """Compiles the personal half of a feed again."""
        self._stale[feed] = None
        self._wake.set()

    def refresh_key(self, key: res.Key) -> None:
        """Compiles the personal half of a proxy again, say because its certificate was renewed."""
        if key.kind == zoneegress.KIND.name:
            self._egresses.refresh(key.name)
        for feed in self._feeds.get(key, ()):
            self.refresh(feed)

    def refresh_mesh(self, mesh: str) -> None:
        """Compiles the personal half of all proxies of a mesh again, say because its CA changed."""
        for key in [each for each in self._feeds if each.mesh == mesh]:
            self.refresh_key(key)

    def _detach(self, feed: feeds.Feed) -> None:
        others = self._feeds.get(feed.key, {})
        others.pop(feed, None)
        self._stale.pop(feed, None)
        self._give_up(feed)
        self._leave(feed)
        if not others:
            self._feeds.pop(feed.key, None)
            self._forget(feed.key)

    async def run(self) -> None:
        """Loads the picture, then follows the store until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._work())

    async def _follow(self) -> None:
        while True:
            since = self._store.revision()
            present = [each for kind in self._kinds() for each in await self._store.list(kind)]
            self._edits += [view.Edit(each, deleted=True) for each in self._gone(present)]
            self._edits += [view.Edit(each) for each in present]
            self._wake.set()
            try:
                async for change in self._store.watch(since):
                    if change.resource.kind.name in self._relevant:
                        self._edits.append(view.Edit(change.resource, change.op is stores.Op.DELETED))
                        self._wake.set()
                return  # the store was closed
            except errors.Conflict:
                _LOG.warning("fell too far behind the store's changes, listing again")

    def _kinds(self) -> list[Any]:
        """Every kind that shapes proxies, Mesh first: nothing is taken in before its mesh."""
        found = [self._catalog.find(name) for name in (*view.KINDS, *sorted(self._compiler.policy_kinds))]
        return [kind for kind in found if kind is not None]

    def _gone(self, present: Iterable[res.Resource[Any]]) -> list[res.Resource[Any]]:
        """What the picture holds, or is about to take in, and the store does not."""
        keys = {each.key for each in present}
        held = [*(edit.resource for edit in self._edits if not edit.deleted), *self._world.held()]
        return [each for each in held if each.key not in keys]

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            if self.ready.is_set():
                await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            edits, self._edits = self._edits, []
            try:
                with self._metrics.generation():
                    await self._take(edits)
            except Exception:
                _LOG.exception("a change could not be taken in whole, all proxies are looked at again")
                self._metrics.generation_failed()
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._start_over)
            self.ready.set()

    def _start_over(self) -> None:
        """Compiles every proxy and shape again."""
        for group in self._groups.values():
            group.is_behind = True
        for mesh in {key.mesh for key in self._feeds}:
            self.refresh_mesh(mesh)
        self._wake.set()

    async def _take(self, edits: Iterable[view.Edit]) -> None:
        before = self._world
        self._world, touched = before.advance(edits)
        for each, reason in touched.refused:
            _LOG.error("resource is left out of the picture", resource=str(each.resource.key), error=reason)
        for mesh in touched.meshes:
            self.refresh_mesh(mesh)
        if not touched.meshes <= self._world.meshes.keys():
            self._compiler.forget_all_but(self._world.meshes)
        for key in touched.proxies:
            self.refresh_key(key)
        await self._refresh_addressed(touched)
        self._egresses.take(before, self._world, touched)
        await self._egresses.publish(self._world)  # first, so that what proxies are sent to is there
        stale, self._stale = self._stale, {}
        changed: dict[feeds.Feed, None] = {}
        reached = [each for each in self._groups.values() if each.is_behind or self._is_reached(each, touched)]
        waiting = []
        for done, group in enumerate(reached, start=1):
            is_whole, group.is_behind = group.is_behind or self._is_other(group, touched), True
            if all(feed in stale for feed in group.feeds):
                waiting.append(group)  # its proxies may have to go to other groups; the first that stays builds it
            elif self._try_reshape(group, None if is_whole else touched):
                changed.update(group.feeds)
            if done % SHAPES_PER_TURN == 0:
                await asyncio.sleep(0)
        await self._publish(stale, changed)
        for group in waiting:
            if group.is_behind and group.feeds and self._try_reshape(group):
                for feed in group.feeds:
                    feed.hand_out()

    async def _refresh_addressed(self, touched: view.Touched) -> None:
        """Tells those proxies to which changed policies say something else; the others need nothing."""
        kinds: dict[str, set[str]] = {}
        for mesh, before, after in touched.policies:
            if mesh not in touched.meshes:
                kinds.setdefault(mesh, set()).update(each.kind.name for each in (before, after) if each is not None)
        for done, key in enumerate([each for each in self._feeds if each.mesh in kinds], start=1):
            if done % MATCHES_PER_TURN == 0:
                await asyncio.sleep(0)
            for feed in self._feeds.get(key, ()):
                if feed not in self._stale:
                    # one that failed is compiled whole: what it has is older than what was said of it last
                    said = None if feed in self._failed else self._told(feed, kinds[key.mesh])
                    if said is None or said is not feed.said:
                        self._stale[feed] = said

    def _told(self, feed: feeds.Feed, changed: Collection[str]) -> matched.Matched | None:
        """What policies say now, after those of some kinds changed; the same object where that is the same.

        None where it is to be found out anew: compiling the proxy will tell what is wrong.
        """
        picture = self._world.meshes.get(feed.key.mesh)
        if picture is None or feed.said is None or feed.subject is None:
            return None
        try:
            return self._compiler.match_again(picture, feed.subject, feed.said, changed)
        except Exception:
            return None

    def _is_reached(self, group: feeds.Group, touched: view.Touched) -> bool:
        """Whether a shape may look different: its Mesh or one of its destinations changed.

        What policies say of its proxies cannot change: they are stale then, and go to another group.
        """
        shape, picture = group.shape, self._world.meshes.get(group.mesh)
        if shape is None or picture is None:
            return False
        return (
            self._is_other(group, touched)
            or any(mesh == group.mesh and each in shape.services for mesh, each in touched.services)
            or any(mesh == group.mesh and each in shape.targets for mesh, each in touched.destinations)
        )

    def _is_other(self, group: feeds.Group, touched: view.Touched) -> bool:
        """Whether more than single destinations of a group may look different."""
        picture = self._world.meshes.get(group.mesh)
        is_basis = picture is not None and group.basis is not None and group.basis.mesh is picture.resource
        return group.mesh in touched.meshes or not is_basis

    def _try_reshape(self, group: feeds.Group, touched: view.Touched | None = None) -> bool:
        """As `_reshape`; where that fails, its proxies keep what they have and it is tried again later."""
        try:
            return self._reshape(group, touched)
        except Exception as failure:
            group.is_behind = True
            self._metrics.generation_failed()
            _LOG.error(
                "proxies keep their last outbounds", proxies=len(group.feeds), mesh=group.mesh, error=str(failure)
            )
            self._retry_later(group, self._wake.set)
            return False

    def _reshape(self, group: feeds.Group, touched: view.Touched | None = None) -> bool:
        """Builds a group's shape from the new picture; whether anything in it changed.

        With `touched`, no more than the destinations that it names look different.
        """
        feed = next(iter(group.feeds))
        picture = self._world.meshes.get(group.mesh)
        if picture is None or feed.subject is None or feed.said is None:
            return False
        before = group.shape
        made = None
        if touched is not None and before is not None:
            services = {each for mesh, each in touched.services if mesh == group.mesh}
            targets = {each for mesh, each in touched.destinations if mesh == group.mesh}
            made = self._compiler.with_endpoints(picture, feed.subject, before, services, targets)
        group.shape = made or self._compiler.shape(picture, feed.subject, feed.said, before)
        group.basis, group.is_behind = self._compiler.basis(picture, feed.subject), False
        group.problems = feeds.reported(
            [each for built in group.shape.built.values() for each in built.problems], group.problems, mesh=group.mesh
        )
        after = group.shape.sets
        return (
            before is None or before.sets.keys() != after.keys() or any(before.sets[k] is not after[k] for k in after)
        )

    async def _publish(
        self, stale: Mapping[feeds.Feed, matched.Matched | None], changed: Mapping[feeds.Feed, None]
    ) -> None:
        """Renews `stale` feeds, given what policies say of them where that alone changed, and hands out snapshots, a few proxies at a time."""
        for done, feed in enumerate({**stale, **changed}, start=1):
            group = await self._renew(feed, stale[feed]) if feed in stale else None
            for each in group.feeds if group is not None else (feed,):
                each.hand_out()
            if group is not None or done % FEEDS_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _renew(self, feed: feeds.Feed, said: matched.Matched | None) -> feeds.Group | None:
        """Puts one feed where it belongs, and compiles its personal half unless nothing but `said` changed, and not there.

        Where that fails, the last good one stays. Returns its group if the shape had to be built for it.
        """
        picture = self._world.meshes.get(feed.key.mesh)
        dataplane = picture.dataplanes.get(feed.key.name) if picture else None
        if picture is None or dataplane is None or not self._is_attached(feed):
            return None
        try:
            subject = feed.subject
            if subject is None or subject.resource is not dataplane:
                subject = proxy.facts_of(dataplane, feed.metadata)
            basis = self._compiler.basis(picture, subject)
            is_own_same = (
                said is not None
                and (feed.said is not None and feed.said.is_same_of_own(said))
                and (feed.subject is subject and basis.is_same(feed.basis))
            )
            said = said or self._compiler.match(picture, subject)
            if not is_own_same and not await self._compile_own(feed, picture, subject, said, basis):
                self._forget(feed.key)  # its stream ended while we waited
                return None
            feed.subject, feed.said, feed.basis = subject, said, basis
            group = self._join(feed, compile.shape_key(picture, subject, said))
            self._give_up(feed)
            feed.failed("")
            if group.shape is None or group.is_behind or not basis.is_same(group.basis):
                self._reshape(group)
                return group
        except Exception as failure:
            self._metrics.generation_failed()
            _LOG.error(
                "proxy keeps its last configuration", proxy=feed.key.name, mesh=feed.key.mesh, error=str(failure)
            )
            feed.failed(str(failure))
            self._retry_later(feed, lambda: self.refresh(feed))
        return None

    async def _compile_own(
        self,
        feed: feeds.Feed,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        said: matched.Matched,
        basis: compile.Basis,
    ) -> bool:
        """Compiles the personal half of a feed; False where its stream ended meanwhile."""
        dataplane = subject.resource
        by_mesh, by_identity = await self._issued(picture, dataplane, basis.held)
        certificate = await self._admin_certificate(dataplane) if subject.admin.port else None
        if not self._is_attached(feed):
            return False
        issued = compile.Issued(_pems(by_mesh), _pems(by_identity))
        own = self._compiler.own(picture, subject, said, issued, certificate)
        feed.problems = feeds.reported(own.problems, feed.problems, mesh=feed.key.mesh, proxy=feed.key.name)
        feed.identity = by_identity or by_mesh
        if basis.held.chosen is not None and basis.held.is_external:
            feed.identity = issuing.External(str(basis.held.chosen.kri), picture.trusts.kris)
        is_same = feed.own is not None and feed.own.sets == own.sets
        feed.own = dataclasses.replace(own, sets=feed.own.sets) if feed.own and is_same else own
        return True

    async def _issued(
        self, picture: view.MeshView, dataplane: res.Resource[Any], held: credentials.Held
    ) -> tuple[issuing.Identity | None, issuing.Identity | None]:
        """The certificates of a proxy: by the CA of its mesh, and by its MeshIdentity."""
        by_mesh = await self._identities.current(picture.resource, dataplane)
        if held.chosen is None or held.is_external:
            self._identities.forget_identity(dataplane.key)
            return by_mesh, None
        return by_mesh, await self._identities.by_identity(held.chosen, dataplane, picture.trusts.kris)

    def _is_attached(self, feed: feeds.Feed) -> bool:
        return feed in self._feeds.get(feed.key, {})

    def _forget(self, key: res.Key) -> None:
        """Lets go of the certificates of a proxy without streams."""
        if key not in self._feeds:
            self._identities.forget(key)
            self._admin_certificates.forget(key)

    async def _admin_certificate(self, dataplane: res.Resource[Any]) -> admin.AdminCertificate:
        pair = await self._admin_certificates.server(dataplane)
        return admin.AdminCertificate(pair.cert_pem, pair.key_pem, await self._admin_certificates.trust())

    def _retry_later(self, failed: feeds.Feed | feeds.Group, again: Callable[[], None]) -> None:
        def retry() -> None:
            del self._failed[failed]
            again()

        if failed not in self._failed:
            self._failed[failed] = asyncio.get_running_loop().call_later(RETRY_SECONDS, retry)

    def _give_up(self, failed: feeds.Feed | feeds.Group) -> None:
        """No further try is needed."""
        timer = self._failed.pop(failed, None)
        if timer is not None:
            timer.cancel()

    def _join(self, feed: feeds.Feed, key: Hashable) -> feeds.Group:
        """Puts a feed where proxies of its shape are; the maps of the shape it had are kept where nothing differs."""
        if feed.group is not None and feed.group.key == key:
            return feed.group
        before = feed.group.shape if feed.group is not None else None
        self._leave(feed)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = feeds.Group(key, feed.key.mesh)
            group.shape, group.is_behind = before, before is not None
        group.feeds[feed] = None
        feed.group = group
        return group

    def _leave(self, feed: feeds.Feed) -> None:
        group = feed.group
        if group is None:
            return
        group.feeds.pop(feed, None)
        feed.group = None
        if not group.feeds:
            self._groups.pop(group.key, None)
            self._give_up(group)


def _pems(identity: issuing.Identity | None) -> compile.Identity | None:
    return compile.Identity(identity.cert_pem, identity.key_pem, identity.ca_pem) if identity is not None else None
