"""Keeps MeshInsight and ServiceInsight current: follows the store and writes what the pure rules ask for.

A change updates the small facts of one proxy; only where those facts differ is the mesh due, and it is written an
interval later, together with what came until then. While nothing changes nothing runs. A restart, or a change feed that moved on without us, begins
with one listing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, mesh, meshinsight, serviceinsight
from kuma.services import mesh_insights, service_insights
from kuma.store import protocol

AnyResource = res.Resource[Any]


@dataclass(slots=True)
class _MeshState:
    """What one mesh holds, as far as insights show it. Names are sets, so that hearing of a change twice is harmless."""

    spec: mesh.Mesh | None = None
    proxies: dict[str, dataplane.Dataplane] = field(default_factory=dict)
    insights: dict[str, dataplaneinsight.DataplaneInsight] = field(default_factory=dict)
    facts: dict[str, service_insights.ProxyFacts] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)

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
    """Writes one MeshInsight for every mesh, and one ServiceInsight for every mesh that has had a proxy."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        interval: float = 1.0,
        dns_domain: str = "mesh",
        vip_port: int = 80,
        timing: Timing = Timing(),
    ) -> None:
        """`interval` is the time in seconds for which changes are gathered before insights are written."""
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

    async def run(self) -> None:
        """Runs until cancelled, or until the store is closed."""
        while True:
            revision = await self._load()
            await self._write_due()
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_when_due())
                lost = await self._follow(revision)
                writing.cancel()
            if not lost:
                return

    async def write_all(self) -> None:
        """Writes what is missing or out of date now, once, without following changes."""
        await self._load()
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
        return revision

    async def _follow(self, revision: int) -> bool:
        """Notes changes; True when the feed moved on without us, False when the store was closed."""
        try:
            async for change in self._store.watch(revision):
                if self._take(change.op, change.resource):
                    self._rouse()
        except errors.Conflict:
            return True
        return False

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
        domain, port = self._address
        services = service_insights.desired(state.facts.values(), domain, port)
        if not _has_services(state.spec):
            services = serviceinsight.ServiceInsight()
        overall = mesh_insights.desired(
            list(state.facts.values()),
            state.counts(self._is_policy, True),
            state.counts(self._is_policy, False),
            services,
            with_services=_has_services(state.spec),
        )
        try:
            await self._put(name, meshinsight.KIND, res.Meta("", name), overall, always=True)
            meta = res.Meta(name, f"all-services-{name}")
            await self._put(name, serviceinsight.KIND, meta, services, always=bool(state.facts))
        except (errors.Conflict, errors.AlreadyExists, errors.Unavailable):
            # Another control plane wrote in between, or the store is away for now: the next round sees to it.
            self._due.add(name)
            self._rouse()
        except errors.NotFound:
            # The mesh went away while its insights were computed; they went with it.
            return

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
