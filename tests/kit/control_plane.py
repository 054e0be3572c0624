"""A control plane in memory for tests of what happens when proxies connect: real store, real use cases, no sockets."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kuma.discovery import resources as xds
from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, mesh, zoneegress, zoneegressinsight
from kuma.security import access
from kuma.services import resources
from kuma.services.insights import dataplane_insights
from kuma.services.proxies import credentials, nodes, proxies
from kuma.services.rules import dataplane_rules, role
from kuma.store import memory

CATALOG = catalogs.Catalog([mesh.KIND, dataplane.KIND, dataplaneinsight.KIND, zoneegress.KIND, zoneegressinsight.KIND])


class Clock:
    """Wall time and steady time that move when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def steady(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Feed:
    """What one stream gets to see; a test puts snapshots in."""

    def __init__(self, key: res.Key, metadata: Any) -> None:
        self.key, self.metadata = key, metadata
        self.snapshot: xds.Snapshot | None = None
        self.changed = asyncio.Event()
        self.identity: Any = None
        self.authors: dict[tuple[str, str], tuple[res.ResourceRef, ...]] = {}
        self.documents: dict[str, bytes] = {}
        self.is_attached = True

    def publish(self, snapshot: xds.Snapshot) -> None:
        self.snapshot = snapshot
        self.changed.set()

    def origins(self, type_url: str, name: str) -> tuple[res.ResourceRef, ...]:
        return self.authors.get((type_url, name), ())

    def told(self, document: str) -> bytes | None:
        return self.documents.get(document)

    def tell_failures(self, told: Callable[[str], None]) -> None:
        self.failed = told

    def detach(self) -> None:
        self.is_attached = False


class Publisher:
    """Hands out feeds and remembers them; `initial` is what each starts with."""

    def __init__(self) -> None:
        self.feeds: list[Feed] = []
        self.initial: xds.Snapshot | None = None

    def attach(self, key: res.Key, metadata: Any) -> Feed:
        feed = Feed(key, metadata)
        if self.initial is not None:
            feed.publish(self.initial)
        self.feeds.append(feed)
        return feed


class ControlPlane:
    """One run of a control plane on a store; `restarted` is the next run after a kill."""

    def __init__(
        self, store: memory.MemoryStore | None = None, clock: Clock | None = None, name: str = "cp-1", validator=None
    ) -> None:
        self.clock = clock or Clock()
        self.store = store or memory.MemoryStore()
        own_role = role.Role()
        self.resources = resources.ResourceManager(
            self.store,
            CATALOG,
            own_role,
            access.StaticAccess(),
            {"Dataplane": dataplane_rules.DataplaneRules(self.store, own_role)},
        )
        self.publisher = Publisher()
        self.insights = dataplane_insights.DataplaneInsights(self.store, name, self.clock.wall, interval=0.01)
        admission = credentials.Credentials(validator, validator, own_role.zone)
        self.proxies = proxies.Proxies(self.resources, self.publisher, self.insights, admission, now=self.clock.steady)

    def restarted(self) -> "ControlPlane":
        return ControlPlane(self.store, self.clock, "cp-2")

    async def prepare(self) -> "ControlPlane":
        await self.resources.put(mesh.KIND, "", "default", {"type": "Mesh", "name": "default"}, None)
        return self

    async def create_dataplane(self, name: str, **more: Any) -> res.Resource[Any]:
        document = dataplane_document(name, **more)
        return (await self.resources.put(dataplane.KIND, "default", name, document, None)).resource

    async def has_dataplane(self, name: str) -> bool:
        return any(each.meta.name == name for each in await self.store.list(dataplane.KIND))

    async def insight(self, name: str) -> dataplaneinsight.DataplaneInsight:
        await self.insights.flush()
        found: dataplaneinsight.DataplaneInsight = (
            await self.store.get(res.Key("DataplaneInsight", "default", name))
        ).spec
        return found


def dataplane_document(name: str, **inbound: Any) -> dict[str, Any]:
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": name,
        "networking": {
            "address": "127.0.0.1",
            "inbound": [{"port": 15100, "servicePort": 80, "tags": {"kuma.io/service": "web"}, **inbound}],
        },
    }


def bringing(name: str, **inbound: Any) -> nodes.Node:
    """The node of an agent that brings its Dataplane along."""
    brought = codec.encode(codec.decode(dataplane.KIND, dataplane_document(name, **inbound)))
    return nodes.Node(f"default.{name}", metadata={nodes.RESOURCE: msgspec.json.encode(brought).decode()})
