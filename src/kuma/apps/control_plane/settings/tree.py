"""What the control plane was told: every key of Kuma 2.14 with its default and its environment name, and how it is loaded.

Order: defaults, then the file, then the environment, then the renaming of deprecated keys, then validation, then
what is filled in from other settings. Source: Kuma's reference of kuma-cp configuration.
"""

import dataclasses
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kuma.apps.control_plane.settings import fields, mesh, servers, unknown, validation
from kuma.apps.control_plane.settings import kubernetes as k8s
from kuma.apps.control_plane.settings import store as stores
from kuma.apps.control_plane.settings.fields import section, value
from kuma.base import errors

PREFIX = "KUMA"


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """`runtime`."""

    kubernetes: k8s.KubernetesSettings = section(k8s.KubernetesSettings)
    universal: mesh.UniversalSettings = section(mesh.UniversalSettings)


@dataclass(frozen=True, slots=True)
class ReportsSettings:
    """`reports`: nothing is ever sent anywhere; the key is accepted."""

    enabled: bool = value(False)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`proxy.gateway`."""

    global_downstream_max_connections: int = value(50000, go="uint64")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """`proxy`."""

    gateway: GatewaySettings = section(GatewaySettings)


@dataclass(frozen=True, slots=True)
class OpenTelemetrySettings:
    """`tracing.openTelemetry`."""

    endpoint: str = value("", omit_zero=True)
    enabled: bool = value(False, omit_zero=True)


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """`tracing`."""

    open_telemetry: OpenTelemetrySettings = section(OpenTelemetrySettings, env="KUMA_TRACING_OPENTELEMETRY")


@dataclass(frozen=True, slots=True)
class EventBusSettings:
    """`eventBus`."""

    buffer_size: int = value(100, go="uint")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, as Kuma nests them."""

    environment: str = value("universal")
    mode: str = value("zone")
    store: stores.StoreSettings = section(stores.StoreSettings)
    bootstrap_server: servers.BootstrapServerSettings = section(servers.BootstrapServerSettings)
    monitoring_assignment_server: servers.MonitoringAssignmentServerSettings = section(
        servers.MonitoringAssignmentServerSettings
    )
    xds_server: servers.XdsServerSettings = section(servers.XdsServerSettings)
    api_server: servers.ApiServerSettings = section(servers.ApiServerSettings)
    runtime: RuntimeSettings = section(RuntimeSettings)
    defaults: mesh.DefaultsSettings = section(mesh.DefaultsSettings)
    metrics: mesh.MetricsSettings = section(mesh.MetricsSettings)
    reports: ReportsSettings = section(ReportsSettings)
    general: mesh.GeneralSettings = section(mesh.GeneralSettings)
    dns_server: mesh.DnsServerSettings = section(mesh.DnsServerSettings)
    multizone: mesh.MultizoneSettings = section(mesh.MultizoneSettings)
    diagnostics: servers.DiagnosticsSettings = section(servers.DiagnosticsSettings)
    dp_server: servers.DpServerSettings = section(servers.DpServerSettings)
    inter_cp: servers.InterCpSettings = section(servers.InterCpSettings)
    access: mesh.AccessSettings = section(mesh.AccessSettings)
    experimental: mesh.ExperimentalSettings = section(mesh.ExperimentalSettings)
    proxy: ProxySettings = section(ProxySettings)
    tracing: TracingSettings = section(TracingSettings)
    event_bus: EventBusSettings = section(EventBusSettings)
    policies: mesh.PoliciesSettings = section(mesh.PoliciesSettings)
    core_resources: mesh.CoreResourcesSettings = section(mesh.CoreResourcesSettings)
    ipam: mesh.IpamSettings = section(mesh.IpamSettings)
    mesh_service: mesh.MeshServiceSettings = section(mesh.MeshServiceSettings)

    def as_config(self) -> dict[str, Any]:
        """The JSON object of `GET /config`: Kuma's keys, durations as Go text, secrets masked."""
        return fields.as_json(self, PREFIX)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that are valid and complete, the deprecation lines to print at start, and what was set without effect."""

    settings: Settings
    deprecations: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def load(config_file: str = "", environ: Mapping[str, str] = os.environ) -> Loaded:
    """The settings to start with; BadRequest with the line to print where they are wrong or ask for what is not built."""
    loaded = resolve(config_file, environ)
    validation.require_supported(loaded.settings)
    return loaded


def resolve(config_file: str, environ: Mapping[str, str]) -> Loaded:
    """Everything from defaults to filled-in values, whether or not this build can do it; BadRequest where invalid."""
    document = _parse_file(config_file) if config_file else None
    merged = merge(config_file, document, environ)
    deprecations = deprecation_lines(merged, environ)
    settings = postprocessed(merged)
    problem = validation.first_problem(settings)
    if problem:
        raise errors.BadRequest(f"configuration validation failed: {problem}")
    return Loaded(completed(settings, environ), deprecations, unknown.warnings(Settings, PREFIX, document, environ))


def merge(config_file: str, document: Any, environ: Mapping[str, str]) -> Settings:
    """Defaults, the document of a file and environment, not validated or completed; BadRequest where one cannot be read."""
    try:
        settings = fields.merge_file(Settings(), document, PREFIX)
    except ValueError as problem:
        raise errors.BadRequest(f"parsing configuration from file '{config_file}' failed: {problem}") from problem
    return fields.merge_environment(settings, environ, PREFIX)


def _parse_file(config_file: str) -> Any:
    """The document in a YAML or JSON file. JSON is read as YAML, of which it is a subset."""
    try:
        text = Path(config_file).read_text(encoding="utf-8")
    except (FileNotFoundError, PermissionError) as problem:
        raise errors.BadRequest(
            f"unable to access configuration file '{config_file}', "
            "please check if the file exists and has the correct permissions"
        ) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise errors.BadRequest(f"reading configuration from file '{config_file}' failed: {problem}") from problem
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise errors.BadRequest(f"parsing configuration from file '{config_file}' failed: {problem}") from problem


_RENAMED = (
    # the environment name that is watched, the key in files, the attribute, and what replaces each
    ("KUMA_METRICS_MESH_MIN_RESYNC_TIMEOUT", "Metrics.Mesh.MinResyncTimeout", "min_resync_timeout", "Min"),
    ("KUMA_METRICS_MESH_FULL_RESYNC_TIMEOUT", "Metrics.Mesh.MaxResyncTimeout", "max_resync_timeout", "Full"),
)


def deprecation_lines(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The lines `Deprecated: ...` that Kuma prints for old names in use."""
    lines = []
    for env, key, attribute, new in _RENAMED:
        if env in environ:
            lines.append(f"Deprecated: {env}. Use KUMA_METRICS_MESH_{new.upper()}_RESYNC_INTERVAL instead.")
        if getattr(settings.metrics.mesh, attribute):
            lines.append(f"Deprecated: {key}. Use Metrics.Mesh.{new}ResyncInterval instead.")
    if settings.environment == "kubernetes" and settings.monitoring_assignment_server.enabled:
        lines.append(
            "Deprecated: MonitoringAssignmentServer. MADS is enabled on Kubernetes. It will be removed on Kubernetes "
            "in Kuma 3.0. Set KUMA_MONITORING_ASSIGNMENT_SERVER_ENABLED=false to disable it."
        )
    if settings.mode == "standalone":
        lines.append("Deprecated: mode standalone. Use mode zone instead.")
    return tuple(lines)


def postprocessed(settings: Settings) -> Settings:
    """Deprecated values moved to where they belong now."""
    resync = settings.metrics.mesh
    if resync.min_resync_timeout:
        settings = fields.changed(settings, "metrics.mesh.min_resync_interval", resync.min_resync_timeout)
    if resync.max_resync_timeout:
        settings = fields.changed(settings, "metrics.mesh.full_resync_interval", resync.max_resync_timeout)
    if settings.mode == "standalone":
        settings = dataclasses.replace(settings, mode="zone")
    return settings


def completed(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Empty values filled in: working directory, certificate paths, authentication by environment, ports, addresses."""
    general = settings.general
    work_dir = general.work_dir or str(Path(environ.get("HOME") or "/") / ".kuma")
    general = dataclasses.replace(
        general,
        work_dir=work_dir,
        tls_cert_file=general.tls_cert_file or f"{work_dir}/kuma-cp.crt",
        tls_key_file=general.tls_key_file or f"{work_dir}/kuma-cp.key",
    )
    settings = dataclasses.replace(settings, general=general)
    for path in (
        "multizone.global_.kds",
        "diagnostics",
        "dp_server",
        "api_server.https",
        "monitoring_assignment_server",
        "inter_cp.server",
    ):
        settings = _with_general_tls(settings, path)
    on_kubernetes = settings.environment == "kubernetes"
    fill = {
        "dp_server.authn.dp_proxy.type": "serviceAccountToken" if on_kubernetes else "dpToken",
        "dp_server.authn.zone_proxy.type": "serviceAccountToken" if on_kubernetes else "zoneToken",
        "bootstrap_server.params.xds_port": settings.dp_server.port,
    }
    if not settings.inter_cp.catalog.instance_address:
        fill["inter_cp.catalog.instance_address"] = first_address()
    for path, new in fill.items():
        if not _at(settings, path):
            settings = fields.changed(settings, path, new)
    return settings


def _with_general_tls(settings: Settings, path: str) -> Settings:
    """The section at `path` with the general TLS settings where its own are empty."""
    own = _at(settings, path)
    general = settings.general
    present = {each.name for each in dataclasses.fields(own)}
    filled = {
        name: getattr(general, name)
        for name in ("tls_cert_file", "tls_key_file", "tls_min_version", "tls_max_version", "tls_cipher_suites")
        if name in present and not getattr(own, name)
    }
    return fields.changed(settings, path, dataclasses.replace(own, **filled))


def _at(settings: Settings, path: str) -> Any:
    found: Any = settings
    for attribute in path.split("."):
        found = getattr(found, attribute)
    return found


def first_address() -> str:
    """The address under which others reach this machine; 127.0.0.1 where it has no network (Kuma would refuse to start).

    Connecting a UDP socket sends nothing: the kernel only chooses the source address (RFC 5737 test network).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
