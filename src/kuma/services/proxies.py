"""What a connected proxy means: who it is, whether it may connect, its Dataplane's life, its configuration.

A proxy either belongs to a Dataplane that somebody created, or brings its own along in the metadata of its node. The
latter is registered when its stream opens, and removed when it says goodbye, or some seconds after its last stream is
gone. That a Dataplane is the proxy's own is remembered by its insight, which keeps the definition that came along:
so a control plane that was killed finds out later whom nobody will say goodbye for.
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
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import dataplaneinsight as insight_kind
from kuma.services import dataplane_insights, nodes, offered, rejections, service_health
from kuma.services import resources as managing
from kuma.store import protocol

DEREGISTRATION_DELAY = 10.0
RECOVERY_GRACE = 60.0
"""Seconds after a start that proxies of an earlier run have to come back; Envoy tries again within 30."""

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

    def detach(self) -> None:
        """The stream is gone."""
        ...


class Publisher(Protocol):
    """Makes configurations."""

    def attach(self, key: res.Key, metadata: Mapping[str, Any]) -> Feed:
        """A feed for one stream of the proxy at `key`."""
        ...


class Validator(Protocol):
    """Checks the credentials of proxies."""

    async def validate_dataplane(self, token: str, dataplane: res.Resource[dataplanes.Dataplane]) -> None:
        """Unauthenticated unless the token is for this Dataplane."""
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
        is_registered: bool,
    ) -> None:
        """`kri` is the Dataplane's."""
        self.key = key
        self.kri = kri
        self.feed = feed
        self.is_registered = is_registered
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
    """A proxy that may connect: its Dataplane as stored (None: not yet), and the document that it brought (or None)."""

    key: res.Key
    stored: res.Resource[Any] | None
    document: Mapping[str, Any] | None
    dataplane: res.Resource[Any]


class Proxies:
    """All proxies of this control plane. `run` removes those that are gone and must be running."""

    def __init__(
        self,
        resources: managing.ResourceManager,
        publisher: Publisher,
        insights: dataplane_insights.DataplaneInsights,
        validator: Validator | None,
        delay: float = DEREGISTRATION_DELAY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`validator` None lets everybody in (`dpServer.authn` type `none`). `delay` is in seconds, `now` steady."""
        self._resources = resources
        self._store: protocol.Store = resources.store
        self._publisher = publisher
        self._insights = insights
        self._validator = validator
        self._delay = delay
        self._now = now
        self._sessions: dict[res.Key, set[Session]] = {}
        self._leaving: dict[res.Key, float] = {}
        self._left = asyncio.Event()
        self._registering = asyncio.Lock()
        self._is_stopping = False

    def retire(self) -> None:
        """This control plane stops: proxies that lose their streams by that go elsewhere, and none is removed."""
        self._is_stopping = True
        self._leaving.clear()

    async def connect(self, node: nodes.Node, credential: str) -> Session:
        """Opens a session for a stream.

        Unauthenticated where the credential does not fit, NotFound where there is no Dataplane and none came along,
        BadRequest or InvalidResource where the node or what it brought is wrong.
        """
        admission = await self._admit(node, credential)
        if admission.document is None:
            return self._open(node, admission.dataplane, is_registered=False)
        async with self._registering:
            dataplane, is_own = await self._register(admission.key, admission.document)
            return self._open(node, dataplane, is_registered=is_own)

    def _open(self, node: nodes.Node, dataplane: res.Resource[Any], *, is_registered: bool) -> Session:
        key = dataplane.key
        self._leaving.pop(key, None)
        metadata = dict(node.metadata)
        feed = self._publisher.attach(key, metadata)
        shown = metadata if is_registered else {k: v for k, v in metadata.items() if k != nodes.RESOURCE}
        connection = self._insights.open(key, shown, lambda: feed.identity)
        session = Session(self, key, feed, connection, kri=res.ref_to(dataplane).kri, is_registered=is_registered)
        self._sessions.setdefault(key, set()).add(session)
        return session

    def end(self, session: Session) -> None:
        """A session is over: without another one, the Dataplane that it registered leaves after the delay."""
        sessions = self._sessions.get(session.key, set())
        sessions.discard(session)
        if sessions:
            return
        self._sessions.pop(session.key, None)
        if session.is_registered and not self._is_stopping:
            self._leaving[session.key] = self._now() + self._delay
            self._left.set()

    async def dataplane_for(self, node: nodes.Node, credential: str) -> res.Resource[dataplanes.Dataplane]:
        """The Dataplane of a proxy that opens another kind of stream: stored, or as it brought it. Raises as `connect`."""
        return (await self._admit(node, credential)).dataplane

    async def goodbye(self, key: res.Key, credential: str) -> None:
        """Removes the Dataplane that a proxy registered itself, at once; one that others created stays.

        So does one whose name a successor has taken over while the old proxy drains: both are connected then.
        NotFound where there is none, Unauthenticated where the credential is not for it.
        """
        stored = await self._store.get(key)
        await self._authenticate(stored, credential)
        async with self._registering:
            if len(self._sessions.get(key, ())) < 2 and await self._is_registered(key):
                await self._remove(key)

    # --- joining ------------------------------------------------------------------------------------------------------

    async def _admit(self, node: nodes.Node, credential: str) -> _Admission:
        key = nodes.dataplane_key(node.id)
        stored = await self._find(key)
        if not node.offered:
            if stored is None:
                raise errors.NotFound(
                    f'resource "{node.id}" not found; create a Dataplane in Kuma CP first '
                    "or pass it as an argument to kuma-dp"
                )
            await self._authenticate(stored, credential)
            return _Admission(key, stored, None, stored)
        document = offered.document_of(node.offered)
        brought = codec.decode(dataplanes.KIND, document)
        if (brought.meta.mesh, brought.meta.name) != (key.mesh, key.name):
            raise errors.BadRequest(
                f'the Dataplane "{brought.meta.mesh}.{brought.meta.name}" is not the one of node "{node.id}"'
            )
        await self._authenticate(brought, credential)
        if stored is not None:
            await self._authenticate(stored, credential)
        return _Admission(key, stored, document, stored or brought)

    async def _authenticate(self, proxy: res.Resource[Any], credential: str) -> None:
        if self._validator is not None:
            await self._validator.validate_dataplane(credential, proxy)

    async def _register(self, key: res.Key, document: Mapping[str, Any]) -> tuple[res.Resource[Any], bool]:
        """Stores what a proxy brought along; whether the Dataplane is its own, rather than another's that it renews."""
        stored = await self._find(key)
        if stored is not None:
            document = service_health.with_known_health(document, stored.spec)
        is_own = stored is None or await self._is_registered(key)
        outcome = await self._resources.put(dataplanes.KIND, key.mesh, key.name, document, None)
        return outcome.resource, is_own

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
        for insight in await self._store.list(insight_kind.KIND):
            if not insight.spec.is_online and _keeps_definition(insight.spec):
                self._leaving[res.Key(dataplanes.KIND.name, insight.meta.mesh, insight.meta.name)] = deadline
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
        """Removes those whose time is up; seconds until the next, None if nobody is leaving."""
        for key in [key for key, deadline in self._leaving.items() if deadline <= self._now()]:
            try:
                async with self._registering:
                    if self._leaving.pop(key, None) is not None and key not in self._sessions:
                        await self._remove_unless_elsewhere(key)
            except Exception as failure:
                _LOG.error("proxy could not be removed, trying again", proxy=key.name, error=str(failure))
                self._leaving.setdefault(key, self._now() + self._delay)
        return max(min(self._leaving.values()) - self._now(), 0.0) if self._leaving else None

    async def _remove_unless_elsewhere(self, key: res.Key) -> None:
        insight = await self._find(dataplane_insights.insight_key(key))
        last = insight.spec.subscriptions[-1] if insight is not None and insight.spec.subscriptions else None
        elsewhere = last is not None and last.control_plane_instance_id != self._insights.instance_id
        if elsewhere and last is not None and last.disconnect_time is None:
            return
        await self._remove(key)

    async def _remove(self, key: res.Key) -> None:
        self._leaving.pop(key, None)
        try:
            await self._resources.delete(dataplanes.KIND, key.mesh, key.name, None)
        except errors.NotFound:
            return  # somebody else was faster
        _LOG.info("self-registered proxy removed", mesh=key.mesh, proxy=key.name)

    async def _is_registered(self, key: res.Key) -> bool:
        if key in self._leaving or any(session.is_registered for session in self._sessions.get(key, ())):
            return True
        insight = await self._find(dataplane_insights.insight_key(key))
        return insight is not None and _keeps_definition(insight.spec)


def _keeps_definition(insight: insight_kind.DataplaneInsight) -> bool:
    """Whether the Dataplane is the proxy's own: see the module."""
    return nodes.RESOURCE in (insight.metadata or {})
