"""What a user writes in a MeshMetric. Light: the command line imports it."""

import enum
from typing import Annotated

import msgspec

from kuma.policies.meshmetric import validate
from kuma.policy_engine.writing import otel
from kuma.resources import conditions, targetref, values
from kuma.resources import kind as kinds


class BackendType(enum.StrEnum):
    """Whether metrics are fetched (Prometheus) or sent (OpenTelemetry)."""

    PROMETHEUS = "Prometheus"
    OPEN_TELEMETRY = "OpenTelemetry"


class TlsMode(enum.StrEnum):
    """How the endpoint for Prometheus is protected: not at all, by a certificate of the user, by the mesh's."""

    DISABLED = "Disabled"
    PROVIDED = "ProvidedTLS"
    ACTIVE_MTLS_BACKEND = "ActiveMTLSBackend"


class Profile(kinds.Spec, frozen=True):
    """A profile by its name."""

    name: Annotated[str, values.Required, values.one_of(*validate.PROFILES)] = ""


class Selector(kinds.Spec, frozen=True):
    """Metrics whose name fits."""

    type: Annotated[str, values.Required, values.one_of(*validate.SELECTORS)] = ""
    match: Annotated[str, values.Required] = msgspec.field(default_factory=str)


class Profiles(kinds.Spec, frozen=True):
    """Which of Envoy's metrics are offered: the profiles, less `exclude`, plus `include`."""

    append_profiles: tuple[Profile, ...] | None = None
    exclude: tuple[Selector, ...] | None = None
    include: tuple[Selector, ...] | None = None


class Sidecar(kinds.Spec, frozen=True):
    """Metrics of the proxy. `include_unused`: those that never changed, too (absent: false)."""

    profiles: Profiles | None = None
    include_unused: bool | None = None


class Application(kinds.Spec, frozen=True):
    """An application behind the proxy whose metrics are passed on; `address` is its own where it is not the proxy's."""

    name: str | None = None
    path: Annotated[str, values.defaults_to("/metrics")] | None = None
    address: str | None = None
    port: Annotated[values.Int32, values.Required] = 0


class Tls(kinds.Spec, frozen=True):
    """TLS of the endpoint for Prometheus."""

    mode: Annotated[str, values.one_of(*TlsMode), values.defaults_to(TlsMode.DISABLED.value)] = ""


class Prometheus(kinds.Spec, frozen=True):
    """An endpoint of the proxy that Prometheus reads. `client_id` tells several Prometheus servers apart."""

    client_id: str | None = None
    port: Annotated[values.Int32, values.defaults_to(5670)] | None = None
    path: Annotated[str, values.defaults_to("/metrics")] | None = None
    tls: Tls | None = None


class OpenTelemetry(otel.Backend, frozen=True):
    """A collector that metrics are sent to, every `refresh_interval` (absent: 60 s)."""

    refresh_interval: values.GoDuration | None = None


class Backend(kinds.Spec, frozen=True):
    """One reader of metrics; the member that `type` names says which."""

    type: Annotated[str, values.Required, values.one_of(*BackendType)] = ""
    prometheus: Prometheus | None = None
    open_telemetry: OpenTelemetry | None = None


class Conf(kinds.Spec, frozen=True):
    """Which metrics, of whom, for whom. Lists are None where they were not written."""

    sidecar: Sidecar | None = None
    applications: tuple[Application, ...] | None = None
    backends: tuple[Backend, ...] | None = None


class MeshMetric(kinds.Spec, frozen=True):
    """The metrics of the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    default: Conf = msgspec.field(default_factory=Conf)


KIND = kinds.Kind(
    name="MeshMetric",
    plural="meshmetrics",
    scope=kinds.Scope.MESH,
    spec=MeshMetric,
    status=conditions.Status,
    short="mm",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True),
    argument="meshmetric",
    singular_display="Mesh Metric",
    plural_display="Mesh Metrics",
)
