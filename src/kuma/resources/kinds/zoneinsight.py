"""ZoneInsight: what a global control plane knows of the zone control planes that connect to it."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class KdsServiceStats(kinds.Spec, frozen=True):
    """Messages of one kind of resource. 64-bit counters, JSON strings on the wire."""

    responses_sent: values.UInt64 = 0
    responses_acknowledged: values.UInt64 = 0
    responses_rejected: values.UInt64 = 0


class KdsSubscriptionStatus(kinds.Spec, frozen=True):
    """Counters of one connection, by kind of resource."""

    last_update_time: values.Timestamp | None = None
    total: KdsServiceStats | None = None
    stat: dict[str, KdsServiceStats] = msgspec.field(default_factory=dict)


class KumaCpVersion(kinds.Spec, frozen=True):
    """Build of the zone's control plane."""

    version: str = ""
    git_tag: str = ""
    git_commit: str = ""
    build_date: str = ""
    kuma_cp_global_compatible: bool = False


class Version(kinds.Spec, frozen=True):
    """Builds of what connects."""

    kuma_cp: KumaCpVersion | None = None


class KdsSubscription(kinds.Spec, frozen=True):
    """One connection of the zone; without `disconnect_time` it is still open. `config` is the zone's, as JSON text."""

    id: str = ""
    global_instance_id: str = ""
    connect_time: values.Timestamp | None = None
    disconnect_time: values.Timestamp | None = None
    status: KdsSubscriptionStatus | None = None
    version: Version | None = None
    config: str = ""
    auth_token_provided: bool = False
    zone_instance_id: str = ""
    generation: values.UInt32 = 0


class EnvoyAdminStreams(kinds.Spec, frozen=True):
    """Which instance of the global control plane asks the zone's proxies about their admin interface."""

    config_dump_global_instance_id: str = ""
    stats_global_instance_id: str = ""
    clusters_global_instance_id: str = ""


class HealthCheck(kinds.Spec, frozen=True):
    """When the zone said last that it is there."""

    time: values.Timestamp | None = None


class KdsStream(kinds.Spec, frozen=True):
    """Which instance of the global control plane holds a stream, and since when."""

    global_instance_id: str = ""
    connect_time: values.Timestamp | None = None


class KdsStreams(kinds.Spec, frozen=True):
    """The streams between the zone and the global control plane."""

    global_to_zone: KdsStream | None = None
    zone_to_global: KdsStream | None = None
    config_dump: KdsStream | None = None
    stats: KdsStream | None = None
    clusters: KdsStream | None = None


class ZoneInsight(kinds.Spec, frozen=True):
    """The last connections of a zone."""

    subscriptions: tuple[KdsSubscription, ...] = ()
    envoy_admin_streams: EnvoyAdminStreams | None = None
    health_check: HealthCheck | None = None
    kds_streams: KdsStreams | None = None

    @property
    def is_online(self) -> bool:
        """Whether the last connection is open."""
        last = self.subscriptions[-1] if self.subscriptions else None
        return last is not None and last.connect_time is not None and last.disconnect_time is None


KIND = kinds.Kind(
    name="ZoneInsight",
    plural="zone-insights",
    scope=kinds.Scope.GLOBAL,
    spec=ZoneInsight,
    sync=kinds.Sync.PROVIDED_BY_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    singular_display="Zone Insight",
    plural_display="Zone Insights",
    read_only=True,
)
