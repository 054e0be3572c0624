"""What only a store that control planes share must do: see each other's writes, outlive the server, lose nothing."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from kuma.base import errors
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.store import postgres, postgres_lease, postgres_mirror, protocol
from kuma.store import postgres_connection as connecting
from tests.kit import postgres as servers


class NoteSpec(kind.Spec, frozen=True):
    text: str = ""
    size: int = 0


class NoteStatus(kind.Spec, frozen=True):
    seen: bool = False


NOTE = kind.Kind("Note", "notes", kind.Scope.MESH, NoteSpec, status=NoteStatus)
OTHER = kind.Kind("Other", "others", kind.Scope.MESH, NoteSpec)
CATALOG = catalog.Catalog([NOTE, OTHER])
IN_TIME = 0.2
"""Seconds within which every control plane hears of a write."""


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


@pytest.fixture
def database() -> servers.Database:
    return servers.shared().new_database()


@pytest.fixture
async def pair(database: servers.Database) -> AsyncIterator[tuple[postgres.PostgresStore, postgres.PostgresStore]]:
    stores = database.store(CATALOG), database.store(CATALOG)
    yield stores
    for each in stores:
        await each.close()


@pytest.fixture
def server() -> Iterator[servers.Server]:
    """A server that the test may stop."""
    own = servers.Server()
    yield own
    own.close()


Pair = tuple[postgres.PostgresStore, postgres.PostgresStore]

# Two control planes


async def test_each_sees_what_the_other_writes_in_time_and_in_order(pair: Pair) -> None:
    one, two = pair
    watch = two.watch()
    waits = []
    for n in range(20):
        stored = await one.create(note(f"n{n:02}", "x"))
        waits.append(await until(two, watch, f"n{n:02}", "x"))
        updated = await one.update(with_text(stored, "y"))
        waits.append(await until(two, watch, f"n{n:02}", "y"))
        assert content(await two.get(stored.key)) == content(updated)
    await one.delete(note("n07").key)
    waits.append(await until(two, watch, "n07", None))
    assert max(waits) < IN_TIME
    assert shown(one) == shown(two)


async def test_an_applied_batch_reaches_the_other_whole(pair: Pair) -> None:
    one, two = pair
    seen: set[int] = set()
    watch = two.watch()
    await one.apply([protocol.Change(protocol.Op.CREATED, note(f"n{n:03}")) for n in range(300)])
    async with asyncio.timeout(5):
        while len(shown(two)) < 300:
            await anext(watch)
            seen.add(len(shown(two)))
    assert seen <= {300}


async def test_what_was_owned_goes_first_at_the_other_too(pair: Pair) -> None:
    one, two = pair
    root = await one.create(note("root"))
    child = await one.create(note("child"), owner=root.key)
    await one.create(note("grandchild"), owner=child.key)
    watch = two.watch()
    await until(two, watch, "grandchild", "")
    watch = two.watch()
    await one.delete(root.key)
    async with asyncio.timeout(5):
        gone = [(await anext(watch)).resource.meta.name for _ in range(3)]
    assert gone == ["grandchild", "child", "root"]
    assert shown(one) == shown(two) == {}


async def test_of_two_writers_one_wins_and_one_is_told(pair: Pair) -> None:
    one, two = pair
    watch = two.watch()
    first = await one.create(note("n", "0"))
    await until(two, watch, "n", "0")
    other = await two.get(first.key)
    answers = await asyncio.gather(
        one.update(with_text(first, "one")), two.update(with_text(other, "two")), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in answers) == ["Conflict", "Resource"]
    winner = next(each for each in answers if isinstance(each, res.Resource))
    for store in pair:
        await until(store, store.watch(0), "n", winner.spec.text)
    # The loser knows better now, and its next try holds.
    await asyncio.gather(*(put(store, "n", "again") for store in pair))


async def put(store: protocol.Store, name: str, text: str) -> None:
    """Reads, changes and writes until nobody was faster."""
    while True:
        try:
            current = await store.get(note(name).key)
            await store.update(with_text(current, text))
            return
        except errors.Conflict:
            continue


async def test_a_create_that_lost_the_race_reads_the_winner_before_it_answers(pair: Pair) -> None:
    one, two = pair
    answers = await asyncio.gather(
        *(store.create(note("n", str(n))) for n, store in enumerate(pair * 5)), return_exceptions=True
    )
    assert [type(each).__name__ for each in answers].count("Resource") == 1
    assert {type(each) for each in answers if isinstance(each, Exception)} == {errors.AlreadyExists}
    assert shown(one) == shown(two)
    with pytest.raises(errors.AlreadyExists):
        await two.create(note("n"))


async def test_a_version_does_not_outlive_its_resource(pair: Pair) -> None:
    """Rows count from 0 again after a deletion; who read the old one must not overwrite the new one."""
    one, two = pair
    watch = two.watch()
    stale = await one.create(note("n", "old"))
    await until(two, watch, "n", "old")
    await two.delete(stale.key)
    await two.create(note("n", "new"))
    with pytest.raises(errors.Conflict):
        await one.update(with_text(stale, "wrong"))
    assert (await one.get(stale.key)).spec.text == "new"


async def test_many_writers_on_both_leave_the_same_behind(pair: Pair, database: servers.Database) -> None:
    async def write(store: protocol.Store, number: int) -> None:
        for n in range(15):
            name = f"n{(number + n) % 4}"
            try:
                if n % 5 == 4:
                    await store.delete(note(name).key)
                else:
                    await put(store, name, f"{number}.{n}")
            except errors.NotFound:
                with contextlib.suppress(errors.AlreadyExists):
                    await store.create(note(name, f"{number}.{n}"))

    await asyncio.gather(*(write(store, n) for n, store in enumerate(pair * 3)))
    third = database.store(CATALOG)
    for store in pair:
        await store.create(note("end-of-" + str(pair.index(store)), ""))
    for store, others in zip(pair, ("end-of-1", "end-of-0"), strict=True):
        await until(store, store.watch(0), others, "")
    expected = dict(shown(third)) | {"end-of-0": "", "end-of-1": ""}
    assert shown(pair[0]) == shown(pair[1]) == expected
    await third.close()


# The server goes and comes


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


# What lies in the tables


async def test_rows_have_kumas_form(database: servers.Database) -> None:
    store = database.store(CATALOG)
    owner = await store.create(note("owner", "wörds"))
    owned = await store.create(dataclasses.replace(note("owned"), status=NoteStatus(True)), owner=owner.key)
    await store.update(with_text(owned, "x"))
    await store.close()
    columns = "name, mesh, type, version, spec, owner_name, owner_mesh, owner_type, labels::text, status::text"
    with database.raw() as raw:
        found = raw.execute(f"SELECT {columns} FROM resources ORDER BY name").fetchall()
        times = raw.execute("SELECT creation_time, modification_time FROM resources WHERE name = 'owned'").fetchone()
    assert found == [
        ("owned", "m", "Note", 1, '{"text":"x","size":1}', "owner", "m", "Note", '{"a": "b"}', '{"seen": true}'),
        ("owner", "m", "Note", 0, '{"text":"wörds","size":5}', None, None, None, '{"a": "b"}', "{}"),
    ]
    assert times is not None
    assert times[0] < times[1]
    assert abs(times[1].replace(tzinfo=owner.meta.creation_time.tzinfo) - owner.meta.creation_time).total_seconds() < 60


async def test_rows_that_somebody_else_writes_are_followed(database: servers.Database) -> None:
    """As a Kuma control plane writes: labels may be null, the version grows by one, deletions cascade."""
    store = database.store(CATALOG)
    watch = store.watch()
    with database.raw() as raw:
        raw.execute("""INSERT INTO resources (name, mesh, type, version, spec, labels)
                       VALUES ('n', 'm', 'Note', 0, '{"text":"a"}', 'null')""")
        await until(store, watch, "n", "a")
        raw.execute("""UPDATE resources SET spec = '{"text":"b"}', version = 1, modification_time = now()""")
        await until(store, watch, "n", "b")
        mine = await store.update(with_text(await store.get(note("n").key), "c"))
        assert raw.execute("SELECT version FROM resources").fetchone() == (2,)
        assert dict(mine.meta.labels) == {}
        raw.execute("INSERT INTO resources (name, mesh, type, version) VALUES ('x', 'm', 'Unknown', 0)")
        raw.execute("DELETE FROM resources WHERE name = 'n'")
        await until(store, watch, "n", None)
    await store.close()


async def test_a_row_that_cannot_be_read_keeps_what_was_there_and_refuses_the_next_start(
    database: servers.Database,
) -> None:
    store = database.store(CATALOG)
    watch = store.watch()
    await store.create(note("n", "good"))
    with database.raw() as raw:
        raw.execute("""UPDATE resources SET spec = '{"size": "x"}', version = 1""")
        raw.execute("""INSERT INTO resources (name, mesh, type, version, spec) VALUES ('z', 'm', 'Note', 0, '{}')""")
    await until(store, watch, "z", "")
    assert shown(store) == {"n": "good", "z": ""}
    await store.close()
    with pytest.raises(errors.Unavailable, match='cannot be read: type="Note" name="n" mesh="m"'):
        database.store(CATALOG)


async def test_writes_that_no_notification_told_of_are_found_by_comparison(database: servers.Database) -> None:
    store = database.store(CATALOG, options={"health_check_interval": 0.2})
    watch = store.watch()
    with database.raw() as raw:
        raw.execute("SET session_replication_role = replica")  # triggers do not fire
        raw.execute("""INSERT INTO resources (name, mesh, type, version, spec) VALUES ('n', 'm', 'Note', 0, '{}')""")
    await until(store, watch, "n", "")
    await store.close()


async def test_what_the_database_cannot_hold_is_refused_alone(database: servers.Database) -> None:
    store = database.store(CATALOG)
    bad = dataclasses.replace(note("bad"), meta=res.Meta("m", "bad", {"a": "\0"}))
    answers = await asyncio.gather(
        store.create(note("good")),
        store.create(bad),
        store.create(note("n" * 300)),
        store.create(note("nul\0")),
        return_exceptions=True,
    )
    assert [type(each) for each in answers] == [res.Resource, *[errors.BadRequest] * 3]
    assert shown(store) == {"good": ""}
    await store.close()


async def test_a_replica_spares_the_primary_and_a_lagging_one_is_corrected(
    database: servers.Database, server: servers.Server
) -> None:
    """The replica lacks a row, has one that is gone, and an old state of a third."""
    behind = server.new_database(database.name)
    for place, texts in ((database, {"new": "1", "same": "1", "old": "2"}), (behind, {"gone": "1", "old": "1"})):
        with place.raw() as raw:
            for name, text in texts.items():
                raw.execute(
                    "INSERT INTO resources (name, mesh, type, version, spec) VALUES (%s, 'm', 'Note', %s, %s)",
                    (name, int(text), f'{{"text":"{text}"}}'),
                )
    lagging = connecting.Replica("127.0.0.1", server.port, 100)
    store = database.store(CATALOG, options={"replica": lagging})
    assert shown(store) == {"new": "1", "same": "1", "old": "2"}
    await store.close()


async def test_a_replica_that_is_not_there_is_done_without(database: servers.Database) -> None:
    nobody = connecting.Replica("127.0.0.1", servers.free_port(), 100)
    store = database.store(CATALOG, options={"replica": nobody})
    await store.create(note("n"))
    assert shown(store) == {"n": ""}
    await store.close()


# Who leads


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def leases(pair: Pair, clock: Clock) -> tuple[postgres_lease.Lease, postgres_lease.Lease]:
    one, two = (
        postgres_lease.Lease(store._options, store._transactions, name, clock)
        for store, name in zip(pair, ("one", "two"), strict=True)
    )
    return one, two


async def test_one_leads_and_the_other_takes_over_when_it_is_gone_or_silent(
    pair: Pair, database: servers.Database
) -> None:
    clock = Clock()
    one, two = leases(pair, clock)
    assert [await one.hold(), await two.hold(), await one.hold()] == [True, False, True]
    with database.raw() as raw:
        assert raw.execute("SELECT name, owner FROM locks").fetchall() == [("kuma-cp-lock", "one")]
    await one.release()
    assert [await two.hold(), await one.hold()] == [True, False]
    clock.seconds += 4.9
    assert await one.hold() is False
    clock.seconds += 0.2
    assert await one.hold() is True
    assert await two.hold() is False


async def test_a_lead_that_moves_on_is_not_taken(pair: Pair) -> None:
    clock = Clock()
    one, two = leases(pair, clock)
    for _ in range(10):
        assert await one.hold() is True
        assert await two.hold() is False
        clock.seconds += 1


async def test_of_two_that_see_a_dead_leader_one_takes_over(pair: Pair, database: servers.Database) -> None:
    """The row is as another control plane leaves it when it is killed."""
    with database.raw() as raw:
        raw.execute("INSERT INTO locks VALUES ('kuma-cp-lock', nextval('locks_rvn'), '', 'dead')")
    clock = Clock()
    both = leases(pair, clock)
    assert await asyncio.gather(*(each.hold() for each in both)) == [False, False]
    clock.seconds += 5
    assert sorted(await asyncio.gather(*(each.hold() for each in both))) == [False, True]
