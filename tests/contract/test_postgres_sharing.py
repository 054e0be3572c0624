"""Control planes on one database: each sees what the others write, races have one winner, one leads."""

import asyncio
import contextlib

import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.store import postgres_lease, protocol
from tests.kit import postgres as servers
from tests.kit.notes import CATALOG, Pair, content, note, put, shown, until, with_text

IN_TIME = 0.2
"""Seconds within which every control plane hears of a write."""


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
