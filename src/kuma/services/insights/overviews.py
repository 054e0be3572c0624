"""Whether a proxy is there and ready, told from its Dataplane and its insight. Pure.

Source: Kuma's documentation, "Data plane proxy health": a gateway is online when connected, others also need their
inbounds and listeners to be ready.
"""

import enum
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight
from kuma.store import protocol

AnyResource = res.Resource[Any]


class Status(enum.Enum):
    """The three states of a proxy, as texts that users see."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    PARTIALLY_DEGRADED = "Partially degraded"


def status_of(spec: dataplane.Dataplane, insight: dataplaneinsight.DataplaneInsight | None) -> Status:
    """The state of a proxy; one that never connected (no insight) is offline."""
    if insight is None or not insight.is_online:
        return Status.OFFLINE
    if spec.networking is None or spec.networking.gateway is not None:
        return Status.ONLINE
    ready = [each.is_ready for each in spec.networking.inbound]
    ready += [each.state is dataplane.ListenerState.READY for each in spec.networking.listeners]
    if all(ready):
        return Status.ONLINE
    return Status.PARTIALLY_DEGRADED if any(ready) else Status.OFFLINE


class Insights:
    """Finds what the control plane knows of resources, for kinds that have overviews."""

    def __init__(self, store: protocol.Store) -> None:
        self._store = store

    async def of(self, resource: AnyResource) -> AnyResource | None:
        """The insight of one resource; None where there is none yet."""
        key = res.Key(resource.kind.insight, resource.meta.mesh, resource.meta.name)
        try:
            return await self._store.get(key)
        except errors.NotFound:
            return None
