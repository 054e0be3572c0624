"""What lies in the tables: rows in Kuma's form, rows that others write, rows that cannot be."""

import asyncio
import dataclasses

import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.store import postgres_connection as connecting
from tests.kit import postgres as servers
from tests.kit.notes import CATALOG, NoteStatus, note, shown, until, with_text


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
