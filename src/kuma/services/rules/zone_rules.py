"""What a Zone asks for beside its schema: it stays for as long as its control plane is connected.

Source: Kuma's documentation, "Deploy a multi-zone control plane" (shut a zone's control plane down before removing it).
"""

from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import zoneinsight
from kuma.store import protocol

AnyResource = res.Resource[Any]

_CONNECTED = "unable to delete Zone, Zone CP is still connected, please shut it down first"


class ZoneRules:
    """Implements `resources.Rules` for Zones. `unsafe_delete` lets a Zone go while it is connected."""

    def __init__(self, store: protocol.Store, unsafe_delete: bool = False) -> None:
        self._store = store
        self._unsafe_delete = unsafe_delete

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """Any Zone is welcome."""
        return desired

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Nothing follows from a Zone."""

    async def release(self, current: AnyResource) -> None:
        """InvalidResource while the zone's control plane is connected."""
        if self._unsafe_delete:
            return
        try:
            insight = await self._store.get(res.Key(zoneinsight.KIND.name, "", current.meta.name))
        except errors.NotFound:
            return
        if insight.spec.is_online:
            raise errors.InvalidResource([errors.Violation("zone", _CONNECTED)])
