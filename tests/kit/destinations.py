"""Proxies, meshes and a running loop for tests of what is written about destinations."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, meshservice
from kuma.services.defaults import hostnames as default_hostnames
from kuma.services.destinations import drafting, loop, members
from kuma.services.rules import role as roles
from kuma.store import protocol
from tests.kit import api as kit

START = datetime(2026, 1, 1, tzinfo=UTC)
CATALOG: catalogs.Catalog = kit.known_kinds()


def resource(kind: str, name: str, document: Mapping[str, Any] | None = None, mesh: str = "m") -> res.Resource[Any]:
    """A resource in REST form, without its type, name and mesh; `mesh` is empty for global kinds."""
    found = CATALOG.find(kind)
    assert found is not None
    own = {"type": kind, "name": name, **({"mesh": mesh} if mesh else {}), **(document or {})}
    return codec.decode(found, own)


def inbound(service: str = "web", port: int = 8080, **more: Any) -> dict[str, Any]:
    """An inbound in REST form; without tags where `service` is empty."""
    tags = {"kuma.io/service": service, **more.pop("tags", {})} if service else {}
    return {"port": port, "tags": tags, **more}


def proxy(
    name: str, *inbounds: Mapping[str, Any], labels: Mapping[str, str] | None = None, **networking: Any
) -> res.Resource[dataplane.Dataplane]:
    """A Dataplane."""
    own = {"address": "192.168.0.1", "inbound": list(inbounds), **networking}
    return resource("Dataplane", name, {"labels": dict(labels or {}), "networking": own})


def member(
    name: str, *inbounds: Mapping[str, Any], connected: bool = False, certified: bool = False, **more: Any
) -> members.Member:
    """A proxy as destinations see it."""
    return members.member_of(proxy(name, *inbounds, **more), members.Connection(connected, certified))


def insight(name: str, *, online: bool = True, certificate: bool = False) -> res.Resource[Any]:
    """What is known of a proxy."""
    last = dataplaneinsight.DiscoverySubscription(id="1", connect_time=START, disconnect_time=None if online else START)
    mtls = dataplaneinsight.MTLS(issued_backend="ca-1") if certificate else None
    spec = dataplaneinsight.DataplaneInsight(subscriptions=(last,), mtls=mtls)
    return res.Resource(dataplaneinsight.KIND, res.Meta("m", name), spec)


def service(spec: Mapping[str, Any], name: str = "web", **labels: str) -> res.Resource[meshservice.MeshService]:
    """A MeshService that somebody wrote."""
    return resource("MeshService", name, {"spec": spec, "labels": labels})


class Measures:
    """Remembers which stages ran, and how many makings of legacy addresses failed."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.failures = 0

    @contextlib.contextmanager
    def loop(self, name: str) -> Iterator[None]:
        self.stages.append(name)
        yield

    @contextlib.contextmanager
    def vip_generation(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.failures += 1
            raise


class Zone:
    """A store with a mesh, and what keeps its destinations current. `now` is the wall clock."""

    def __init__(self, mode: str = "Exclusive", **settings: Any) -> None:
        self.api = kit.build()
        self.store = self.api.store
        self.role = settings.pop("role", roles.Role())
        self.measures = Measures()
        self.now = START
        self.mode = mode
        self.settings = drafting.Settings(**settings)

    def loop(self, **more: Any) -> loop.DestinationLoop:
        intervals = {"gather": 0.0, "settle": 0.0, **more}
        return loop.DestinationLoop(
            self.store, CATALOG, self.role, self.settings, lambda: self.now, self.measures, **intervals
        )

    async def prepare(self, *resources: res.Resource[Any], **mesh: Any) -> "Zone":
        """Stores the mesh, the default generators and `resources`."""
        for each in default_hostnames.for_role(self.role):
            await self.store.create(each)
        await self.store.create(resource("Mesh", "m", {"meshServices": {"mode": self.mode}, **mesh}, mesh=""))
        for each in resources:
            await self.add(each)
        return self

    async def add(self, each: res.Resource[Any]) -> res.Resource[Any]:
        return await self.store.create(each, res.Key("Mesh", "", "m") if each.meta.mesh else None)

    async def write(self) -> None:
        """Writes everything that is due now."""
        await self.loop().write_all()

    async def get(self, kind: str, name: str, mesh: str = "m") -> res.Resource[Any] | None:
        try:
            return await self.store.get(res.Key(kind, mesh, name))
        except errors.NotFound:
            return None

    async def names(self, kind: str) -> list[str]:
        found = CATALOG.find(kind)
        assert found is not None
        return [each.meta.name for each in await self.store.list(found)]

    @contextlib.asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(self.loop(**more).run())
        try:
            yield
        finally:
            task.cancel()

    async def until(self, kind: str, wanted: Callable[[protocol.Change], bool], since: int | None = None) -> None:
        """Waits for a change of a kind."""
        async with asyncio.timeout(10):
            async for change in self.store.watch(since):
                if change.resource.kind.name == kind and wanted(change):
                    return


def hostnames(resource: res.Resource[Any] | None) -> Sequence[str]:
    assert resource is not None
    status: Any = resource.status
    return [each.hostname for each in status.addresses]
