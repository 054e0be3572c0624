"""The metrics backend, which a Mesh declares for all its proxies and a Dataplane may override for itself."""

from typing import Any

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values


class PrometheusTlsMode(values.ProtoEnum):
    """How the scrape endpoint is protected."""

    __proto_name__ = "kuma.mesh.v1alpha1.PrometheusTlsConfig.Mode"
    ACTIVE_MTLS_BACKEND = "activeMTLSBackend"
    PROVIDED_TLS = "providedTLS"
    DISABLED = "disabled"


class PrometheusTlsConfig(kinds.Spec, frozen=True):
    """Protection of the scrape endpoint."""

    mode: PrometheusTlsMode = PrometheusTlsMode.ACTIVE_MTLS_BACKEND


class PrometheusEnvoyConfig(kinds.Spec, frozen=True):
    """Which of Envoy's own metrics are shown."""

    filter_regex: str = ""
    used_only: bool | None = None


class PrometheusAggregateMetricsConfig(kinds.Spec, frozen=True):
    """One application endpoint whose metrics are merged in; absent `enabled`: true, `path`: `/metrics`."""

    name: str = ""
    port: values.UInt32 = 0
    path: str = ""
    enabled: bool | None = None
    address: str = ""


class PrometheusConf(kinds.Spec, frozen=True):
    """The conf of a backend of type `prometheus`."""

    skip_mtls: bool | None = msgspec.field(default=None, name="skipMTLS")
    port: values.UInt32 = 0
    path: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    aggregate: tuple[PrometheusAggregateMetricsConfig, ...] = ()
    envoy: PrometheusEnvoyConfig | None = None
    tls: PrometheusTlsConfig | None = None


class MetricsBackend(kinds.Spec, frozen=True):
    """One backend; `conf` of type `prometheus` is a PrometheusConf."""

    name: str = ""
    type: str = ""
    conf: dict[str, Any] | None = None
