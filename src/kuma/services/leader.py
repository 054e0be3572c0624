"""Which of the control planes on one store does the work that only one may do: insights, defaults, cleaning up.

A control plane with a store of its own always leads. On a shared one a lease decides: it is renewed every `interval`,
and a control plane that could not renew it for `term` stops leading by itself, before anybody else may begin.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from kuma.base import errors

INTERVAL = 1.0
TERM = 4.0
"""Seconds that a control plane leads after the last renewal it knows of: less than the lease itself lasts."""

_LOG = structlog.get_logger("leader")

Work = Callable[[], Coroutine[Any, Any, None]]


class Lease(Protocol):
    """What one control plane at a time can hold."""

    async def hold(self) -> bool:
        """Takes it or keeps it; False while another has it, Unavailable where that cannot be known."""
        ...

    async def release(self) -> None:
        """Gives it back; Unavailable where that failed, then it runs out."""
        ...


class Leader:
    """Whether this control plane leads. `told` hears of every turn; `now` is a steady clock in seconds."""

    def __init__(
        self,
        lease: Lease | None,
        told: Callable[[bool], None],
        interval: float = INTERVAL,
        term: float = TERM,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._told = told
        self._interval = interval
        self._term = term
        self._now = now
        self._renewed = 0.0
        self._leads = asyncio.Event()
        self._follows = asyncio.Event()
        self._follows.set()

    @property
    def is_leading(self) -> bool:
        """Whether this control plane leads now."""
        return self._leads.is_set()

    async def stand(self) -> None:
        """Asks for the lead once: call it at the start, so that a control plane alone leads before it serves."""
        if self._lease is None:
            self._turn(True)
        else:
            await self._renew(self._lease)

    async def run(self) -> None:
        """Keeps the lead, or waits for it, until cancelled; then gives it back."""
        if self._lease is None:
            return
        try:
            while True:
                await asyncio.sleep(self._interval)
                await self._renew(self._lease)
        finally:
            self._turn(False)
            try:
                await self._lease.release()
            except errors.Unavailable as failure:
                _LOG.info("the lead runs out by itself", error=str(failure))

    async def _renew(self, lease: Lease) -> None:
        began = self._now()
        left = self._renewed + self._term - began if self.is_leading else self._term
        try:
            async with asyncio.timeout(max(left, 0.0)):
                holds = await lease.hold()
        except (errors.Unavailable, TimeoutError):
            # Nobody else can have it before the term is over.
            holds = self.is_leading and self._now() - self._renewed < self._term
        else:
            self._renewed = began
        self._turn(holds)

    def _turn(self, leads: bool) -> None:
        if leads == self.is_leading:
            return
        (self._leads if leads else self._follows).set()
        (self._follows if leads else self._leads).clear()
        self._told(leads)
        if self._lease is not None:
            _LOG.info("this control plane leads" if leads else "this control plane no longer leads")

    async def lead(self, *work: Work) -> None:
        """Does the work whenever this control plane leads: begun at each turn, cancelled when the lead is lost."""
        while True:
            await self._leads.wait()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each()) for each in work]
                await self._follows.wait()
                for task in tasks:
                    task.cancel()
