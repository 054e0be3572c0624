"""ServiceInsight: the state of each service of a mesh, kept current by the control plane."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class ServiceStatus(values.ProtoEnum):
    """Whether the proxies of a service are connected and ready."""

    __proto_name__ = "kuma.mesh.v1alpha1.ServiceInsight.Service.Status"
    NONE = "none"
    OFFLINE = "offline"
    PARTIALLY_DEGRADED = "partially_degraded"
    ONLINE = "online"
    NOT_AVAILABLE = "not_available"


class ServiceType(values.ProtoEnum):
    """Where a service lives."""

    __proto_name__ = "kuma.mesh.v1alpha1.ServiceInsight.Service.Type"
    INTERNAL = "internal"
    EXTERNAL = "external"
    GATEWAY_DELEGATED = "gateway_delegated"
    GATEWAY_BUILTIN = "gateway_builtin"


class DataplaneStat(kinds.Spec, frozen=True):
    """Proxies of a service by state."""

    total: values.UInt32 = 0
    online: values.UInt32 = 0
    offline: values.UInt32 = 0


class Service(kinds.Spec, frozen=True):
    """The state of one service."""

    status: ServiceStatus = ServiceStatus.NONE
    dataplanes: DataplaneStat | None = None
    issued_backends: dict[str, values.UInt32] = msgspec.field(default_factory=dict)
    service_type: ServiceType = ServiceType.INTERNAL
    address_port: str = ""
    zones: tuple[str, ...] = ()


class ServiceInsight(kinds.Spec, frozen=True):
    """All services of a mesh, stored once as `all-services-<mesh>`; REST shows one item a service."""

    services: dict[str, Service] = msgspec.field(default_factory=dict)


KIND = kinds.Kind(
    name="ServiceInsight",
    plural="service-insights",
    scope=kinds.Scope.MESH,
    spec=ServiceInsight,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    singular_display="Service Insight",
    plural_display="Service Insights",
    read_only=True,
)
