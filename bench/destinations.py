"""What it costs to keep destinations current: `python -m bench.destinations`.

One mesh with 2,000 services of five proxies each; seconds of one core, without the time that the store takes.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench import figures
from kuma.resources import builtin, codec
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.services.defaults import hostnames as default_hostnames
from kuma.services.destinations import drafting, picture
from kuma.services.rules import role as roles
from kuma.store import memory, protocol

SERVICES = 2_000
REPLICAS = 5
JOINS = 50


class Unmeasured:
    """Times nothing."""

    @contextlib.contextmanager
    def loop(self, name: str) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def vip_generation(self) -> Iterator[None]:
        yield


def proxy(name: str, service: str) -> res.Resource[dataplane.Dataplane]:
    """One proxy of a service."""
    tags = {"kuma.io/service": service, "kuma.io/protocol": "http", "kuma.io/zone": "default", "version": "v1"}
    networking = {"address": "192.168.0.1", "inbound": [{"port": 8080, "tags": tags}]}
    document = {"type": "Dataplane", "mesh": "default", "name": name, "networking": networking}
    return codec.decode(dataplane.KIND, {**document, "labels": {"app": service, "kuma.io/workload": service}})


class World:
    """A picture, what is drafted from it, and the store that gives versions and times."""

    def __init__(self) -> None:
        role, kinds = roles.Role(), catalogs.Catalog(builtin.CORE_KINDS)
        self.store = memory.MemoryStore()
        self.picture = picture.Picture(role)
        offered = frozenset(each.name for each in kinds)
        self.drafting = drafting.Drafting(self.picture, role, drafting.Settings(), Unmeasured(), offered)

    async def put(self, resource: res.Resource[Any]) -> None:
        """Stores a resource as a user or a proxy would, and tells the picture."""
        self.picture.take(protocol.Op.CREATED, await self.store.create(resource))

    async def round(self) -> float:
        """Seconds to draft what is due; it is stored and comes back as a change afterwards."""
        begin = time.process_time()
        due = self.picture.take_due()
        self.drafting.note_addresses(due.services)
        drafts = self.drafting.drafts(due, datetime(2026, 1, 1, tzinfo=UTC))
        took = time.process_time() - begin
        for key, draft in drafts.items():
            stored = self.picture.stored(key)
            if draft is not None and draft != stored:
                write = self.store.create if stored is None else self.store.update
                self.picture.take(protocol.Op.UPDATED, await write(draft))
        return took

    async def joined(self, resource: res.Resource[Any]) -> float:
        """Seconds until the drafts that one proxy brings about are made, and those that their writing brings about."""
        stored = await self.store.create(resource)
        begin = time.process_time()
        self.picture.take(protocol.Op.CREATED, stored)
        return time.process_time() - begin + await self.round() + await self.round()


async def measure() -> list[figures.Figure]:
    """Everything at once, as at a start; then proxies one by one."""
    world = World()
    for generator in default_hostnames.for_role(roles.Role()):
        await world.put(generator)
    exclusive = {"type": "Mesh", "name": "default", "meshServices": {"mode": "Exclusive"}}
    await world.put(codec.decode(mesh.KIND, exclusive))
    for number in range(SERVICES):
        for replica in range(REPLICAS):
            await world.put(proxy(f"svc-{number}-{replica}", f"svc-{number}"))
    first = await world.round()
    again = await world.round()
    known = [await world.joined(proxy(f"more-{each}", f"svc-{each}")) for each in range(JOINS)]
    fresh = [await world.joined(proxy(f"new-{each}", f"new-{each}")) for each in range(JOINS)]
    what = f"destinations, {SERVICES} services and {SERVICES * REPLICAS} proxies"
    return [
        figures.Figure(f"{what}: all made", first, "s"),
        figures.Figure(f"{what}: all looked at again", again, "s"),
        figures.Figure("destinations: a proxy joins one of the services", 1e3 * statistics.median(known), "ms"),
        figures.Figure("destinations: a proxy brings a new service", 1e3 * statistics.median(fresh), "ms"),
    ]


def run() -> list[figures.Figure]:
    """All figures."""
    return asyncio.run(measure())


if __name__ == "__main__":
    print(figures.table(run()))
