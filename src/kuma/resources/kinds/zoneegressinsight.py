"""ZoneEgressInsight: what the control plane knows of a zone egress that connects to it. Written by the control plane alone."""

from typing import Any

from kuma.resources import kind as kinds
from kuma.resources.kinds import dataplaneinsight


class ZoneEgressInsight(kinds.Spec, frozen=True):
    """The last connections of a zone egress and the metadata it sent."""

    subscriptions: tuple[dataplaneinsight.DiscoverySubscription, ...] = ()
    metadata: dict[str, Any] | None = None

    @property
    def is_online(self) -> bool:
        """Whether the last connection is open."""
        last = self.subscriptions[-1] if self.subscriptions else None
        return last is not None and last.connect_time is not None and last.disconnect_time is None


KIND = kinds.Kind(
    name="ZoneEgressInsight",
    plural="zoneegressinsights",
    scope=kinds.Scope.GLOBAL,
    spec=ZoneEgressInsight,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    singular_display="Zone Egress Insight",
    plural_display="Zone Egress Insights",
    read_only=True,
)
