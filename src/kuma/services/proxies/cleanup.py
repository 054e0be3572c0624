"""Removes Dataplanes and zone proxies that have been gone for long: machines that died took nobody along to say goodbye.

A Dataplane that never had a proxy stays. Source: Kuma's reference of kuma-cp configuration
(`runtime.universal.dataplaneCleanupAge` and `zoneResourceCleanupAge`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight
from kuma.security import tokens
from kuma.services.insights import insight_kinds
from kuma.store import protocol

PERIOD = 60.0
"""Seconds between looks: ages are hours."""

_LOG = structlog.get_logger("cleanup")

Insight = res.Resource[insight_kinds.Insight]


def departed(insights: Iterable[Insight], before: datetime) -> Iterator[res.Key]:
    """The proxies whose last stream ended before that time, and that have none open."""
    for each in insights:
        ends = [stream.disconnect_time for stream in each.spec.subscriptions]
        known = [end for end in ends if end is not None]
        if known and len(known) == len(ends) and max(known) < before:
            yield insight_kinds.proxy_key(each.key)


class Cleanup:
    """Looks every `period` seconds for proxies that have been gone for longer than `age`."""

    def __init__(
        self,
        store: protocol.Store,
        clock: tokens.Clock,
        age: timedelta,
        measured: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        period: float = PERIOD,
        kind: kinds.Kind[Any] = dataplaneinsight.KIND,
    ) -> None:
        """`measured` is entered around every look; `kind` is that of the insights looked at."""
        self._kind = kind
        self._store = store
        self._clock = clock
        self._age = age
        self._measured = measured
        self._period = period

    async def run(self) -> None:
        """Looks until cancelled. A store that is away is asked again a period later."""
        while True:
            try:
                with self._measured():
                    await self.look()
            except errors.Unavailable as failure:
                _LOG.warning("could not remove proxies that are gone", error=str(failure))
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Removes those that are due now."""
        for key in departed(await self._store.list(self._kind), self._clock() - self._age):
            with contextlib.suppress(errors.NotFound):  # somebody else was faster
                await self._store.delete(key)
                _LOG.info("proxy removed, it is gone", kind=key.kind, mesh=key.mesh, proxy=key.name)
