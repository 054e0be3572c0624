"""DataplaneInsight: what the control plane knows of a proxy that connects to it. Written by the control plane alone."""

from typing import Any

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class LastError(kinds.Spec, frozen=True):
    """Why Envoy refused the last configuration of a type, in its own words, and the resource that shaped it."""

    message: str = ""
    resource: str = ""
    kri: str = ""


class DiscoveryServiceStats(kinds.Spec, frozen=True):
    """Replies of one xDS type. 64-bit counters, JSON strings on the wire.

    `last_error` (an addition to Kuma's fields) is there while the last reply of the type stands refused.
    """

    responses_sent: values.UInt64 = 0
    responses_acknowledged: values.UInt64 = 0
    responses_rejected: values.UInt64 = 0
    last_error: LastError | None = None


class DiscoverySubscriptionStatus(kinds.Spec, frozen=True):
    """Counters of one connection; the five statistics are always printed."""

    last_update_time: values.Timestamp | None = None
    total: DiscoveryServiceStats | None = None
    cds: DiscoveryServiceStats | None = None
    eds: DiscoveryServiceStats | None = None
    lds: DiscoveryServiceStats | None = None
    rds: DiscoveryServiceStats | None = None


class KumaDpVersion(kinds.Spec, frozen=True):
    """Build of the agent."""

    version: str = ""
    git_tag: str = ""
    git_commit: str = ""
    build_date: str = ""
    kuma_cp_compatible: bool = False


class EnvoyVersion(kinds.Spec, frozen=True):
    """Build of Envoy."""

    version: str = ""
    build: str = ""
    kuma_dp_compatible: bool = False


class Version(kinds.Spec, frozen=True):
    """Builds of the agent, of Envoy and of what else runs beside them."""

    kuma_dp: KumaDpVersion | None = None
    envoy: EnvoyVersion | None = None
    dependencies: dict[str, str] = msgspec.field(default_factory=dict)


class DiscoverySubscription(kinds.Spec, frozen=True):
    """One connection of the proxy; without `disconnect_time` it is still open."""

    id: str = ""
    control_plane_instance_id: str = ""
    connect_time: values.Timestamp | None = None
    disconnect_time: values.Timestamp | None = None
    status: DiscoverySubscriptionStatus | None = None
    version: Version | None = None
    generation: values.UInt32 = 0


class MTLS(kinds.Spec, frozen=True):
    """The proxy's certificate."""

    certificate_expiration_time: values.Timestamp | None = None
    last_certificate_regeneration: values.Timestamp | None = None
    certificate_regenerations: values.UInt32 = 0
    issued_backend: str = ""
    supported_backends: tuple[str, ...] = ()


class Signal(kinds.Spec, frozen=True):
    """State of one OpenTelemetry signal."""

    enabled: bool = False
    env_allowed: bool = False
    env_input_present: bool = False
    state: str = ""
    override_kinds: tuple[str, ...] = ()
    missing_fields: tuple[str, ...] = ()
    blocked_reasons: tuple[str, ...] = ()


class Backend(kinds.Spec, frozen=True):
    """State of one OpenTelemetry backend."""

    name: str = ""
    traces: Signal | None = None
    logs: Signal | None = None
    metrics: Signal | None = None


class OpenTelemetry(kinds.Spec, frozen=True):
    """State of the proxy's OpenTelemetry backends."""

    backends: tuple[Backend, ...] = ()


class DataplaneInsight(kinds.Spec, frozen=True):
    """The last connections of a proxy, its certificate and the metadata it sent."""

    subscriptions: tuple[DiscoverySubscription, ...] = ()
    mtls: MTLS | None = msgspec.field(default=None, name="mTLS")
    metadata: dict[str, Any] | None = None
    open_telemetry: OpenTelemetry | None = None

    @property
    def is_online(self) -> bool:
        """Whether the last connection is open."""
        last = self.subscriptions[-1] if self.subscriptions else None
        return last is not None and last.connect_time is not None and last.disconnect_time is None


KIND = kinds.Kind(
    name="DataplaneInsight",
    plural="dataplane-insights",
    scope=kinds.Scope.MESH,
    spec=DataplaneInsight,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    singular_display="Dataplane Insight",
    plural_display="Dataplane Insights",
    read_only=True,
)
