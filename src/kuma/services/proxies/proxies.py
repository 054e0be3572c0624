"""What a connected proxy means: who it is, whether it may connect, its resource's life, its configuration.

A proxy either belongs to a Dataplane that somebody created, or brings its own along in the metadata of its node. The
latter is registered when its stream opens, and removed when it says goodbye, or some seconds after its last stream is
gone. Several may bring the same Dataplane: a successor while its predecessor drains, or a second agent by mistake. The
definition of the latest one that is still here is the one that is stored. That a Dataplane is the proxy's own is
remembered by its insight, which keeps the definition that came along: so a control plane that was killed finds out
later whom nobody will say goodbye for. All of that holds for a zone egress and its ZoneEgress.
Source: Kuma's documentation, "Data plane proxy" (Lifecycle); the goodbye is an addition.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from kuma.base import errors
from kuma.discovery import resources as xds
from kuma.plan import proxy
from kuma.policy_engine import collectors
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.services import resources as managing
from kuma.services.insights import dataplane_insights, insight_kinds
from kuma.services.proxies import credentials, nodes, offered, refusals, rejections
from kuma.services.rules import workload_rules
from kuma.store import protocol

DEREGISTRATION_DELAY = 10.0
RECOVERY_GRACE = 60.0
"""Seconds after a start that proxies of an earlier run have to come back; Envoy tries again within 30."""

_KINDS = {each.name: each for each in insight_kinds.PROXIES}
_LOG = structlog.get_logger("proxies")


class Feed(Protocol):
    """The configuration of one proxy as it changes. `changed` is set when `snapshot` was replaced."""

    @property
    def snapshot(self) -> xds.Snapshot | None:
        """The latest configuration; None until there is one."""
        ...

    @property
    def changed(self) -> asyncio.Event:
        """Set with every new snapshot; the reader clears it."""
        ...

    @property
    def identity(self) -> dataplane_insights.Identity | None:
        """The certificate of the proxy; None without mTLS."""
        ...

    def origins(self, type_url: str, name: str) -> tuple[res.ResourceRef, ...]:
        """The resources that shaped one Envoy resource."""
        ...

    def told(self, document: str) -> bytes | None:
        """What the proxy's agent is told in a document; None where there is none of that name."""
        ...

    def tell_failures(self, told: Callable[[str], None]) -> None:
        """Has `told` called with why the proxy keeps an older configuration, and with nothing once it has the newest."""
        ...

    def detach(self) -> None:
        """The stream is gone."""
        ...


class Publisher(Protocol):
    """Makes configurations."""

    def attach(self, key: res.Key, metadata: Mapping[str, Any]) -> Feed:
        """A feed for one stream of the proxy at `key`."""
        ...


class Session:
    """One ADS stream of a proxy. `close` it exactly when the stream ends, however it ends."""

    def __init__(
        self,
        owner: "Proxies",
        key: res.Key,
        feed: Feed,
        connection: dataplane_insights.Connection,
        *,
        kri: str,
        definition: str = "",
    ) -> None:
        """`kri` is that of its resource. `definition`: the text that made it, where the proxy registered it itself."""
        self.key = key
        self.kri = kri
        self.feed = feed
        self.definition = definition
        self.has_left = False
        self._owner = owner
        self._connection = connection

    def sent(self, type_url: str) -> None:
        """A response went out."""
        self._connection.sent(type_url)

    def acknowledged(self, type_url: str) -> None:
        """Envoy took a response."""
        self._connection.acknowledged(type_url)

    def rejected(self, type_url: str, message: str) -> None:
        """Envoy refused a response, in its own words."""
        snapshot = self.feed.snapshot
        names = [each.name for each in snapshot.of(type_url)] if snapshot is not None else []
        error = rejections.describe(message, names, lambda name: self.feed.origins(type_url, name), self.kri)
        self._connection.rejected(type_url, error)
        _LOG.warning(
            "proxy rejected its configuration",
            mesh=self.key.mesh,
            proxy=self.key.name,
            type=type_url.rsplit(".", 1)[-1],
            resource=error.resource,
            kri=error.kri,
            error=message,
        )

    def close(self) -> None:
        """The stream is gone."""
        self.feed.detach()
        self._connection.close()
        self._owner.end(self)


@dataclasses.dataclass(frozen=True, slots=True)
class _Admission:
    """A proxy that may connect: its resource as stored, else as it brought it, and the document that it brought (or None)."""

    key: res.Key
    document: Mapping[str, Any] | None
    resource: res.Resource[Any]


class Proxies:
    """All proxies of this control plane. `run` removes those that are gone and must be running."""

    def __init__(
        self,
        resources: managing.ResourceManager,
        publisher: Publisher,
        insights: dataplane_insights.DataplaneInsights,
        admission: credentials.Credentials,
        delay: float = DEREGISTRATION_DELAY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`delay` is in seconds, `now` steady."""
        self._resources = resources
        self._store: protocol.Store = resources.store
        self._workloads = workload_rules.WorkloadRules(self._store, resources.role.zone, resources.role.environment)
        self._publisher = publisher
        self._insights = insights
        self._credentials = admission
        self._delay = delay
        self._now = now
        self._sessions: dict[res.Key, list[Session]] = {}  # in the order in which they came
        self._leaving: dict[res.Key, float] = {}
        self._left = asyncio.Event()
        self._registering = asyncio.Lock()
        self._refusals = refusals.Refusals(now)
        self._is_stopping = False

    def retire(self) -> None:
        """This control plane stops: proxies that lose their streams by that go elsewhere, and none is removed."""
        self._is_stopping = True
        self._leaving.clear()
        self._insights.retire()

    async def connect(self, node: nodes.Node, credential: str) -> Session:
        """Opens a session for a stream.

        Unauthenticated where the credential does not fit, NotFound where there is no resource and none came along,
        BadRequest or InvalidResource where the node or what it brought is wrong.
        """
        with self._refusals.reported(node.id):
            admission = await self._admit(node, credential)
            if admission.document is None:
                return self._open(node, admission.resource)
            async with self._registering:
                resource, is_own = await self._register(admission.key, admission.document)
                return self._open(node, resource, node.offered if is_own else "")

    def _open(self, node: nodes.Node, resource: res.Resource[Any], definition: str = "") -> Session:
        key = resource.key
        self._leaving.pop(key, None)
        metadata = dict(node.metadata)
        lacking = {proxy.LACKING: list(node.lacking)} if node.lacking else {}
        feed = self._publisher.attach(key, metadata | lacking)
        shown = metadata if definition else {k: v for k, v in metadata.items() if k != nodes.RESOURCE}
        connection = self._insights.open(key, shown, lambda: feed.identity, lambda: feed.told(collectors.DOCUMENT))
        feed.tell_failures(connection.fell_behind)
        session = Session(self, key, feed, connection, kri=res.ref_to(resource).kri, definition=definition)
        self._sessions.setdefault(key, []).append(session)
        return session

    def end(self, session: Session) -> None:
        """A session is over. Without another one, the resource that it registered leaves after the delay.

        With another one, what that one registered is put back at once.
        """
        was_current = self._heir(session.key) is session
        sessions = self._sessions.get(session.key, [])
        if session in sessions:
            sessions.remove(session)
        if not sessions:
            self._sessions.pop(session.key, None)
        if not was_current or self._is_stopping:
            return
        # Of agents with the same definition, any may have said the goodbye that was counted for another.
        twin = next((each for each in sessions if each.has_left and each.definition == session.definition), None)
        if twin is not None:
            twin.has_left = False
            return
        heir = self._heir(session.key)
        if heir is None or heir.definition != session.definition:
            self._leaving[session.key] = self._now() + (self._delay if heir is None else 0.0)
            self._left.set()

    def _heir(self, key: res.Key, leaving: Session | None = None) -> Session | None:
        """The latest session that registered the Dataplane and stays."""
        staying = (each for each in reversed(self._sessions.get(key, ())) if each.definition and not each.has_left)
        return next((each for each in staying if each is not leaving), None)

    async def dataplane_for(self, node: nodes.Node, credential: str) -> res.Resource[dataplanes.Dataplane]:
        """The Dataplane of a proxy that opens another kind of stream: stored, or as it brought it.

        Raises as `connect`, and BadRequest for a proxy that has no Dataplane.
        """
        with self._refusals.reported(node.id):
            found = (await self._admit(node, credential)).resource
            if found.kind is not dataplanes.KIND:
                raise errors.BadRequest(f"a {found.kind.name} has no applications whose health could be checked")
            return found

    async def goodbye(self, key: res.Key, credential: str, definition: str = "") -> None:
        """A proxy leaves: removes the resource that it registered itself, at once; one that others created stays.

        So does one that another proxy has registered too, with the definition of that one. `definition` is what the
        leaving proxy brought; older agents do not say. NotFound where there is none, Unauthenticated where the
        credential is not for it.
        """
        stored = await self._store.get(key)
        await self._credentials.check(stored, credential)
        async with self._registering:
            leaving, current = self._leaver(key, definition), self._heir(key)
            heir = self._heir(key, leaving)
            if heir is not None:
                if leaving is not None and leaving is current and leaving.definition != heir.definition:
                    await self._restore(heir)
            elif await self._is_registered(key, definition):
                await self._remove(key)
            if leaving is not None:
                leaving.has_left = True

    def _leaver(self, key: res.Key, definition: str) -> Session | None:
        """The session of the proxy that says goodbye: the oldest that fits."""
        own = (each for each in self._sessions.get(key, ()) if each.definition and not each.has_left)
        return next((each for each in own if definition in ("", each.definition)), None)

    async def _restore(self, heir: Session) -> None:
        """Stores what a session brought once more, where another proxy of the same name has overwritten it."""
        self._leaving.pop(heir.key, None)
        await self._put(heir.key, offered.document_of(heir.definition))

    # --- joining ------------------------------------------------------------------------------------------------------

    async def _admit(self, node: nodes.Node, credential: str) -> _Admission:
        key = nodes.proxy_key(node)
        stored = await self._find(key)
        if not node.offered:
            if stored is None:
                raise errors.NotFound(
                    f'resource "{node.id}" not found; create a {key.kind} in Kuma CP first '
                    "or pass it as an argument to kuma-dp"
                )
            await self._credentials.check(stored, credential)
            return _Admission(key, None, stored)
        document = offered.document_of(node.offered)
        brought = codec.decode(_KINDS[key.kind], document)
        if (brought.meta.mesh, brought.meta.name) != (key.mesh, key.name):
            raise errors.BadRequest(
                f'the {key.kind} "{brought.meta.mesh}.{brought.meta.name}" is not the one of node "{node.id}"'
            )
        if brought.kind is dataplanes.KIND:
            await self._workloads.require(brought)
        await self._credentials.check(brought, credential)
        if stored is not None:
            await self._credentials.check(stored, credential)
        return _Admission(key, document, stored or brought)

    async def _register(self, key: res.Key, document: Mapping[str, Any]) -> tuple[res.Resource[Any], bool]:
        """Stores what a proxy brought along; whether the resource is its own, rather than another's that it renews."""
        is_own = await self._find(key) is None or await self._is_registered(key)
        try:
            return await self._put(key, document), is_own
        except asyncio.CancelledError:
            # The client broke off, and what was being written may be stored: without a session, somebody must remove it.
            if is_own and key not in self._sessions and not self._is_stopping:
                self._leaving.setdefault(key, self._now() + self._delay)
                self._left.set()
            raise

    async def _put(self, key: res.Key, document: Mapping[str, Any]) -> res.Resource[Any]:
        outcome = await self._resources.put(_KINDS[key.kind], key.mesh, key.name, document, None)
        return outcome.resource

    async def _find(self, key: res.Key) -> res.Resource[Any] | None:
        try:
            return await self._store.get(key)
        except errors.NotFound:
            return None

    # --- leaving ------------------------------------------------------------------------------------------------------

    async def recover(
        self, grace: float = RECOVERY_GRACE, is_alive: Callable[[str], bool] = lambda instance: False
    ) -> None:
        """Call it once before proxies connect: ends what an earlier run of this control plane left open.

        Self-registered proxies that do not come back within `grace` seconds are removed. `is_alive` tells of the id of
        a control plane whether it still runs, where several share the store.
        """
        await self._insights.close_abandoned(is_alive)
        deadline = self._now() + grace
        for insight in [each for kind in insight_kinds.INSIGHTS for each in await self._store.list(kind)]:
            if not insight.spec.is_online and _definition_of(insight.spec):
                self._leaving[insight_kinds.proxy_key(insight.key)] = deadline
        self._left.set()

    async def run(self) -> None:
        """Removes self-registered proxies whose time is up, until cancelled. A control plane that stops removes none."""
        while True:
            self._left.clear()
            pause = await self.sweep()
            if pause is None:
                await self._left.wait()
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._left.wait()
            except TimeoutError:
                continue  # the next one is due

    async def sweep(self) -> float | None:
        """Removes those whose time is up, puts back what another one registered; seconds until the next, None if nobody is leaving."""
        for key in [key for key, deadline in self._leaving.items() if deadline <= self._now()]:
            try:
                async with self._registering:
                    if self._leaving.pop(key, None) is not None:
                        await self._settle(key)
            except Exception as failure:
                _LOG.error("proxy could not be removed, trying again", proxy=key.name, error=str(failure))
                self._leaving.setdefault(key, self._now() + self._delay)
        return max(min(self._leaving.values()) - self._now(), 0.0) if self._leaving else None

    async def _settle(self, key: res.Key) -> None:
        """After the end of a session: the Dataplane is that of the next, or leaves where nobody stays."""
        heir = self._heir(key)
        if heir is not None:
            await self._restore(heir)
        elif all(each.has_left for each in self._sessions.get(key, ())):
            await self._remove_unless_elsewhere(key)

    async def _remove_unless_elsewhere(self, key: res.Key) -> None:
        insight = await self._find(insight_kinds.insight_key(key))
        last = insight.spec.subscriptions[-1] if insight is not None and insight.spec.subscriptions else None
        elsewhere = last is not None and last.control_plane_instance_id != self._insights.instance_id
        if elsewhere and last is not None and last.disconnect_time is None:
            return
        await self._remove(key)

    async def _remove(self, key: res.Key) -> None:
        self._leaving.pop(key, None)
        try:
            await self._resources.delete(_KINDS[key.kind], key.mesh, key.name, None)
        except errors.NotFound:
            return  # somebody else was faster
        _LOG.info("self-registered proxy removed", kind=key.kind, mesh=key.mesh, proxy=key.name)

    async def _is_registered(self, key: res.Key, definition: str = "") -> bool:
        """Whether the resource is a proxy's own, and made from this `definition` where one is given."""
        if key in self._leaving and not definition:
            return True
        if any(definition in ("", each.definition) for each in self._sessions.get(key, ()) if each.definition):
            return True
        insight = await self._find(insight_kinds.insight_key(key))
        known = _definition_of(insight.spec) if insight is not None else ""
        return bool(known) and definition in ("", known)


def _definition_of(insight: insight_kinds.Insight) -> str:
    """What a proxy brought that registered itself: see the module."""
    return str((insight.metadata or {}).get(nodes.RESOURCE, ""))
