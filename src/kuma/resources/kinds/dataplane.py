"""Dataplane: one data plane proxy, what it listens on and what it wants to reach."""

from typing import ClassVar

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.kinds import metrics as metrics_confs
from kuma.resources.rules import dataplane as rules


class GatewayType(values.ProtoEnum):
    """Whether somebody else's gateway stands behind the proxy, or Kuma's own."""

    __proto_name__ = "kuma.mesh.v1alpha1.Dataplane.Networking.Gateway.GatewayType"
    DELEGATED = "DELEGATED"
    BUILTIN = "BUILTIN"


class InboundState(values.ProtoEnum):
    """Whether an inbound receives traffic; IGNORED never does."""

    __proto_name__ = "kuma.mesh.v1alpha1.Dataplane.Networking.Inbound.State"
    READY = "Ready"
    NOT_READY = "NotReady"
    IGNORED = "Ignored"


class IpFamilyMode(values.ProtoEnum):
    """IP families of transparent proxying."""

    __proto_name__ = "kuma.mesh.v1alpha1.Dataplane.Networking.TransparentProxying.IpFamilyMode"
    UNSPECIFIED = "UnSpecified"
    DUAL_STACK = "DualStack"
    IPV4 = "IPv4"
    IPV6 = "IPv6"


class ListenerType(values.ProtoEnum):
    """What an embedded zone proxy listener does."""

    __proto_name__ = "kuma.mesh.v1alpha1.Dataplane.Networking.Listener.Type"
    UNSPECIFIED = "Unspecified"
    ZONE_INGRESS = "ZoneIngress"
    ZONE_EGRESS = "ZoneEgress"


class ListenerState(values.ProtoEnum):
    """Whether an embedded zone proxy listener receives traffic."""

    __proto_name__ = "kuma.mesh.v1alpha1.Dataplane.Networking.Listener.State"
    READY = "Ready"
    NOT_READY = "NotReady"


class Gateway(kinds.Spec, frozen=True):
    """Marks the proxy as a gateway; exclusive with inbounds and listeners."""

    tags: dict[str, str] = msgspec.field(default_factory=dict)
    type: GatewayType = GatewayType.DELEGATED


class Health(kinds.Spec, frozen=True):
    """The old spelling of an inbound's state."""

    ready: bool = False


class Tcp(kinds.Spec, frozen=True):
    """Probe by opening a TCP connection."""


class ServiceProbe(kinds.Spec, frozen=True):
    """How Envoy probes the application; its presence makes the inbound start as NotReady."""

    interval: values.ProtoDuration | None = None
    timeout: values.ProtoDuration | None = None
    unhealthy_threshold: values.UInt32 | None = None
    healthy_threshold: values.UInt32 | None = None
    tcp: Tcp | None = None


class Inbound(kinds.Spec, frozen=True):
    """A service the proxy exposes on `port`; the application listens on `service_port` (0: the same)."""

    port: values.UInt32 = 0
    service_port: values.UInt32 = 0
    service_address: str = ""
    address: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    health: Health | None = None
    service_probe: ServiceProbe | None = None
    state: InboundState = InboundState.READY
    name: str = ""
    protocol: str = ""

    @property
    def section(self) -> str:
        """The section name that policies use: its name, else its port as text."""
        return self.name or str(self.port)

    @property
    def is_ready(self) -> bool:
        """Whether it takes traffic now, by `state` and its older mirror `health`."""
        return self.state == InboundState.READY and (self.health is None or self.health.ready)


class BackendRef(kinds.Spec, frozen=True):
    """The destination of an outbound, named instead of tagged."""

    kind: str = ""
    name: str = ""
    port: values.UInt32 = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Outbound(kinds.Spec, frozen=True):
    """A service the application reaches on `address` (empty: 127.0.0.1) and `port`."""

    __interned__: ClassVar[bool] = True

    address: str = ""
    port: values.UInt32 = 0
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    backend_ref: BackendRef | None = None


class ReachableBackendRef(kinds.Spec, frozen=True):
    """A destination that the proxy may reach."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    port: values.UInt32 | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class ReachableBackends(kinds.Spec, frozen=True):
    """The only destinations the proxy gets; present and empty: none."""

    refs: tuple[ReachableBackendRef, ...] = ()


class TransparentProxying(kinds.Spec, frozen=True):
    """Redirection of the application's traffic into the proxy."""

    redirect_port_inbound: values.UInt32 = 0
    redirect_port_outbound: values.UInt32 = 0
    direct_access_services: tuple[str, ...] = ()
    reachable_services: tuple[str, ...] = ()
    ip_family_mode: IpFamilyMode = IpFamilyMode.UNSPECIFIED
    reachable_backends: ReachableBackends | None = None


class EnvoyAdmin(kinds.Spec, frozen=True):
    """Overrides the port of Envoy's admin interface."""

    port: values.UInt32 = 0


class Listener(kinds.Spec, frozen=True):
    """An embedded zone proxy listener."""

    type: ListenerType = ListenerType.UNSPECIFIED
    address: str = ""
    port: values.UInt32 = 0
    name: str = ""
    state: ListenerState = ListenerState.READY

    @property
    def section(self) -> str:
        """The section name that policies use: its name, else its port as text."""
        return self.name or str(self.port)


class Networking(kinds.Spec, frozen=True):
    """Addresses, inbounds and outbounds. `advertised_address` is what peers dial where it differs (NAT)."""

    address: str = ""
    advertised_address: str = ""
    gateway: Gateway | None = None
    inbound: tuple[Inbound, ...] = ()
    outbound: tuple[Outbound, ...] = ()
    transparent_proxying: TransparentProxying | None = None
    admin: EnvoyAdmin | None = None
    listeners: tuple[Listener, ...] = ()


class Endpoint(kinds.Spec, frozen=True):
    """One virtual probe."""

    inbound_port: values.UInt32 = 0
    inbound_path: str = ""
    path: str = ""


class Probes(kinds.Spec, frozen=True):
    """Virtual probes (deprecated by Kuma)."""

    port: values.UInt32 = 0
    endpoints: tuple[Endpoint, ...] = ()


class Dataplane(kinds.Spec, frozen=True):
    """A data plane proxy."""

    networking: Networking | None = None
    metrics: metrics_confs.MetricsBackend | None = None
    probes: Probes | None = None

    @property
    def direct_services(self) -> tuple[str, ...]:
        """The services whose instances its application dials by their own addresses; `*`: all."""
        transparent = self.networking.transparent_proxying if self.networking else None
        return transparent.direct_access_services if transparent is not None else ()

    @property
    def is_builtin_gateway(self) -> bool:
        """Whether Kuma configures it as a gateway of its own."""
        gateway = self.networking.gateway if self.networking else None
        return gateway is not None and gateway.type == GatewayType.BUILTIN

    @property
    def is_delegated_gateway(self) -> bool:
        """Whether a foreign gateway uses it for its outgoing traffic."""
        gateway = self.networking.gateway if self.networking else None
        return gateway is not None and gateway.type == GatewayType.DELEGATED


KIND = kinds.Kind(
    name="Dataplane",
    plural="dataplanes",
    scope=kinds.Scope.MESH,
    spec=Dataplane,
    short="dp",
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    validate=rules.validate,
    argument="dataplane",
    singular_display="Dataplane",
    plural_display="Dataplanes",
    overview="DataplaneOverview",
    insight="DataplaneInsight",
)
