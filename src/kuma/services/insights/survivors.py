"""Which control planes on a shared store have died without a goodbye, and what the leader does about it.

Every control plane moves the generation of its open streams on, twice in a period. Streams that stand still for a
whole period belong to nobody any more. Source: Kuma's documentation, "Data plane proxy" (status).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from kuma.base import errors
from kuma.services.insights import insight_kinds
from kuma.store import protocol

_LOG = structlog.get_logger("survivors")


class Survivors:
    """Looks for dead control planes every `period` seconds and calls `recover` with the answer to who is alive."""

    def __init__(
        self,
        store: protocol.Store,
        instance_id: str,
        recover: Callable[[Callable[[str], bool]], Awaitable[Any]],
        period: float,
        measured: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`measured` is entered around every look of `run`."""
        self._store = store
        self._instance_id = instance_id
        self._recover = recover
        self._period = period
        self._measured = measured
        self._seen: dict[str, dict[str, int]] = {}

    async def run(self) -> None:
        """Looks until cancelled. A store that is away is asked again a period later."""
        self._seen = {}
        while True:
            try:
                with self._measured():
                    await self.look()
            except errors.Unavailable as failure:
                _LOG.warning("could not clean up after another control plane", error=str(failure))
            await asyncio.sleep(self._period)

    async def look(self) -> set[str]:
        """The ids of the control planes whose streams stand still since the last look; `recover` has seen to them."""
        before, now = self._seen, await self._open_streams()
        dead = {
            instance
            for instance, streams in now.items()
            if instance != self._instance_id and before.get(instance) == streams
        }
        if dead:
            _LOG.info("control planes are gone", instances=sorted(dead))
            await self._recover(lambda instance: instance not in dead)
        self._seen = now
        return dead

    async def _open_streams(self) -> dict[str, dict[str, int]]:
        """By control plane: the generation of each of its open streams."""
        found: dict[str, dict[str, int]] = {}
        for insight in [each for kind in insight_kinds.INSIGHTS for each in await self._store.list(kind)]:
            for stream in insight.spec.subscriptions:
                if stream.disconnect_time is None:
                    found.setdefault(stream.control_plane_instance_id, {})[stream.id] = stream.generation
        return found
