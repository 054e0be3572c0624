"""Family `xds_context_hash`: a change of the store, and whether proxies may have to be configured anew for it.

Kuma asks that on three levels, by the hash of what each one holds; here `WorldView.advance` answers. A mesh in full is
what an edit touched of it and, as in Kuma, what all meshes share; that, and what all proxies of a mesh share, is looked
up in the pictures before and after.
"""

import asyncio
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kuma.base import errors
from kuma.mesh import view, zones
from kuma.resources import resource as res
from kuma.store import memory
from tests.conformance import kinds, outcome
from tests.conformance.families import rules

ZONE = "zone-1"


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """Loads the input, takes the change in on top of it, and compares whether that reached anything."""
    before, after, touched = asyncio.run(
        advanced(rules.load(folder / case["input"]), rules.load(folder / case["change"]))
    )
    if touched.refused:
        return outcome.failed("; ".join(reason for _, reason in touched.refused))
    is_reached = LEVELS[case["context"]](case["mesh"] or "", before, after, touched)
    if is_reached is not case["shouldChange"]:
        return outcome.failed(f"reached: {is_reached}, expected {case['shouldChange']}; {touched}")
    return outcome.PASSED


async def advanced(
    given: Iterable[res.Resource[Any]], change: Iterable[res.Resource[Any]]
) -> tuple[view.WorldView, view.WorldView, view.Touched]:
    """The pictures before and after a change that was written to a store, and what it touched."""
    store = memory.MemoryStore()
    empty = view.WorldView(kinds.policy_names(), zones=zones.Zones(ZONE))
    before, _ = empty.advance([view.Edit(await written(store, each)) for each in given])
    after, touched = before.advance([view.Edit(await written(store, each)) for each in change])
    return before, after, touched


async def written(store: memory.MemoryStore, resource: res.Resource[Any]) -> res.Resource[Any]:
    """The resource as the store has it, with a version."""
    try:
        version = (await store.get(resource.key)).meta.version
    except errors.NotFound:
        return await store.create(resource)
    return await store.update(dataclasses.replace(resource, meta=dataclasses.replace(resource.meta, version=version)))


def is_mesh_reached(mesh: str, before: view.WorldView, after: view.WorldView, touched: view.Touched) -> bool:
    """Whether anything of a mesh, or of what all meshes share, may look different to some proxy."""
    return is_world_reached(mesh, before, after, touched) or mesh in (
        touched.meshes
        | {key.mesh for key in touched.proxies}
        | {owner for owner, _ in touched.services | touched.destinations}
        | {owner for owner, _, _ in touched.policies}
    )


def is_base_reached(mesh: str, before: view.WorldView, after: view.WorldView, touched: view.Touched) -> bool:
    """Whether what all proxies of a mesh share differs: everything but the proxies."""
    return _shared(before, mesh) != _shared(after, mesh)


def _shared(world: view.WorldView, mesh: str) -> object:
    found = world.meshes.get(mesh)
    return found and (found.resource, found.policies, found.others, list(found.destinations.stored()))


def is_world_reached(mesh: str, before: view.WorldView, after: view.WorldView, touched: view.Touched) -> bool:
    """Whether what all meshes share differs: which there are, and the ways between zones."""
    return _common(before) != _common(after)


def _common(world: view.WorldView) -> object:
    return world.zones, {name: each.resource for name, each in world.meshes.items()}


LEVELS = {
    "meshcontext_hash": is_mesh_reached,
    "basemeshcontext_hash": is_base_reached,
    "globalcontext_hash": is_world_reached,
}
