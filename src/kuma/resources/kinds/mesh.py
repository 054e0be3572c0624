"""Mesh: the unit of isolation. Its certificate authority, observability backends, routing and membership rules."""

from typing import Any

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.kinds import metrics as metrics_confs
from kuma.resources.rules import mesh as rules


class MtlsMode(values.ProtoEnum):
    """Whether inbounds of the mesh refuse plaintext (STRICT) or take both."""

    __proto_name__ = "kuma.mesh.v1alpha1.CertificateAuthorityBackend.Mode"
    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"


class MeshServicesMode(values.ProtoEnum):
    """How far MeshService resources replace service tags."""

    __proto_name__ = "kuma.mesh.v1alpha1.Mesh.MeshServices.Mode"
    DISABLED = "Disabled"
    EVERYWHERE = "Everywhere"
    REACHABLE_BACKENDS = "ReachableBackends"
    EXCLUSIVE = "Exclusive"


class Rotation(kinds.Spec, frozen=True):
    """How long a workload certificate lives, in Kuma's text (`1d`); renewed after four fifths of it."""

    expiration: str = ""


class DpCert(kinds.Spec, frozen=True):
    """Certificates of data plane proxies. `request_timeout` bounds issuing one; absent: no bound."""

    rotation: Rotation | None = None
    request_timeout: values.ProtoDuration | None = None


class RootChain(kinds.Spec, frozen=True):
    """How long fetching the root certificates may take; absent: 10 s."""

    request_timeout: values.ProtoDuration | None = None


class CertificateAuthorityBackend(kinds.Spec, frozen=True):
    """One certificate authority; `conf` depends on `type` (`builtin`: `caCert`; `provided`: `cert` and `key`)."""

    name: str = ""
    type: str = ""
    dp_cert: DpCert | None = None
    conf: dict[str, Any] | None = None
    mode: MtlsMode = MtlsMode.STRICT
    root_chain: RootChain | None = None


class Mtls(kinds.Spec, frozen=True):
    """Mutual TLS, on where `enabled_backend` names a backend. `skip_validation` skips the check of the CA's content."""

    enabled_backend: str = ""
    backends: tuple[CertificateAuthorityBackend, ...] = ()
    skip_validation: bool = False


class TracingBackend(kinds.Spec, frozen=True):
    """Where traces go: `zipkin` or `datadog`. `sampling` is a percentage; absent: 100."""

    name: str = ""
    sampling: float | None = None
    type: str = ""
    conf: dict[str, Any] | None = None


class Tracing(kinds.Spec, frozen=True):
    """Tracing backends, and the one TrafficTrace uses where it names none."""

    default_backend: str = ""
    backends: tuple[TracingBackend, ...] = ()


class LoggingBackend(kinds.Spec, frozen=True):
    """Where access logs go: `file` or `tcp`."""

    name: str = ""
    format: str = ""
    type: str = ""
    conf: dict[str, Any] | None = None


class Logging(kinds.Spec, frozen=True):
    """Access log backends, and the one TrafficLog uses where it names none."""

    default_backend: str = ""
    backends: tuple[LoggingBackend, ...] = ()


class Metrics(kinds.Spec, frozen=True):
    """Metrics backends of the mesh, and the one in use."""

    enabled_backend: str = ""
    backends: tuple[metrics_confs.MetricsBackend, ...] = ()


class Outbound(kinds.Spec, frozen=True):
    """`passthrough`: whether traffic to unknown destinations leaves the proxy; absent: true."""

    passthrough: bool | None = None


class Networking(kinds.Spec, frozen=True):
    """Networking of the whole mesh."""

    outbound: Outbound | None = None


class Routing(kinds.Spec, frozen=True):
    """Where traffic may go: own zone first, through egresses, to external services."""

    locality_aware_load_balancing: bool = False
    zone_egress: bool = False
    default_forbid_mesh_external_service_access: bool = False


class Rules(kinds.Spec, frozen=True):
    """Tags that a proxy has to carry; `*` stands for any value."""

    tags: dict[str, str] = msgspec.field(default_factory=dict)


class DataplaneProxyConstraints(kinds.Spec, frozen=True):
    """A proxy has to meet one of `requirements` (if there are any) and none of `restrictions`."""

    requirements: tuple[Rules, ...] = ()
    restrictions: tuple[Rules, ...] = ()


class Constraints(kinds.Spec, frozen=True):
    """Who may join the mesh."""

    dataplane_proxy: DataplaneProxyConstraints | None = None


class MeshServices(kinds.Spec, frozen=True):
    """The mode of MeshService generation."""

    mode: MeshServicesMode = MeshServicesMode.DISABLED


class Mesh(kinds.Spec, frozen=True):
    """A mesh."""

    mtls: Mtls | None = None
    tracing: Tracing | None = None
    logging: Logging | None = None
    metrics: Metrics | None = None
    networking: Networking | None = None
    routing: Routing | None = None
    constraints: Constraints | None = None
    skip_creating_initial_policies: tuple[str, ...] = ()
    mesh_services: MeshServices | None = None

    @property
    def enabled_ca(self) -> CertificateAuthorityBackend | None:
        """The certificate authority in use; None where mutual TLS is off."""
        if self.mtls is None or not self.mtls.enabled_backend:
            return None
        return next((each for each in self.mtls.backends if each.name == self.mtls.enabled_backend), None)

    @property
    def is_passthrough_allowed(self) -> bool:
        """Whether traffic to destinations that the mesh does not know may leave a proxy."""
        outbound = self.networking.outbound if self.networking else None
        return outbound is None or outbound.passthrough is not False


KIND = kinds.Kind(
    name="Mesh",
    plural="meshes",
    scope=kinds.Scope.GLOBAL,
    spec=Mesh,
    short="m",
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=rules.validate,
    defaults=rules.with_defaults,
    argument="mesh",
    singular_display="Mesh",
    plural_display="Meshes",
)
