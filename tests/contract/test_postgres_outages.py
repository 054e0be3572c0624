"""The server goes and comes, connections break at any moment: nothing acknowledged is lost, nothing hangs."""

import asyncio
import contextlib
import os
import signal
import time
from typing import Any

import psycopg
import pytest

from kuma.base import errors
from kuma.store import postgres_mirror, protocol
from tests.kit import gateway
from tests.kit import postgres as servers
from tests.kit.notes import CATALOG, Pair, note, put, shown, until, with_text


async def test_a_restart_of_the_server_is_waited_for_and_nothing_is_lost(server: servers.Server) -> None:
    database = server.new_database()
    one, two = database.store(CATALOG), database.store(CATALOG)
    watch = two.watch()
    kept = await one.create(note("before", "x"))
    await until(two, watch, "before", "x")
    await asyncio.to_thread(server.stop, "immediate")
    assert (await one.get(kept.key)) == kept
    writing = asyncio.create_task(one.create(note("during", "y")))
    await asyncio.to_thread(server.start)
    assert (await writing).spec.text == "y"
    await until(two, watch, "during", "y")
    await two.update(with_text(await two.get(kept.key), "z"))
    await until(one, one.watch(0), "before", "z")
    assert shown(one) == shown(two) == {"before": "z", "during": "y"}
    for store in (one, two):
        await store.close()


async def test_without_a_server_reads_go_on_and_writes_say_why(server: servers.Server) -> None:
    database = server.new_database()
    store = database.store(CATALOG, options={"connection_timeout": 1})
    kept = await store.create(note("kept"))
    await asyncio.to_thread(server.stop)
    with pytest.raises(errors.Unavailable, match=r"the database 127\.0\.0\.1:.* cannot be used") as refused:
        await store.create(note("lost"))
    assert servers.PASSWORD not in str(refused.value)
    assert await store.get(kept.key) == kept
    assert shown(store) == {"kept": ""}
    await asyncio.to_thread(server.start)
    await store.create(note("lost", "found"))
    assert shown(store) == {"kept": "", "lost": "found"}
    await store.close()


async def test_what_was_acknowledged_before_a_crash_is_there_after_it(server: servers.Server) -> None:
    """Writers never stop; the server is killed among them; every acknowledged text is found, or a later one."""
    database = server.new_database()
    store = database.store(CATALOG, options={"connection_timeout": 10})
    acknowledged: dict[str, int] = {}
    crashed = asyncio.Event()

    async def write(name: str) -> None:
        current = await store.create(note(name, "0"))
        n = 0
        while not (crashed.is_set() and n > acknowledged[f"{name} at crash"] + 3):
            n += 1
            current = await store.update(with_text(current, str(n)))
            acknowledged[name] = n
            if not crashed.is_set():
                acknowledged[f"{name} at crash"] = n

    names = [f"w{n}" for n in range(8)]
    writing = asyncio.gather(*(write(name) for name in names))
    watch = store.watch()
    async with asyncio.timeout(10):
        for _ in range(100):
            await anext(watch)
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.to_thread(server.start)
    crashed.set()
    async with asyncio.timeout(20):
        await writing
    with database.raw() as raw:
        found = dict(raw.execute("SELECT name, spec::json->>'text' FROM resources").fetchall())
    assert {name: int(found[name]) for name in names} == {name: acknowledged[name] for name in names}
    await store.close()


async def test_a_backend_that_is_killed_at_any_moment_harms_no_writer(pair: Pair, database: servers.Database) -> None:
    one, two = pair

    async def write(number: int) -> None:
        for n in range(40):
            await one.create(note(f"{number}-{n:02}"))

    def kill() -> None:
        with database.raw() as raw:
            for _ in range(12):
                raw.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'kuma-cp' AND datname = %s AND pid <> pg_backend_pid()",
                    (database.name,),
                )
                raw.execute("SELECT pg_sleep(0.02)")

    killing = asyncio.to_thread(kill)
    await asyncio.gather(killing, *(write(n) for n in range(4)))
    names = {f"{number}-{n:02}" for number in range(4) for n in range(40)}
    assert set(shown(one)) == names
    watch = two.watch(0)
    async with asyncio.timeout(10):
        while set(shown(two)) != names:
            await anext(watch)
    with database.raw() as raw:
        assert raw.execute("SELECT count(*), max(version) FROM resources").fetchone() == (160, 0)


async def test_a_server_that_falls_silent_is_not_waited_for_for_ever(server: servers.Server) -> None:
    """Stopped processes accept connections and never answer."""
    database = server.new_database()
    store = database.store(CATALOG, options={"connection_timeout": 1})
    await store.create(note("before"))
    with database.raw() as raw:
        sessions = [
            pid for (pid,) in raw.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'kuma-cp'")
        ]
        for pid in sessions:
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        try:
            # Either a fresh connection takes it, or its fate is unknown; both are answers.
            with contextlib.suppress(errors.Unavailable):
                await store.create(note("silent"))
            assert time.monotonic() - started < 5
        finally:
            for pid in sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
    with contextlib.suppress(errors.AlreadyExists):
        await store.create(note("silent"))
    assert set(shown(store)) == {"before", "silent"}
    await store.close()


async def test_a_partition_loses_nothing_and_ends_by_itself(database: servers.Database) -> None:
    """One control plane is cut off without a word while another writes; afterwards both show the same."""
    between = gateway.Gateway(database.server.port)
    impatient = {"connection_timeout": 1, "health_check_interval": 0.2}
    cut = database.store(CATALOG, options=impatient | {"port": between.port})
    free = database.store(CATALOG)
    try:
        watch = cut.watch()
        await cut.create(note("mine", "before"))
        between.block()
        with pytest.raises(errors.Unavailable):
            await cut.create(note("mine-too", "never acknowledged"))
        await free.create(note("theirs", "meanwhile"))
        await free.delete(note("mine").key)
        assert shown(cut) == {"mine": "before"}
        between.unblock()
        await until(cut, watch, "theirs", "meanwhile")
        await until(cut, watch, "mine", None)
        await put_or_create(cut, "mine-too", "acknowledged")
        await until(free, free.watch(0), "mine-too", "acknowledged")
        assert shown(cut) == shown(free) == {"theirs": "meanwhile", "mine-too": "acknowledged"}
    finally:
        between.unblock()
        await cut.close()
        await free.close()
        between.close()


async def put_or_create(store: protocol.Store, name: str, text: str) -> None:
    """What was not acknowledged may be there or not."""
    try:
        await store.create(note(name, text))
    except errors.AlreadyExists:
        await put(store, name, text)


async def test_a_transaction_that_broke_at_its_commit_is_looked_up(
    database: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the server has committed, and before it could say so."""
    store = database.store(CATALOG)
    execute = psycopg.AsyncConnection.execute
    broken = []

    async def execute_then_break(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        result = await execute(self, query, *arguments, **named)
        if query == "COMMIT" and not broken:
            broken.append(self)
            await self.close()
            raise psycopg.OperationalError("connection lost")
        return result

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute_then_break)
    stored = await store.create(note("n", "once"))
    assert len(broken) == 1
    assert await store.get(stored.key) == stored
    await store.update(with_text(stored, "twice"))
    await store.close()


async def test_a_defect_fails_one_write_and_not_the_store(
    database: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = database.store(CATALOG)
    watch = store.watch()
    wrote = postgres_mirror.Mirror.wrote

    def break_once(*_: Any) -> Any:
        monkeypatch.setattr(postgres_mirror.Mirror, "wrote", wrote)
        raise RuntimeError("a defect")

    monkeypatch.setattr(postgres_mirror.Mirror, "wrote", break_once)
    with pytest.raises(RuntimeError, match="a defect"):
        await store.create(note("n", "stored all the same"))
    await until(store, watch, "n", "stored all the same")
    await store.update(with_text(await store.get(note("n").key), "and goes on"))
    await store.close()


async def test_a_write_that_waits_when_the_store_closes_is_carried_out(database: servers.Database) -> None:
    store = database.store(CATALOG)
    writing = [asyncio.create_task(store.create(note(f"n{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert len(await asyncio.gather(*writing)) == 20
    with pytest.raises(errors.Unavailable, match="closed"):
        await store.create(note("late"))
    with database.raw() as raw:
        assert raw.execute("SELECT count(*) FROM resources").fetchone() == (20,)
