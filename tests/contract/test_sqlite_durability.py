"""What only a store with a file must do: survive, refuse what it cannot read, and let nobody else write."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kuma.base import errors
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.store import database, protocol, sqlite


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


def opened(path: Path) -> sqlite.SqliteStore:
    return sqlite.SqliteStore(path, CATALOG)


async def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    owner = await store.create(note("owner", "wörds"))
    owned = await store.create(dataclasses.replace(note("owned"), status=NoteStatus(True)), owner=owner.key)
    gone = await store.create(note("gone"))
    await store.delete(gone.key)
    revision = store.revision()
    await store.close()

    again = opened(tmp_path / "kuma.db")
    assert list(await again.list(NOTE)) == [owned, owner]
    assert again.revision() == revision == 4
    await again.delete(owner.key)
    assert list(await again.list(NOTE)) == []
    await again.close()


def modes_in(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "kuma.db"
    path.touch(0o644)
    store = opened(path)
    await store.create(note("n"))
    modes = modes_in(tmp_path)
    assert set(modes) >= {"kuma.db", "kuma.db-wal"}
    assert set(modes.values()) == {0o600}
    await store.close()


async def test_a_second_control_plane_is_refused_and_told_who_holds_the_file(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    with pytest.raises(errors.Unavailable, match=f"in use by another control plane .process {os.getpid()}"):
        opened(tmp_path / "kuma.db")
    await store.close()
    await opened(tmp_path / "kuma.db").close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await opened(tmp_path / "kuma.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "kuma.db")) as raw:
        raw.execute("PRAGMA user_version = 999")
    with pytest.raises(errors.Unavailable, match="schema version 999, newer than version"):
        opened(tmp_path / "kuma.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kuma.db").write_text("these are my notes, not a database, and they are long enough to be one\n" * 20)
    with pytest.raises(errors.Unavailable, match="file is not a database"):
        opened(tmp_path / "kuma.db")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match=r"absent/kuma\.db cannot be used"):
        opened(tmp_path / "absent" / "kuma.db")


async def test_a_resource_that_cannot_be_read_is_named_and_nothing_is_dropped(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    await store.create(note("broken"))
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "kuma.db")) as raw, raw:
        raw.execute('UPDATE resources SET spec = \'{"size": "x"}\'')
    with pytest.raises(errors.Unavailable, match='cannot be read: type="Note" name="broken" mesh="m"'):
        opened(tmp_path / "kuma.db")


async def test_rows_of_kinds_that_this_program_lacks_stay_in_the_file(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    other = await store.create(note("o", of=OTHER))
    await store.close()
    older = sqlite.SqliteStore(tmp_path / "kuma.db", catalog.Catalog([NOTE]))
    await older.create(note("n"))
    await older.close()
    newer = opened(tmp_path / "kuma.db")
    assert await newer.get(other.key) == other
    await newer.close()


async def test_a_write_that_the_disk_refuses_is_not_acknowledged_nor_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "kuma.db")
    kept = await store.create(note("kept"))
    watch = store.watch()
    commit = database.Database.commit

    def refuse(*_: object) -> None:
        raise errors.Unavailable("disk full")

    monkeypatch.setattr(database.Database, "commit", refuse)
    answers = await asyncio.gather(
        store.create(note("lost")),
        store.delete(kept.key),
        store.create(note("kept")),
        store.create(note("lost")),
        return_exceptions=True,
    )
    assert [str(each) for each in answers] == ["disk full"] * 4
    assert list(await store.list(NOTE)) == [kept]
    monkeypatch.setattr(database.Database, "commit", commit)
    again = await store.create(note("lost"))
    assert (await anext(watch)) == protocol.Change(protocol.Op.CREATED, again, 2)
    await store.close()


async def test_a_cancelled_writer_does_not_disturb_the_others(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    writes = [asyncio.create_task(store.create(note(str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    writes[2].cancel()
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in answers] == [False, False, True, False, False]
    assert {each.meta.name for each in await store.list(NOTE)} >= {"0", "1", "3", "4"}
    await store.close()


async def test_a_closed_store_refuses_to_write(tmp_path: Path) -> None:
    store = opened(tmp_path / "kuma.db")
    await store.close()
    await store.close()
    with pytest.raises(errors.Unavailable, match="closed"):
        await store.create(note("late"))


# kill -9 in the middle of writes

WRITERS = 8


async def contents_of(path: Path) -> tuple[dict[str, res.Resource[NoteSpec]], int]:
    store = opened(path)
    held = {each.meta.name: each for each in await store.list(NOTE)}
    revision = store.revision()
    await store.close()
    return held, revision


async def write_for_ever(path: Path) -> None:
    """Pairs of resources that must stand or fall together; prints each step once it was acknowledged."""
    store = opened(path)

    async def write(writer: int) -> None:
        try:
            current = (await store.get(res.Key("Note", "m", f"left-{writer}"))).spec.size
        except errors.NotFound:
            current = 0
        while True:
            current += 1
            text = "x" * (current % 3000)
            await store.apply(
                [
                    protocol.Change(
                        protocol.Op.UPDATED,
                        res.Resource(NOTE, res.Meta("m", f"{side}-{writer}"), NoteSpec(text, current)),
                    )
                    for side in ("left", "right")
                ]
            )
            os.write(1, f"{writer} {current}\n".encode())

    await asyncio.gather(*(write(n) for n in range(WRITERS)))


def test_nothing_acknowledged_is_lost_and_nothing_is_half_written_on_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "kuma.db"
    acknowledged = dict.fromkeys(range(WRITERS), 0)
    for life in range(8):
        command = [sys.executable, __file__, str(path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for count, line in enumerate(child.stdout):
            writer, number = map(int, line.split())
            acknowledged[writer] = number
            if count == 100 + 37 * life:
                child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL

        with contextlib.closing(sqlite3.connect(path)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        held, revision = asyncio.run(contents_of(path))
        assert revision >= max(each.meta.version for each in held.values())
        for writer, number in acknowledged.items():
            if f"left-{writer}" not in held:
                assert number == 0
                assert f"right-{writer}" not in held
                continue
            left, right = held[f"left-{writer}"], held[f"right-{writer}"]
            assert left.spec == right.spec
            assert left.spec.size >= number
            assert right.meta.version == left.meta.version + 1


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))
