"""ZoneIngressInsight: what the control plane knows of a zone ingress that connects to it. Written by the control plane alone."""

from typing import Any

from kuma.resources import kind as kinds
from kuma.resources.kinds import dataplaneinsight


class ZoneIngressInsight(kinds.Spec, frozen=True):
    """The last connections of a zone ingress and the metadata it sent."""

    subscriptions: tuple[dataplaneinsight.DiscoverySubscription, ...] = ()
    metadata: dict[str, Any] | None = None

    @property
    def is_online(self) -> bool:
        """Whether the last connection is open."""
        last = self.subscriptions[-1] if self.subscriptions else None
        return last is not None and last.connect_time is not None and last.disconnect_time is None


KIND = kinds.Kind(
    name="ZoneIngressInsight",
    plural="zone-ingress-insights",
    scope=kinds.Scope.GLOBAL,
    spec=ZoneIngressInsight,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    singular_display="Zone Ingress Insight",
    plural_display="Zone Ingress Insights",
    read_only=True,
)
