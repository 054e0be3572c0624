"""What every store must do. One row per store in `OPEN`; everything below runs against each."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuma.base import errors
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.store import memory, protocol, sqlite
from tests.kit import postgres as servers


class MeshSpec(kind.Spec, frozen=True):
    note: str = ""


class PolicySpec(kind.Spec, frozen=True):
    rules: tuple[str, ...] = ()


class PolicyStatus(kind.Spec, frozen=True):
    seen: int = 0


MESH = kind.Kind("Mesh", "meshes", kind.Scope.GLOBAL, MeshSpec)
POLICY = kind.Kind("Policy", "policies", kind.Scope.MESH, PolicySpec, status=PolicyStatus)
CATALOG = catalog.Catalog([MESH, POLICY])
START = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


Opener = Callable[..., protocol.Store]


def open_postgres(_: Path) -> Opener:
    database = servers.shared().new_database()
    return lambda **options: database.store(CATALOG, Clock(), **options)


OPEN: dict[str, Callable[[Path], Opener]] = {
    "memory": lambda _: lambda **options: memory.MemoryStore(Clock(), **options),
    "sqlite": lambda folder: lambda **options: sqlite.SqliteStore(folder / "kuma.db", CATALOG, Clock(), **options),
    "postgres": open_postgres,
}


@pytest.fixture(params=sorted(OPEN))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return OPEN[request.param](tmp_path)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[protocol.Store]:
    opened = opener()
    yield opened
    await opened.close()


def mesh(name: str, note: str = "") -> res.Resource[MeshSpec]:
    return res.Resource(MESH, res.Meta("", name), MeshSpec(note))


def policy(mesh_name: str, name: str, *rules: str, labels: dict[str, str] | None = None) -> res.Resource[PolicySpec]:
    return res.Resource(POLICY, res.Meta(mesh_name, name, labels or {}), PolicySpec(rules))


def with_rules(stored: res.Resource[Any], *rules: str) -> res.Resource[Any]:
    return dataclasses.replace(stored, spec=PolicySpec(rules))


async def take(watch: AsyncIterator[protocol.Change], count: int) -> list[protocol.Change]:
    return [await asyncio.wait_for(anext(watch), 5) for _ in range(count)]


# Single writes


async def test_a_created_resource_is_returned_stamped_and_can_be_read(store: protocol.Store) -> None:
    created = await store.create(policy("m", "p", "a", labels={"team": "x"}))
    assert created.meta == res.Meta(
        "m", "p", {"team": "x"}, START + timedelta(seconds=1), START + timedelta(seconds=1), created.meta.version
    )
    assert created.meta.version == store.revision() == 1
    assert await store.get(created.key) == created


async def test_absent_resources_are_not_found_in_kumas_words(store: protocol.Store) -> None:
    with pytest.raises(errors.NotFound, match=r'^resource not found: type="Policy" name="n" mesh="m"$'):
        await store.get(res.Key("Policy", "m", "n"))
    with pytest.raises(errors.NotFound):
        await store.update(policy("m", "n"))
    with pytest.raises(errors.NotFound):
        await store.delete(res.Key("Policy", "m", "n"))
    assert store.revision() == 0


async def test_a_key_is_taken_once(store: protocol.Store) -> None:
    await store.create(policy("m", "p", "first"))
    with pytest.raises(errors.AlreadyExists, match=r'^resource already exists: type="Policy" name="p" mesh="m"$'):
        await store.create(policy("m", "p", "second"))
    assert (await store.get(res.Key("Policy", "m", "p"))).spec.rules == ("first",)


async def test_an_update_keeps_the_creation_time_and_moves_the_rest(store: protocol.Store) -> None:
    created = await store.create(policy("m", "p"))
    updated = await store.update(
        dataclasses.replace(
            with_rules(created, "new"),
            meta=dataclasses.replace(created.meta, labels={"l": "v"}, creation_time=res.ZERO_TIME),
            status=PolicyStatus(7),
        )
    )
    assert updated.meta.creation_time == created.meta.creation_time
    assert updated.meta.modification_time > created.meta.modification_time
    assert updated.meta.version > created.meta.version
    assert (updated.meta.labels, updated.spec.rules, updated.status) == ({"l": "v"}, ("new",), PolicyStatus(7))
    assert await store.get(created.key) == updated


async def test_an_update_from_a_stale_version_conflicts(store: protocol.Store) -> None:
    created = await store.create(policy("m", "p"))
    await store.update(with_rules(created, "winner"))
    with pytest.raises(errors.Conflict, match=r'^resource conflict: type="Policy" name="p" mesh="m"$'):
        await store.update(with_rules(created, "loser"))
    assert (await store.get(created.key)).spec.rules == ("winner",)


async def test_of_concurrent_updates_from_one_version_exactly_one_wins(store: protocol.Store) -> None:
    created = await store.create(policy("m", "p"))
    answers = await asyncio.gather(
        *(store.update(with_rules(created, str(n))) for n in range(20)), return_exceptions=True
    )
    winners = [each for each in answers if not isinstance(each, errors.Conflict)]
    assert len(winners) == 1
    assert await store.get(created.key) == winners[0]


async def test_of_concurrent_creates_exactly_one_wins(store: protocol.Store) -> None:
    answers = await asyncio.gather(*(store.create(policy("m", "p", str(n))) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(each, errors.AlreadyExists) for each in answers) == 19


async def test_a_deleted_key_can_be_taken_again_and_starts_anew(store: protocol.Store) -> None:
    first = await store.create(policy("m", "p"))
    await store.delete(first.key)
    with pytest.raises(errors.NotFound):
        await store.get(first.key)
    second = await store.create(policy("m", "p"))
    assert second.meta.creation_time > first.meta.creation_time
    with pytest.raises(errors.Conflict):
        await store.update(first)


# Lists


async def test_lists_are_ordered_by_mesh_then_name_and_filtered_by_kind_and_mesh(store: protocol.Store) -> None:
    names = [("b", "z"), ("a", "y"), ("b", "a"), ("a", "Z"), ("c", "é"), ("a", "x-1"), ("a", "x.1")]
    await store.create(mesh("a"))
    for where, name in names:
        await store.create(policy(where, name))
    listed = [(each.meta.mesh, each.meta.name) for each in await store.list(POLICY)]
    assert listed == sorted(names)
    assert [each.meta.name for each in await store.list(POLICY, "a")] == ["Z", "x-1", "x.1", "y"]
    assert list(await store.list(POLICY, "none")) == []
    await store.delete(res.Key("Policy", "a", "x-1"))
    assert [each.meta.name for each in await store.list(POLICY, "a")] == ["Z", "x.1", "y"]


async def test_a_list_that_was_taken_does_not_change(store: protocol.Store) -> None:
    await store.create(policy("m", "a"))
    before = await store.list(POLICY)
    await store.create(policy("m", "b"))
    assert [each.meta.name for each in before] == ["a"]


# Owners


async def test_deleting_an_owner_deletes_what_it_owns_transitively(store: protocol.Store) -> None:
    root = await store.create(mesh("root"))
    child = await store.create(policy("root", "child"), owner=root.key)
    await store.create(policy("root", "grandchild"), owner=child.key)
    bystander = await store.create(policy("root", "bystander"))
    watch = store.watch()
    await store.delete(root.key)
    assert list(await store.list(POLICY)) == [bystander]
    changes = await take(watch, 3)
    assert [(each.op, each.resource.meta.name) for each in changes] == [
        (protocol.Op.DELETED, "grandchild"),
        (protocol.Op.DELETED, "child"),
        (protocol.Op.DELETED, "root"),
    ]
    assert changes[-1].revision == store.revision()


async def test_an_owner_must_exist(store: protocol.Store) -> None:
    with pytest.raises(errors.NotFound, match='type="Mesh" name="gone" mesh=""'):
        await store.create(policy("m", "p"), owner=res.Key("Mesh", "", "gone"))
    assert list(await store.list(POLICY)) == []


async def test_an_update_keeps_the_owner(store: protocol.Store) -> None:
    root = await store.create(mesh("root"))
    child = await store.create(policy("root", "child"), owner=root.key)
    await store.update(with_rules(child, "x"))
    await store.delete(root.key)
    assert list(await store.list(POLICY)) == []


async def test_what_was_deleted_is_no_longer_owned(store: protocol.Store) -> None:
    root = await store.create(mesh("root"))
    child = await store.create(policy("root", "child"), owner=root.key)
    await store.delete(child.key)
    await store.create(policy("root", "child"))
    await store.delete(root.key)
    assert [each.meta.name for each in await store.list(POLICY)] == ["child"]


# Apply


def created(resource: res.Resource[Any], owner: res.Key | None = None) -> protocol.Change:
    return protocol.Change(protocol.Op.CREATED, resource, owner=owner)


def deleted(resource: res.Resource[Any]) -> protocol.Change:
    return protocol.Change(protocol.Op.DELETED, resource)


async def test_apply_carries_out_all_in_order_and_again_without_effect(store: protocol.Store) -> None:
    old = await store.create(policy("m", "old", "o"))
    changes = [
        created(mesh("m")),
        created(policy("m", "p", "1"), owner=res.Key("Mesh", "", "m")),
        protocol.Change(protocol.Op.UPDATED, policy("m", "old", "n")),
        deleted(policy("m", "absent")),
    ]
    await store.apply(changes)
    assert (await store.get(old.key)).spec.rules == ("n",)
    assert (await store.get(old.key)).meta.creation_time == old.meta.creation_time
    revision = store.revision()
    await store.apply(changes)
    assert store.revision() == revision
    await store.delete(res.Key("Mesh", "", "m"))
    assert [each.meta.name for each in await store.list(POLICY)] == ["old"]


async def test_apply_is_all_or_nothing(store: protocol.Store) -> None:
    root = await store.create(mesh("root"))
    kept = await store.create(policy("m", "kept", "k"), owner=root.key)
    revision = store.revision()
    watch = store.watch()
    with pytest.raises(errors.NotFound):
        await store.apply(
            [
                created(policy("m", "new")),
                protocol.Change(protocol.Op.UPDATED, policy("m", "kept", "changed")),
                deleted(root),
                created(policy("m", "kept", "again")),
                created(policy("m", "other"), owner=res.Key("Mesh", "", "gone")),
            ]
        )
    assert list(await store.list(POLICY)) == [kept]
    assert list(await store.list(MESH)) == [root]
    assert store.revision() == revision
    marker = await store.create(mesh("marker"))
    assert [each.resource for each in await take(watch, 1)] == [marker]
    await store.delete(root.key)
    assert list(await store.list(POLICY)) == []


async def test_applied_changes_become_visible_together(store: protocol.Store) -> None:
    counts: set[int] = set()
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            counts.add(len(await store.list(POLICY)))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await store.apply([created(policy("m", f"p{n}")) for n in range(100)])
    done.set()
    await looking
    assert counts <= {0, 100}


async def test_an_empty_apply_is_fine(store: protocol.Store) -> None:
    await store.apply([])
    assert store.revision() == 0


# Watching


async def test_a_watch_sees_what_was_written_after_the_call_even_before_its_first_step(store: protocol.Store) -> None:
    await store.create(policy("m", "before"))
    watch = store.watch()
    after = await store.create(policy("m", "after"))
    updated = await store.update(with_rules(after, "x"))
    await store.delete(after.key)
    assert await take(watch, 3) == [
        protocol.Change(protocol.Op.CREATED, after, 2),
        protocol.Change(protocol.Op.UPDATED, updated, 3),
        protocol.Change(protocol.Op.DELETED, updated, 4),
    ]


async def test_a_watch_replays_from_a_revision(store: protocol.Store) -> None:
    for n in range(5):
        await store.create(policy("m", str(n)))
    assert [each.revision for each in await take(store.watch(2), 3)] == [3, 4, 5]


async def test_a_revision_of_the_future_conflicts(store: protocol.Store) -> None:
    with pytest.raises(errors.Conflict):
        await anext(store.watch(99))


async def test_a_watcher_that_lags_beyond_the_window_is_told(opener: Opener) -> None:
    store = opener(window=10)
    slow, reader = store.watch(), store.watch()
    for n in range(30):
        await store.create(policy("m", f"{n:02}"))
        assert (await take(reader, 1))[0].resource.meta.name == f"{n:02}"
    with pytest.raises(errors.Conflict, match="list again"):
        await anext(slow)
    with pytest.raises(errors.Conflict):
        await anext(store.watch(store.revision() - 11))
    assert len(await take(store.watch(store.revision() - 10), 10)) == 10
    await store.close()


async def test_what_every_watcher_has_seen_is_let_go(store: protocol.Store) -> None:
    watch = store.watch()
    for n in range(600):
        await store.create(policy("m", str(n)))
        await anext(watch)
    await store.create(policy("m", "last"))
    with pytest.raises(errors.Conflict):
        await anext(store.watch(1))
    assert [change.revision for change in await take(store.watch(store.revision() - 200), 200)][-1] == 601


async def test_a_waiting_watcher_keeps_up_with_a_writer_that_never_pauses(opener: Opener) -> None:
    store = opener(window=8)

    async def read() -> list[int]:
        return [(await anext(watch)).revision for _ in range(500)]

    watch = store.watch()
    reading = asyncio.create_task(read())
    for n in range(500):
        await store.create(policy("m", str(n)))
    assert await reading == list(range(1, 501))
    await store.close()


async def test_one_burst_larger_than_the_window_reaches_watchers_whole(opener: Opener) -> None:
    store = opener(window=8)
    watch = store.watch()
    await store.apply([created(policy("m", f"{n:03}")) for n in range(100)])
    assert [each.revision for each in await take(watch, 100)] == list(range(1, 101))
    await store.close()


async def test_list_and_watch_together_lose_and_repeat_nothing(store: protocol.Store) -> None:
    """Readers join at any moment of concurrent writing and must end with the writer's state."""
    writers, each_writes = 8, 25
    total = writers * each_writes

    async def write(number: int) -> None:
        dice = random.Random(number)
        for n in range(each_writes):
            name = f"{number}-{dice.randrange(5)}"
            key = res.Key("Policy", "m", name)
            try:
                current = await store.get(key)
            except errors.NotFound:
                await store.create(policy("m", name, str(n)))
                continue
            if dice.random() < 0.3:
                await store.delete(key)
            else:
                await store.update(with_rules(current, str(n)))

    async def follow(delay: int) -> dict[str, Any]:
        for _ in range(delay):
            await asyncio.sleep(0)
        seen = {each.meta.name: each for each in await store.list(POLICY)}
        position = store.revision()
        watch = store.watch(position)
        while position < total:
            change = (await take(watch, 1))[0]
            assert change.revision == position + 1
            position = change.revision
            if change.op is protocol.Op.DELETED:
                assert seen.pop(change.resource.meta.name) == change.resource
            else:
                assert (change.op is protocol.Op.UPDATED) == (change.resource.meta.name in seen)
                seen[change.resource.meta.name] = change.resource
        return seen

    followers = [asyncio.create_task(follow(17 * n)) for n in range(6)]
    await asyncio.gather(*(write(n) for n in range(writers)))
    final = {each.meta.name: each for each in await store.list(POLICY)}
    for follower in followers:
        assert await follower == final


async def test_closing_ends_watches_after_what_there_was(opener: Opener) -> None:
    store = opener()
    watch = store.watch()
    waiting = store.watch()
    waits: Awaitable[object] = asyncio.ensure_future(anext(waiting, None))
    stored = await store.create(policy("m", "p"))
    assert (await waits).resource == stored  # type: ignore[attr-defined]
    await store.close()
    assert [change.resource async for change in watch] == [stored]
    assert [change async for change in waiting] == []


# Any sequence, against a model

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "own", "update", "stale", "delete", "apply"]), NAMES, NAMES, st.integers(0, 3)
    ),
    max_size=25,
)


class Model:
    """What a store should hold: rules, version and owner by name."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, int, str | None]] = {}
        self.revision = 0

    def put(self, name: str, rule: str, owner: str | None) -> None:
        self.revision += 1
        self.held[name] = (rule, self.revision, owner)

    def drop(self, name: str) -> None:
        for other in [each for each, (_, _, owner) in self.held.items() if owner == name]:
            if other in self.held:
                self.drop(other)
        del self.held[name]
        self.revision += 1


async def step(store: protocol.Store, model: Model, action: str, name: str, other: str, value: int) -> None:
    key, rule = res.Key("Policy", "m", name), str(value)
    held = model.held.get(name)
    if action in ("create", "own"):
        owner = res.Key("Policy", "m", other) if action == "own" else None
        if held:
            with pytest.raises(errors.AlreadyExists):
                await store.create(policy("m", name, rule), owner)
        elif owner and other not in model.held:
            with pytest.raises(errors.NotFound):
                await store.create(policy("m", name, rule), owner)
        else:
            await store.create(policy("m", name, rule), owner)
            model.put(name, rule, other if owner else None)
    elif held is None and action != "apply":
        with pytest.raises(errors.NotFound):
            await (store.delete(key) if action == "delete" else store.update(policy("m", name, rule)))
    elif action == "delete":
        await store.delete(key)
        model.drop(name)
    elif action in ("update", "stale") and held:
        version = held[1] - (action == "stale")
        resource = policy("m", name, rule)
        resource = dataclasses.replace(resource, meta=dataclasses.replace(resource.meta, version=version))
        if action == "stale":
            with pytest.raises(errors.Conflict):
                await store.update(resource)
        else:
            await store.update(resource)
            model.put(name, rule, held[2])
    else:
        await store.apply([created(policy("m", name, rule)), deleted(policy("m", other))])
        if held is None or held[0] != rule:
            model.put(name, rule, held[2] if held else None)
        if other in model.held:
            model.drop(other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_leaves_what_the_model_says(steps: list[tuple[str, str, str, int]], opener: Opener) -> None:
    async def play() -> None:
        store = opener()
        watch = store.watch()
        try:
            start = store.revision()
            for each in await store.list(POLICY):
                # An owner that went before took what it owned along.
                with contextlib.suppress(errors.NotFound):
                    await store.delete(each.key)
            model = Model()
            model.revision = store.revision()
            for each_step in steps:
                await step(store, model, *each_step)
            listed = {each.meta.name: (each.spec.rules[0], each.meta.version) for each in await store.list(POLICY)}
            assert listed == {name: held[:2] for name, held in model.held.items()}
            assert store.revision() == model.revision
        finally:
            await store.close()
        assert [change.revision async for change in watch] == list(range(start + 1, model.revision + 1))

    asyncio.run(play())
