"""MeshInsight: counts of what a mesh holds, kept current by the control plane."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class DataplaneStat(kinds.Spec, frozen=True):
    """Proxies by state."""

    total: values.UInt32 = 0
    online: values.UInt32 = 0
    offline: values.UInt32 = 0
    partially_degraded: values.UInt32 = 0


class PolicyStat(kinds.Spec, frozen=True):
    """How many policies of a kind exist."""

    total: values.UInt32 = 0


class ResourceStat(kinds.Spec, frozen=True):
    """How many resources of a kind exist."""

    total: values.UInt32 = 0


class DpVersions(kinds.Spec, frozen=True):
    """Proxies by version of the agent and of Envoy."""

    kuma_dp: dict[str, DataplaneStat] = msgspec.field(default_factory=dict)
    envoy: dict[str, DataplaneStat] = msgspec.field(default_factory=dict)


class MTLS(kinds.Spec, frozen=True):
    """Proxies by certificate authority."""

    issued_backends: dict[str, DataplaneStat] = msgspec.field(default_factory=dict)
    supported_backends: dict[str, DataplaneStat] = msgspec.field(default_factory=dict)


class ServiceStat(kinds.Spec, frozen=True):
    """Services by origin; gateways count as internal."""

    total: values.UInt32 = 0
    internal: values.UInt32 = 0
    external: values.UInt32 = 0


class DataplanesByType(kinds.Spec, frozen=True):
    """Proxies by what they are."""

    standard: DataplaneStat | None = None
    gateway: DataplaneStat | None = None
    gateway_builtin: DataplaneStat | None = None
    gateway_delegated: DataplaneStat | None = None


class PolicyWarning(kinds.Spec, frozen=True):
    """Why a policy, or the part of it that `field` names, has no effect."""

    type: str = ""
    name: str = ""
    field: str = ""
    reason: str = ""


class MeshInsight(kinds.Spec, frozen=True):
    """The counts of one mesh; the resource carries the mesh's name.

    `warnings` (an addition to Kuma's fields) is there while some policy has no effect.
    """

    dataplanes: DataplaneStat | None = None
    policies: dict[str, PolicyStat] = msgspec.field(default_factory=dict)
    dp_versions: DpVersions | None = None
    mtls: MTLS | None = msgspec.field(default=None, name="mTLS")
    services: ServiceStat | None = None
    dataplanes_by_type: DataplanesByType | None = None
    resources: dict[str, ResourceStat] = msgspec.field(default_factory=dict)
    warnings: tuple[PolicyWarning, ...] = ()


KIND = kinds.Kind(
    name="MeshInsight",
    plural="mesh-insights",
    scope=kinds.Scope.GLOBAL,
    spec=MeshInsight,
    sync=kinds.Sync.PROVIDED_BY_GLOBAL,
    singular_display="Mesh Insight",
    plural_display="Mesh Insights",
    read_only=True,
)
