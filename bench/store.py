"""How fast the stores write and list: `python -m bench.store [--seconds S] [--writers N]`.

Every writer updates resources of its own, one after the other, and waits for each acknowledgement; for SQLite that
means a synced transaction. Lists are taken from 1,000 resources, right after a write, so nothing is cached. For
PostgreSQL a server of our own is started, with its defaults (so every commit is synced); beside the writes, the time is
taken until a second store on the same database shows a write.
"""

import argparse
import asyncio
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

from bench import figures
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.store import memory, protocol, sqlite
from tests.kit import postgres as servers


class NoteSpec(kind.Spec, frozen=True):
    text: str = ""


NOTE = kind.Kind("Note", "notes", kind.Scope.MESH, NoteSpec)
SIZE = 1_500
"""Characters a resource, about a Dataplane's JSON."""
LISTED = 1_000
OPENED = 11_000


async def writes_per_second(store: protocol.Store, writers: int, seconds: float) -> tuple[float, float]:
    """Single writes a second, and the median wait of one in milliseconds."""
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def write(number: int) -> None:
        current = await store.create(res.Resource(NOTE, res.Meta("bench", f"w{number}"), NoteSpec("")))
        while (started := time.perf_counter()) < end:
            spec = NoteSpec(str(started) + "x" * SIZE)
            current = await store.update(dataclasses.replace(current, spec=spec))
            waits.append(time.perf_counter() - started)
            await asyncio.sleep(0)

    await asyncio.gather(*(write(n) for n in range(writers)))
    return len(waits) / seconds, statistics.median(waits) * 1e3


async def list_latency(store: protocol.Store) -> float:
    """Milliseconds to list 1,000 resources after a write."""
    await store.apply(
        [
            protocol.Change(protocol.Op.CREATED, res.Resource(NOTE, res.Meta("many", f"n{n:04}"), NoteSpec("x" * SIZE)))
            for n in range(LISTED)
        ]
    )
    times = []
    for n in range(50):
        changed = await store.get(res.Key("Note", "many", f"n{n:04}"))
        await store.update(dataclasses.replace(changed, spec=NoteSpec(str(n))))
        started = time.perf_counter()
        assert len(await store.list(NOTE, "many")) == LISTED
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


async def measure(store: protocol.Store, writers: int, seconds: float) -> tuple[float, float, float]:
    """Writes a second, wait of a write in ms, list latency in ms."""
    rate, wait = await writes_per_second(store, writers, seconds)
    latency = await list_latency(store)
    await store.close()
    return rate, wait, latency


async def propagation(database: servers.Database) -> tuple[float, float]:
    """Median and largest milliseconds from the start of a write on one store to its change at another."""
    known = catalog.Catalog([NOTE])
    one, two = database.store(known), database.store(known)
    watch = two.watch()
    current = await one.create(res.Resource(NOTE, res.Meta("bench", "p"), NoteSpec("")))
    waits = []
    for n in range(200):
        started = time.perf_counter()
        writing = asyncio.create_task(one.update(dataclasses.replace(current, spec=NoteSpec(f"{n}" + "x" * SIZE))))
        while (await anext(watch)).resource.spec.text.rstrip("x") != str(n):
            continue
        waits.append((time.perf_counter() - started) * 1e3)
        current = await writing
    for each in (one, two):
        await each.close()
    return statistics.median(waits), max(waits)


async def opening(database: servers.Database) -> float:
    """Seconds to open a store of `OPENED` resources."""
    known = catalog.Catalog([NOTE])
    store = database.store(known)
    made = (res.Resource(NOTE, res.Meta("open", f"o{n}"), NoteSpec("x" * SIZE)) for n in range(OPENED))
    await store.apply([protocol.Change(protocol.Op.CREATED, each) for each in made])
    await store.close()
    started = time.perf_counter()
    store = database.store(known)
    taken = time.perf_counter() - started
    await store.close()
    return taken


async def measure_shared(server: servers.Server, writers: int, seconds: float) -> list[figures.Figure]:
    """What is measured of every store, and what only a shared one has."""
    found = named("postgres", await measure(server.new_database().store(catalog.Catalog([NOTE])), writers, seconds))
    median, longest = await propagation(server.new_database())
    return [
        *found,
        figures.Figure("store postgres: seen by another control plane, median", median, "ms"),
        figures.Figure("store postgres: seen by another control plane, longest", longest, "ms", 200.0),
        figures.Figure(f"store postgres: open {OPENED:,} resources", await opening(server.new_database()), "s", 5.0),
    ]


def named(name: str, measured: tuple[float, float, float]) -> list[figures.Figure]:
    """The figures of one store."""
    rate, wait, latency = measured
    return [
        figures.Figure(f"store {name}: writes", rate, "/s"),
        figures.Figure(f"store {name}: one write", wait, "ms"),
        figures.Figure(f"store {name}: list of {LISTED}", latency, "ms"),
    ]


def run(seconds: float = 2.0, writers: int = 64, within: str | None = None) -> list[figures.Figure]:
    """Write rate, wait and list latency of each store; SQLite's file goes to a folder in `within`.

    PostgreSQL is left out where no server can be had.
    """

    async def measure_memory() -> tuple[float, float, float]:
        return await measure(memory.MemoryStore(), writers, seconds)

    async def measure_sqlite(folder: str) -> tuple[float, float, float]:
        store = sqlite.SqliteStore(Path(folder) / "bench.db", catalog.Catalog([NOTE]))
        return await measure(store, writers, seconds)

    found = named("memory", asyncio.run(measure_memory()))
    with tempfile.TemporaryDirectory(dir=within) as folder:
        found += named("sqlite", asyncio.run(measure_sqlite(folder)))
    if servers.binaries() is not None:
        server = servers.Server("fsync = on")
        try:
            found += asyncio.run(measure_shared(server, writers, seconds))
        finally:
            server.close()
    return found


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--writers", type=int, default=64)
    options.add_argument("--folder", help="where the SQLite file goes (default: a temporary folder)")
    chosen = options.parse_args()
    print(figures.table(run(chosen.seconds, chosen.writers, chosen.folder)))


if __name__ == "__main__":
    main()
