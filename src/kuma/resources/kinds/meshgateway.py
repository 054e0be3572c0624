"""MeshGateway: the listeners of builtin gateways, the proxies through which traffic enters a mesh."""

import msgspec

from kuma.resources import datasource, selectors, values
from kuma.resources import kind as kinds
from kuma.resources.rules import meshgateway as rules


class Protocol(values.ProtoEnum):
    """What a listener speaks."""

    __proto_name__ = "kuma.mesh.v1alpha1.MeshGateway.Listener.Protocol"
    NONE = "NONE"
    TCP = "TCP"
    TLS = "TLS"
    HTTP = "HTTP"
    HTTPS = "HTTPS"


class TlsMode(values.ProtoEnum):
    """Whether TLS ends at the gateway or at the backend."""

    __proto_name__ = "kuma.mesh.v1alpha1.MeshGateway.TLS.Mode"
    NONE = "NONE"
    TERMINATE = "TERMINATE"
    PASSTHROUGH = "PASSTHROUGH"


class TlsOptions(kinds.Spec, frozen=True):
    """Reserved: it has no fields."""


class Tls(kinds.Spec, frozen=True):
    """TLS of a listener. A certificate is a chain with its key, PEM, in one piece; two: one RSA and one ECDSA."""

    mode: TlsMode = TlsMode.NONE
    certificates: tuple[datasource.DataSource, ...] = ()
    options: TlsOptions | None = None


class ListenerResources(kinds.Spec, frozen=True):
    """Limits, for all listeners of a port together; 0: none."""

    connection_limit: values.UInt32 = 0


class Listener(kinds.Spec, frozen=True):
    """A port and a host name; empty or `*`: every host. `cross_mesh` opens it to clients of other meshes."""

    hostname: str = ""
    port: values.UInt32 = 0
    protocol: Protocol = Protocol.NONE
    tls: Tls | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    cross_mesh: bool = False
    resources: ListenerResources | None = None


class Conf(kinds.Spec, frozen=True):
    """What the gateway listens to."""

    listeners: tuple[Listener, ...] = ()


class MeshGateway(selectors.Selected, frozen=True):
    """Listeners for the gateway proxies that fit one of `selectors`; `tags` are added to those of every listener."""

    tags: dict[str, str] = msgspec.field(default_factory=dict)
    conf: Conf | None = None


KIND = kinds.Kind(
    name="MeshGateway",
    plural="meshgateways",
    scope=kinds.Scope.MESH,
    spec=MeshGateway,
    short="mgw",
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    argument="meshgateway",
    singular_display="Mesh Gateway",
    plural_display="Mesh Gateways",
)
