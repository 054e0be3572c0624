"""What the control plane knows of connected proxies, written as DataplaneInsights and ZoneEgressInsights.

Streams count in memory; the store sees the counts. Connecting, disconnecting and a change of health (the first
rejection of a type, the first acknowledgement after it) are written at once, everything else gathered: one batch for
all proxies, and nothing at all while nothing happens. A certificate is shown while a stream is open that brings it to
its proxy: one that went away shows none. Form and limits: Kuma's documentation, "Data plane proxy".
"""

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog

from kuma.base import errors
from kuma.discovery import resources as xds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegressinsight
from kuma.resources.kinds import dataplaneinsight as insights
from kuma.services.insights import insight_kinds, proxy_versions, telemetry_states
from kuma.store import protocol

FLUSH_SECONDS = 10.0
SUBSCRIPTION_LIMIT = 2

_FIELDS = {xds.CLUSTER: "cds", xds.ENDPOINT: "eds", xds.LISTENER: "lds", xds.ROUTE: "rds"}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LOG = structlog.get_logger("dataplane_insights")


class Identity(Protocol):
    """A proxy's certificate as far as its insight shows it."""

    @property
    def expires(self) -> datetime | None: ...  # noqa: D102 - names say it
    @property
    def generated(self) -> datetime | None: ...  # noqa: D102
    @property
    def regenerations(self) -> int: ...  # noqa: D102
    @property
    def issued_backend(self) -> str: ...  # noqa: D102
    @property
    def supported_backends(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclasses.dataclass(slots=True)
class _Tally:
    """Responses of one type on one stream; `error` stands while the last one was rejected."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    error: insights.LastError | None = None


class Connection:
    """One stream of a proxy, from connect to close. Made by `DataplaneInsights.open`."""

    def __init__(
        self,
        owner: "DataplaneInsights",
        proxy: res.Key,
        metadata: Mapping[str, Any],
        identity: Callable[[], Identity | None],
        collectors: Callable[[], bytes | None],
    ) -> None:
        self.proxy = proxy
        self.metadata = metadata
        self.identity = identity
        self.collectors = collectors
        self.disconnected: datetime | None = None
        self.generation = 0
        self._owner = owner
        self.id = str(uuid.uuid4())
        self._version = proxy_versions.version_of(metadata)
        self._connected = owner.clock()
        self._updated: datetime | None = None
        self._tallies: dict[str, _Tally] = {}
        self._behind: insights.LastError | None = None

    def sent(self, type_url: str) -> None:
        """A response of the type went out."""
        self._tally(type_url).sent += 1
        self._owner.touch(self)

    def acknowledged(self, type_url: str) -> None:
        """The client took a response."""
        tally = self._tally(type_url)
        tally.acknowledged += 1
        recovered, tally.error = tally.error is not None, None
        self._owner.touch(self, at_once=recovered)

    def rejected(self, type_url: str, error: insights.LastError) -> None:
        """The client refused a response."""
        tally = self._tally(type_url)
        tally.rejected += 1
        fresh, tally.error = tally.error != error, error
        self._owner.touch(self, at_once=fresh)

    def fell_behind(self, why: str) -> None:
        """The newest configuration could not be made for the proxy, or, with nothing for `why`, it was again."""
        behind = insights.LastError(f"the proxy keeps an older configuration: {why}") if why else None
        if behind != self._behind:
            self._behind = behind
            self._owner.touch(self, at_once=True)

    def close(self) -> None:
        """The stream is gone. Further calls do nothing."""
        if self.disconnected is None:
            self.disconnected = self._owner.clock()
            self._owner.touch(self, at_once=True)

    def _tally(self, type_url: str) -> _Tally:
        self._updated = self._owner.clock()
        return self._tallies.setdefault(type_url, _Tally())

    def as_subscription(self) -> insights.DiscoverySubscription:
        """The stream as the insight shows it."""
        stats = dict.fromkeys(_FIELDS.values(), insights.DiscoveryServiceStats())
        elsewhere = self._behind
        for type_url, tally in self._tallies.items():
            name = _FIELDS.get(type_url)
            if name is not None:
                stats[name] = _stats([tally], tally.error)
            else:
                elsewhere = elsewhere or tally.error  # what has no field of its own, the total says
        return insights.DiscoverySubscription(
            id=self.id,
            control_plane_instance_id=self._owner.instance_id,
            connect_time=self._connected,
            disconnect_time=self.disconnected,
            status=insights.DiscoverySubscriptionStatus(
                last_update_time=self._updated, total=_stats(self._tallies.values(), elsewhere), **stats
            ),
            version=self._version,
            generation=self.generation,
        )


def _stats(tallies: Iterable[_Tally], error: insights.LastError | None) -> insights.DiscoveryServiceStats:
    sent = acknowledged = rejected = 0
    for tally in tallies:
        sent, acknowledged, rejected = sent + tally.sent, acknowledged + tally.acknowledged, rejected + tally.rejected
    return insights.DiscoveryServiceStats(sent, acknowledged, rejected, error)


@dataclasses.dataclass(slots=True)
class _Proxy:
    """The streams of one proxy that are open here or not written yet, and the others as they were last read."""

    connections: list[Connection]
    history: tuple[insights.DiscoverySubscription, ...] = ()


class DataplaneInsights:
    """Keeps insights of the proxies that are connected to this control plane. `run` writes them and must be running."""

    def __init__(
        self,
        store: protocol.Store,
        instance_id: str,
        clock: Callable[[], datetime],
        interval: float = FLUSH_SECONDS,
        subscription_limit: int = SUBSCRIPTION_LIMIT,
        heartbeat: float | None = None,
    ) -> None:
        """`interval` is how many seconds counts are gathered. With `heartbeat`, the generation of every open stream
        moves once in that many seconds, so that other control planes can tell that this one lives.
        """
        self.instance_id = instance_id
        self.clock = clock
        self._store = store
        self._interval = interval
        self._limit = subscription_limit
        self._heartbeat = heartbeat
        self._proxies: dict[res.Key, _Proxy] = {}
        self._gathered: dict[res.Key, None] = {}
        self._urgent: dict[res.Key, None] = {}
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._writing = asyncio.Lock()
        self._is_stopping = False

    def retire(self) -> None:
        """This control plane stops: what it knows of certificates stands for the one that its proxies go to."""
        self._is_stopping = True

    def open(
        self,
        proxy: res.Key,
        metadata: Mapping[str, Any],
        identity: Callable[[], Identity | None],
        collectors: Callable[[], bytes | None] = lambda: None,
    ) -> Connection:
        """A stream of a proxy begins. `identity` and `collectors`, what its agent is told about these, are asked
        whenever the insight is written.
        """
        connection = Connection(self, proxy, metadata, identity, collectors)
        self._proxies.setdefault(proxy, _Proxy([])).connections.append(connection)
        self.touch(connection, at_once=True)
        return connection

    def touch(self, connection: Connection, *, at_once: bool = False) -> None:
        """Something about a stream changed."""
        if at_once:
            self._urgent[connection.proxy] = None
            self._hurry.set()
        else:
            self._gathered[connection.proxy] = None
            self._some.set()

    async def run(self) -> None:
        """Writes until cancelled. What is not written by then, `flush` writes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_urgent())
            tasks.create_task(self._write_gathered())
            tasks.create_task(self._follow())
            if self._heartbeat is not None:
                tasks.create_task(self._beat(self._heartbeat))

    async def _write_urgent(self) -> None:
        while True:
            await self._hurry.wait()
            self._hurry.clear()
            urgent, self._urgent = self._urgent, {}
            await self._try(urgent)

    async def _write_gathered(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(self._interval)
            self._some.clear()
            gathered, self._gathered = self._gathered, {}
            await self._try(gathered)

    async def _follow(self) -> None:
        """A resource that is deleted takes its insight along; made anew, it gets that of the proxy still connected."""
        while True:
            try:
                async for change in self._store.watch():
                    key = change.resource.key
                    if change.op is protocol.Op.CREATED and key in self._proxies:
                        self._urgent[key] = None
                        self._hurry.set()
                return  # the store is closed
            except errors.Conflict:  # we fell behind, so any of them may be concerned
                self._urgent.update(dict.fromkeys(self._proxies))
                self._hurry.set()

    async def _beat(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            for proxy in self._proxies.values():
                for connection in proxy.connections:
                    connection.generation += 1
                    self.touch(connection)

    async def _try(self, proxies: Mapping[res.Key, None]) -> None:
        """Writes; what the store refuses stays gathered, because counts must not end a control plane."""
        try:
            await self._write(proxies)
        except Exception as failure:
            _LOG.error("insights could not be written, trying again", proxies=len(proxies), error=str(failure))
            self._gathered.update(proxies)
            self._some.set()

    async def flush(self) -> None:
        """Writes everything that is not written yet."""
        waiting = self._urgent | self._gathered
        self._urgent, self._gathered = {}, {}
        await self._write(waiting)

    async def _write(self, proxies: Iterable[res.Key]) -> None:
        async with self._writing:
            changes, ended = [], []
            for key in proxies:
                proxy = self._proxies.get(key)
                if proxy is None:
                    continue
                stored = await self._stored(key)
                proxy.history = self._merged(proxy, stored.subscriptions)
                changes.append(self._change(key, proxy, stored))
                ended += [each for each in proxy.connections if each.disconnected is not None]
            await self._apply(changes)
            for connection in ended:
                self._bury(connection)

    async def _stored(self, proxy: res.Key) -> insight_kinds.Insight:
        """The insight as it is now; an empty one where there is none."""
        try:
            found = await self._store.get(insight_kinds.insight_key(proxy))
        except errors.NotFound:
            return self._fresh(proxy, None)
        spec: insight_kinds.Insight = found.spec
        return spec

    def _fresh(self, key: res.Key, proxy: _Proxy | None) -> insight_kinds.Insight:
        """What the newest stream of a proxy says it is, without streams; an empty insight where there is none."""
        latest = proxy.connections[-1] if proxy is not None else None
        metadata = dict(latest.metadata) if latest is not None else None
        if key.kind != dataplane.KIND.name:
            return zoneegressinsight.ZoneEgressInsight(metadata=metadata)
        if proxy is None or latest is None:
            return insights.DataplaneInsight()
        told = telemetry_states.of_document(latest.collectors())
        return insights.DataplaneInsight(mtls=self._mtls(proxy), metadata=metadata, open_telemetry=told)

    def _merged(
        self, proxy: _Proxy, stored: Iterable[insights.DiscoverySubscription]
    ) -> tuple[insights.DiscoverySubscription, ...]:
        """The streams that are not open here, oldest first: what others write of theirs holds, and what is known here."""
        known = {each.id: each for each in proxy.history}
        known |= {each.id: each for each in stored if each.control_plane_instance_id != self.instance_id}
        for each in stored:
            known.setdefault(each.id, each)
        for connection in proxy.connections:
            known.pop(connection.id, None)
        return tuple(sorted(known.values(), key=_began)[-self._limit :])

    def _change(self, key: res.Key, proxy: _Proxy, stored: insight_kinds.Insight) -> protocol.Change:
        """The insight to write. The newest stream says what the proxy is; it may be on another control plane by now."""
        own = [each.as_subscription() for each in proxy.connections]
        subscriptions = tuple(sorted((*proxy.history, *own), key=_began)[-self._limit :])
        if subscriptions[-1].control_plane_instance_id == self.instance_id:
            stored = self._fresh(key, proxy)
        spec = msgspec.structs.replace(stored, subscriptions=subscriptions)
        made = res.Resource(insight_kinds.insight_kind(key), res.Meta(mesh=key.mesh, name=key.name), spec)
        return protocol.Change(protocol.Op.UPDATED, made, owner=key)

    def _mtls(self, proxy: _Proxy) -> insights.MTLS | None:
        """The certificate that the newest open stream brings; None without one."""
        holding = [each for each in proxy.connections if each.disconnected is None or self._is_stopping]
        return _mtls(holding[-1].identity()) if holding else None

    def _bury(self, connection: Connection) -> None:
        """A stream whose end is written turns into history; a proxy without open ones is forgotten."""
        proxy = self._proxies[connection.proxy]
        proxy.connections.remove(connection)
        proxy.history = (*proxy.history, connection.as_subscription())[-self._limit :]
        if not proxy.connections:
            del self._proxies[connection.proxy]

    async def _apply(self, changes: list[protocol.Change]) -> None:
        if not changes:
            return
        try:
            await self._store.apply(changes)
        except errors.NotFound:  # a Dataplane is gone, and its insight with it
            kept = [change for change in changes if change.owner is None or await self._exists(change.owner)]
            if kept:
                await self._store.apply(kept)

    async def _exists(self, key: res.Key) -> bool:
        try:
            await self._store.get(key)
        except errors.NotFound:
            return False
        return True

    async def close_abandoned(self, is_alive: Callable[[str], bool] = lambda _: False) -> None:
        """Ends subscriptions that a killed control plane left open: call it at the start, before proxies connect.

        `is_alive` tells of an instance id whether that control plane still runs; alone on a store, none does.
        """
        now = self.clock()
        changes = []
        for each in [each for kind in insight_kinds.INSIGHTS for each in await self._store.list(kind)]:
            closed = tuple(
                subscription
                if subscription.disconnect_time is not None or is_alive(subscription.control_plane_instance_id)
                else msgspec.structs.replace(subscription, disconnect_time=now)
                for subscription in each.spec.subscriptions
            )
            if closed != each.spec.subscriptions:
                spec = msgspec.structs.replace(each.spec, subscriptions=closed)
                changes.append(protocol.Change(protocol.Op.UPDATED, dataclasses.replace(each, spec=spec)))
        await self._apply(changes)


def _began(subscription: insights.DiscoverySubscription) -> datetime:
    return subscription.connect_time or _LONG_AGO


def _mtls(identity: Identity | None) -> insights.MTLS | None:
    if identity is None:
        return None
    return insights.MTLS(
        certificate_expiration_time=identity.expires,
        last_certificate_regeneration=identity.generated,
        certificate_regenerations=identity.regenerations,
        issued_backend=identity.issued_backend,
        supported_backends=identity.supported_backends,
    )
