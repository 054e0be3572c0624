"""Two writers on one resource, over REST and on each store.

One wins, the other is told with 409 that what it meant to replace is not there any more. What the control plane itself
writes into a status is in nobody's way. Nobody's write is half there.
"""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kuma.resources import resource as res
from kuma.store import memory, protocol, sqlite
from tests.kit import api as kit
from tests.kit import postgres as servers

PATH = "/meshes/shop/meshtimeouts/t"


def timeout(author: str) -> dict[str, Any]:
    """A policy whose label and conf both name their author."""
    after = f"{sum(author.encode()) % 1_000}ms"
    to = [{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": after}}]
    spec = {"targetRef": {"kind": "Mesh"}, "to": to}
    return {"type": "MeshTimeout", "mesh": "shop", "name": "t", "labels": {"author": author}, "spec": spec}


def seen(document: dict[str, Any]) -> tuple[str, str]:
    return document["labels"]["author"], document["spec"]["to"][0]["default"]["connectionTimeout"]


OPEN: dict[str, Callable[[Path], protocol.Store]] = {
    "memory": lambda folder: memory.MemoryStore(),
    "sqlite": lambda folder: sqlite.SqliteStore(folder / "kuma.db", kit.known_kinds()),
    "postgres": lambda folder: servers.shared().new_database().store(kit.known_kinds()),
}


@pytest.fixture(params=sorted(OPEN))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[protocol.Store]:
    opened = OPEN[request.param](tmp_path)
    yield opened
    await opened.close()


class Overtaken:
    """A store in front of which somebody else is faster, as often as `times` says: with a label, or a status alone."""

    def __init__(self, behind: protocol.Store, times: int, *, label: bool) -> None:
        self._behind = behind
        self.times = times
        self._label = label

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def update(self, wanted: res.Resource[Any]) -> res.Resource[Any]:
        if self.times and wanted.kind.name == "MeshTimeout":
            self.times -= 1
            current = await self._behind.get(wanted.key)
            labels = {**current.meta.labels, **({"author": "rival"} if self._label else {})}
            await self._behind.update(
                dataclasses.replace(current, meta=dataclasses.replace(current.meta, labels=labels))
            )
        return await self._behind.update(wanted)


async def shop(store: Any) -> kit.Api:
    api = kit.build(store=store)
    await api.load({"type": "Mesh", "name": "shop"})
    await api.put(PATH, timeout("first"))
    return api


async def test_of_two_writers_the_later_one_stays(store: protocol.Store) -> None:
    api = await shop(store)
    authors = [f"author-{number}" for number in range(20)]
    answers = await asyncio.gather(*(api.call("PUT", PATH, timeout(each)) for each in authors))
    assert {each.status for each in answers} <= {200, 409}
    won = [author for author, answer in zip(authors, answers, strict=True) if answer.status == 200]
    stored = await api.get(PATH)
    assert stored["labels"]["author"] in won
    assert seen(stored) == seen(timeout(stored["labels"]["author"]))


async def test_a_status_overtakes_nobody(store: protocol.Store) -> None:
    rival = Overtaken(store, 3, label=False)
    api = await shop(rival)
    assert (await api.call("PUT", PATH, timeout("ours"))).status == 200
    assert rival.times == 0
    assert seen(await api.get(PATH)) == seen(timeout("ours"))


async def test_who_is_overtaken_is_told(store: protocol.Store) -> None:
    api = await shop(Overtaken(store, 1, label=True))
    answer = await api.call("PUT", PATH, timeout("ours"))
    found = json.loads(answer.body)
    assert (answer.status, found["title"]) == (409, "Conflict")
    assert found["detail"] == 'resource conflict: type="MeshTimeout" name="t" mesh="shop"'
    assert seen(await api.get(PATH)) == ("rival", seen(timeout("first"))[1])
    assert (await api.call("PUT", PATH, timeout("ours"))).status == 200


async def test_of_two_that_create_one_creates(store: protocol.Store) -> None:
    api = kit.build(store=store)
    await api.load({"type": "Mesh", "name": "shop"})
    answers = await asyncio.gather(*(api.call("PUT", PATH, timeout(each)) for each in ("a", "b")))
    assert sorted(each.status for each in answers) in ([201, 409], [200, 201])  # at once, or one after the other
    assert seen(await api.get(PATH)) in (seen(timeout("a")), seen(timeout("b")))


async def test_two_control_planes_on_one_database() -> None:
    database = servers.shared().new_database()
    stores = [database.store(kit.known_kinds()) for _ in range(2)]
    try:
        one = await shop(stores[0])
        two = kit.build(store=stores[1])
        async with asyncio.timeout(10):
            async for change in stores[1].watch(0):
                if change.resource.kind.name == "MeshTimeout":
                    break
        authors = [f"author-{number}" for number in range(10)]
        planes = [one, two] * 5
        pairs = list(zip(authors, planes, strict=True))
        answers = await asyncio.gather(*(plane.call("PUT", PATH, timeout(author)) for author, plane in pairs))
        assert {each.status for each in answers} <= {200, 409}
        won = [author for author, answer in zip(authors, answers, strict=True) if answer.status == 200]
        # The last word is one more write: when it is acknowledged, its plane has seen all the others.
        assert (await two.call("PUT", PATH, timeout("last"))).status == 200
        assert won
        assert seen(await two.get(PATH)) == seen(timeout("last"))
    finally:
        for each in stores:
            await each.close()
