"""Keeps MeshInsight and ServiceInsight current: follows the store and writes what the pure rules ask for.

A change updates the small facts of one proxy; only where those facts differ is the mesh due, and it is written an
interval later, together with what came until then. Whether policies have an effect is judged less often, because any
change may concern any policy. While nothing changes nothing runs. A restart, or a change feed that moved on without us,
begins with one listing.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import (
    dataplane,
    dataplaneinsight,
    externalservice,
    mesh,
    meshinsight,
    serviceinsight,
    zoneingress,
)
from kuma.services import following
from kuma.services.insights import mesh_insights, service_insights
from kuma.store import protocol

AnyResource = res.Resource[Any]
Advise = Callable[[str], Awaitable[Iterable[tuple[AnyResource, errors.Violation]]]]
"""Tells why which policies of a mesh have no effect; NotFound where the mesh is gone."""

ADVICE_SECONDS = 10.0
_LOG = structlog.get_logger("insights")


@dataclass(slots=True)
class _MeshState:
    """What one mesh holds, as far as insights show it. Names are sets, so that hearing of a change twice is harmless.

    `warnings` are about its policies; None: not judged yet, so what is stored stands.
    """

    spec: mesh.Mesh | None = None
    proxies: dict[str, dataplane.Dataplane] = field(default_factory=dict)
    insights: dict[str, dataplaneinsight.DataplaneInsight] = field(default_factory=dict)
    facts: dict[str, service_insights.ProxyFacts] = field(default_factory=dict)
    externals: dict[str, service_insights.External] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    warnings: tuple[meshinsight.PolicyWarning, ...] | None = None

    def counts(self, wanted: Mapping[str, bool], are_policies: bool) -> dict[str, int]:
        """How many resources there are of each kind that is a policy, or of each that is none."""
        return {kind: len(names) for kind, names in self.names.items() if wanted[kind] is are_policies}


@dataclass(frozen=True, slots=True)
class Timing:
    """Who is told how long things take: a round of writing, idleness before a change, a change's wait for its round."""

    round: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    idle: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    waited: Callable[[float], None] = lambda seconds: None


class InsightLoop:
    """Writes one MeshInsight for every mesh, and one ServiceInsight for every mesh that has had a service."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        interval: float = 1.0,
        dns_domain: str = "mesh",
        vip_port: int = 80,
        timing: Timing = Timing(),
        advise: Advise | None = None,
        advice_interval: float = ADVICE_SECONDS,
    ) -> None:
        """`interval` is the time in seconds for which changes are gathered before insights are written.

        `advise` judges the policies of a mesh; changes are gathered for `advice_interval` seconds before it is asked.
        """
        self._store = store
        self._interval = interval
        self._address = (dns_domain, vip_port)
        self._counted = {kind.name: kind for kind in catalog if kind.scope is kinds.Scope.MESH and not kind.read_only}
        self._is_policy = {name: kind.policy is not None for name, kind in self._counted.items()}
        self._meshes: dict[str, _MeshState] = {}
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._woken = 0.0
        self._timing = timing
        self._advise = advise
        self._advice_interval = advice_interval
        self._doubtful: set[str] = set()
        self._doubt = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled, or until the store is closed."""
        await following.follow(self._store, self._begin, self._hear, self._write_when_due, self._judge_when_in_doubt)

    async def _begin(self) -> int:
        revision = await self._load()
        await self._write_due()
        return revision

    async def write_all(self) -> None:
        """Writes what is missing or out of date now, once, without following changes."""
        await self._load()
        await self._judge()
        await self._write_due()

    async def _load(self) -> int:
        """Reads everything; the revision from which to follow. Every mesh is due afterwards."""
        revision = self._store.revision()
        self._meshes.clear()
        listed: tuple[kinds.Kind[Any], ...] = (mesh.KIND, dataplaneinsight.KIND, *self._counted.values())
        for kind in listed:
            for each in await self._store.list(kind):
                self._take(protocol.Op.CREATED, each)
        self._due.update(name for name, state in self._meshes.items() if state.spec is not None)
        self._put_in_doubt(*self._due)
        return revision

    def _hear(self, change: protocol.Change) -> None:
        self._put_in_doubt(*self._concerned(change))
        if self._take(change.op, change.resource):
            self._rouse()

    def _rouse(self) -> None:
        """Something is due; the first to say so starts the clock of the round."""
        if not self._wake.is_set():
            self._woken = time.perf_counter()
            self._wake.set()

    async def _write_when_due(self) -> None:
        """What a change brings along (the other replicas of a service, the rest of a rollout) is written with it."""
        while True:
            with self._timing.idle():
                await self._wake.wait()
            await asyncio.sleep(self._interval)
            self._timing.waited(time.perf_counter() - self._woken)
            self._wake.clear()
            await self._write_due()

    def _concerned(self, change: protocol.Change) -> Iterable[str]:
        """The meshes in which a policy may have got or lost its effect."""
        kind, meta = change.resource.kind.name, change.resource.meta
        if kind == zoneingress.KIND.name:
            return self._meshes
        if kind == mesh.KIND.name:
            return (meta.name,)
        is_first_seen = kind == dataplaneinsight.KIND.name and change.op is protocol.Op.CREATED
        return (meta.mesh,) if is_first_seen or kind in self._counted else ()

    def _put_in_doubt(self, *names: str) -> None:
        if self._advise is not None and names:
            self._doubtful.update(names)
            self._doubt.set()

    async def _judge_when_in_doubt(self) -> None:
        while True:
            await self._doubt.wait()
            await asyncio.sleep(self._advice_interval)
            self._doubt.clear()
            await self._judge()

    async def _judge(self) -> None:
        """Asks about the policies of meshes that changed; where the answer is another one, the mesh is due."""
        doubtful, self._doubtful = self._doubtful, set()
        for name in sorted(doubtful):
            state = self._meshes.get(name)
            if self._advise is None or state is None or state.spec is None:
                continue
            try:
                found = mesh_insights.shown_warnings(await self._advise(name))
            except errors.NotFound:
                continue  # the mesh went away meanwhile
            except Exception as failure:
                _LOG.error("the policies of a mesh could not be judged", mesh=name, error=repr(failure))
                continue
            if found != state.warnings:
                state.warnings = found
                self._due.add(name)
                self._rouse()

    async def _write_due(self) -> None:
        due, self._due = self._due, set()
        if not due:
            return
        with self._timing.round():
            for name in sorted(due):
                await self._write(name)

    def _take(self, op: protocol.Op, resource: AnyResource) -> bool:
        """Notes a change; whether an insight may differ now."""
        kind, meta = resource.kind.name, resource.meta
        if kind == mesh.KIND.name:
            return self._take_mesh(op, resource)
        if kind == dataplaneinsight.KIND.name:
            state = self._state(meta.mesh)
            if op is protocol.Op.DELETED:
                state.insights.pop(meta.name, None)
            else:
                state.insights[meta.name] = resource.spec
            return self._refresh(meta.mesh, meta.name)
        if kind not in self._counted:
            return False
        state = self._state(meta.mesh)
        names = state.names.setdefault(kind, set())
        before = len(names)
        (names.discard if op is protocol.Op.DELETED else names.add)(meta.name)
        if len(names) != before:
            self._due.add(meta.mesh)
        if kind == externalservice.KIND.name:
            return self._take_external(op, resource) or len(names) != before
        if kind != dataplane.KIND.name:
            return len(names) != before
        if op is protocol.Op.DELETED:
            state.proxies.pop(meta.name, None)
        else:
            state.proxies[meta.name] = resource.spec
        return self._refresh(meta.mesh, meta.name) or len(names) != before

    def _take_mesh(self, op: protocol.Op, resource: AnyResource) -> bool:
        name = resource.meta.name
        if op is protocol.Op.DELETED:
            self._meshes.pop(name, None)
            return False
        state = self._state(name)
        is_other = state.spec is None or _has_services(state.spec) != _has_services(resource.spec)
        state.spec = resource.spec
        if is_other:
            self._due.add(name)
        return is_other

    def _take_external(self, op: protocol.Op, resource: AnyResource) -> bool:
        mesh_name, name = resource.meta.mesh, resource.meta.name
        externals = self._state(mesh_name).externals
        before = externals.pop(name, None)
        if op is not protocol.Op.DELETED:
            externals[name] = service_insights.external_of(resource.spec)
        is_other = externals.get(name) != before
        if is_other:
            self._due.add(mesh_name)
        return is_other

    def _state(self, mesh_name: str) -> _MeshState:
        return self._meshes.setdefault(mesh_name, _MeshState())

    def _refresh(self, mesh_name: str, proxy: str) -> bool:
        """Computes the facts of one proxy anew; whether they differ from before."""
        state = self._state(mesh_name)
        spec = state.proxies.get(proxy)
        before = state.facts.pop(proxy, None)
        if spec is not None:
            state.facts[proxy] = service_insights.facts_of(spec, state.insights.get(proxy))
        is_other = state.facts.get(proxy) != before
        if is_other:
            self._due.add(mesh_name)
        return is_other

    async def _write(self, name: str) -> None:
        state = self._meshes.get(name)
        if state is None or state.spec is None:
            return
        externals = [state.externals[each] for each in sorted(state.externals)]
        services = service_insights.desired(state.facts.values(), externals, *self._address)
        if not _has_services(state.spec):
            services = serviceinsight.ServiceInsight()
        overall = mesh_insights.desired(
            list(state.facts.values()),
            state.counts(self._is_policy, True),
            state.counts(self._is_policy, False),
            services,
            with_services=_has_services(state.spec),
            warnings=await self._stored_warnings(name) if state.warnings is None else state.warnings,
        )
        try:
            await self._put(name, meshinsight.KIND, res.Meta("", name), overall, always=True)
            meta = res.Meta(name, f"all-services-{name}")
            await self._put(name, serviceinsight.KIND, meta, services, always=bool(state.facts or state.externals))
        except (errors.Conflict, errors.AlreadyExists, errors.Unavailable):
            # Another control plane wrote in between, or the store is away for now: the next round sees to it.
            self._due.add(name)
            self._rouse()
        except errors.NotFound:
            # The mesh went away while its insights were computed; they went with it.
            return

    async def _stored_warnings(self, name: str) -> tuple[meshinsight.PolicyWarning, ...]:
        try:
            stored = await self._store.get(res.Key(meshinsight.KIND.name, "", name))
        except errors.NotFound:
            return ()
        assert isinstance(stored.spec, meshinsight.MeshInsight)
        return stored.spec.warnings

    async def _put(self, mesh_name: str, kind: kinds.Kind[Any], meta: res.Meta, spec: Any, always: bool) -> None:
        """Stores an insight where it differs from the stored one; a new one only if `always`."""
        try:
            current = await self._store.get(res.Key(kind.name, meta.mesh, meta.name))
        except errors.NotFound:
            if always:
                await self._store.create(res.Resource(kind, meta, spec), res.Key(mesh.KIND.name, "", mesh_name))
            return
        if current.spec != spec:
            await self._store.update(replace(current, spec=spec))


def _has_services(spec: mesh.Mesh) -> bool:
    """Whether tags of proxies name services in this mesh."""
    return spec.mesh_services is None or spec.mesh_services.mode is not mesh.MeshServicesMode.EXCLUSIVE
