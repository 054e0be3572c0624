"""Notes: a small kind for tests of stores that control planes share, and ways to look at such stores."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

from kuma.base import errors
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.store import postgres, protocol


class NoteSpec(kind.Spec, frozen=True):
    text: str = ""
    size: int = 0


class NoteStatus(kind.Spec, frozen=True):
    seen: bool = False


NOTE = kind.Kind("Note", "notes", kind.Scope.MESH, NoteSpec, status=NoteStatus)
OTHER = kind.Kind("Other", "others", kind.Scope.MESH, NoteSpec)
CATALOG = catalog.Catalog([NOTE, OTHER])


def note(name: str, text: str = "", of: kind.Kind[NoteSpec] = NOTE) -> res.Resource[NoteSpec]:
    return res.Resource(of, res.Meta("m", name, {"a": "b"}), NoteSpec(text, len(text)))


def with_text(stored: res.Resource[Any], text: str) -> res.Resource[Any]:
    return dataclasses.replace(stored, spec=NoteSpec(text, len(text)))


def content(resource: res.Resource[Any]) -> tuple[Any, ...]:
    """All but the version, which every store counts for itself."""
    return resource.key, dict(resource.meta.labels), resource.spec, resource.status


async def until(store: protocol.Store, watch: AsyncIterator[protocol.Change], name: str, text: str | None) -> float:
    """Waits until a store shows a text (None: nothing) under a name; the seconds it took."""
    started = time.monotonic()

    def is_there() -> bool:
        found = shown(store).get(name)
        return found == text

    async with asyncio.timeout(20):
        while not is_there():
            await anext(watch)
    return time.monotonic() - started


def shown(store: Any) -> dict[str, str]:
    """What the image of a store says now."""
    return {each.meta.name: each.spec.text for each in store._mirror.image.listing("Note", None)}


async def put(store: protocol.Store, name: str, text: str) -> None:
    """Reads, changes and writes until nobody was faster."""
    while True:
        try:
            current = await store.get(note(name).key)
            await store.update(with_text(current, text))
            return
        except errors.Conflict:
            continue


Pair = tuple[postgres.PostgresStore, postgres.PostgresStore]
