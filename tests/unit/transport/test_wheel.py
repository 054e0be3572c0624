"""Deadlines: never early, in order, and gone once they are cancelled."""

import asyncio

from kuma.transport import wheel


async def test_deadlines_fire_in_order_and_not_early() -> None:
    loop = asyncio.get_running_loop()
    wheels = wheel.Wheel(loop, 0.01)
    start, fired, done = loop.time(), [], asyncio.Event()
    for seconds in (0.06, 0.02, 0.04):
        wheels.after(seconds, lambda seconds=seconds: fired.append((seconds, loop.time() - start)))
    wheels.after(0.08, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [seconds for seconds, _ in fired] == [0.02, 0.04, 0.06]
    assert all(passed >= seconds - 0.005 for seconds, passed in fired)


async def test_cancelled_deadlines_never_fire() -> None:
    wheels = wheel.Wheel(asyncio.get_running_loop(), 0.01)
    fired, done = [], asyncio.Event()
    cancelled = wheels.after(0.01, lambda: fired.append(1))
    cancelled.cancel()
    cancelled.cancel()
    wheels.after(0.03, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert fired == []


async def test_a_deadline_may_cancel_its_neighbour_and_arm_another() -> None:
    wheels = wheel.Wheel(asyncio.get_running_loop(), 0.05)
    fired, done = [], asyncio.Event()
    pair: list[wheel.Deadline] = []

    def fire(number: int) -> None:
        fired.append(number)
        pair[1 - number].cancel()
        wheels.after(0, done.set)

    pair += [wheels.after(0.01, lambda: fire(0)), wheels.after(0.01, lambda: fire(1))]
    await asyncio.wait_for(done.wait(), 5)
    assert len(fired) == 1


async def test_an_action_that_fails_does_not_stop_the_others() -> None:
    loop = asyncio.get_running_loop()
    failures, done = [], asyncio.Event()
    loop.set_exception_handler(lambda _, seen: failures.append(seen["exception"]))
    wheels = wheel.Wheel(loop, 0.01)

    def fail() -> None:
        raise ValueError("x")

    wheels.after(0.01, fail)
    wheels.after(0.02, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [type(failure) for failure in failures] == [ValueError]


async def test_a_closed_wheel_is_silent() -> None:
    loop = asyncio.get_running_loop()
    closed, other, fired, done = wheel.Wheel(loop, 0.01), wheel.Wheel(loop, 0.01), [], asyncio.Event()
    closed.after(0.01, lambda: fired.append(1))
    closed.close()
    closed.after(0.01, lambda: fired.append(2))
    other.after(0.03, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert fired == []
