"""Settings of what the control plane does with meshes: defaults, insights, DNS, addresses, zones, access, experiments."""

from dataclasses import dataclass
from functools import partial

from kuma.apps.control_plane.settings.fields import Duration, section, time, value
from kuma.apps.control_plane.settings.servers import TLS_1_2

ADMIN = "mesh-system:admin"
EVERYONE = ("mesh-system:unauthenticated", "mesh-system:authenticated")


@dataclass(frozen=True, slots=True)
class UniversalSpireSettings:
    """`runtime.universal.spire`."""

    socket_path: str = value("/tmp/spire-agent/public/api.sock")


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """`runtime.universal.workload`."""

    generation_interval: Duration = time("2s")


@dataclass(frozen=True, slots=True)
class UniversalSettings:
    """`runtime.universal`: the ages after which resources of proxies that are offline are removed."""

    dataplane_cleanup_age: Duration = time("72h")
    zone_resource_cleanup_age: Duration = time("72h")
    vip_refresh_interval: Duration = time("500ms")
    spire: UniversalSpireSettings = section(UniversalSpireSettings)
    workload: WorkloadSettings = section(WorkloadSettings)


@dataclass(frozen=True, slots=True)
class DefaultsSettings:
    """`defaults`: what is created on its own."""

    skip_mesh_creation: bool = value(False)
    skip_tenant_resources: bool = value(False)
    create_mesh_routing_resources: bool = value(False)
    # Kuma prints this key in upper case; reading ignores the case.
    skip_hostname_generators: bool = value(False, key="SkipHostnameGenerators")


@dataclass(frozen=True, slots=True)
class DataplaneMetricsSettings:
    """`metrics.dataplane`: subscriptions kept in an insight (0: all), and when a silent proxy counts as offline."""

    subscription_limit: int = value(2)
    idle_timeout: Duration = time("5m")


@dataclass(frozen=True, slots=True)
class ZoneMetricsSettings:
    """`metrics.zone`."""

    subscription_limit: int = value(10)
    idle_timeout: Duration = time("5m")
    compact_finished_subscriptions: bool = value(False)


@dataclass(frozen=True, slots=True)
class MeshMetricsSettings:
    """`metrics.mesh`: how often insights are written. The timeouts are the old names of the intervals."""

    min_resync_interval: Duration = time("1s")
    full_resync_interval: Duration = time("20s")
    buffer_size: int = value(1000)
    event_processors: int = value(1)
    min_resync_timeout: Duration = time("0s")
    max_resync_timeout: Duration = time("0s")


@dataclass(frozen=True, slots=True)
class ControlPlaneMetricsSettings:
    """`metrics.controlPlane`."""

    report_resources_count: bool = value(True)


@dataclass(frozen=True, slots=True)
class OpenTelemetryMetricsSettings:
    """`metrics.openTelemetry`."""

    enabled: bool = value(True)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """`metrics`."""

    dataplane: DataplaneMetricsSettings = section(DataplaneMetricsSettings)
    zone: ZoneMetricsSettings = section(ZoneMetricsSettings)
    mesh: MeshMetricsSettings = section(MeshMetricsSettings)
    control_plane: ControlPlaneMetricsSettings = section(ControlPlaneMetricsSettings)
    open_telemetry: OpenTelemetryMetricsSettings = section(
        OpenTelemetryMetricsSettings, env="KUMA_METRICS_OPENTELEMETRY"
    )


@dataclass(frozen=True, slots=True)
class GeneralSettings:
    """`general`: the certificate that servers share, the working directory, backoffs."""

    dns_cache_ttl: Duration = time("10s", key="dnsCacheTTL")
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])
    work_dir: str = value("")
    resilient_component_base_backoff: Duration = time("5s")
    resilient_component_max_backoff: Duration = time("1m")
    cert_generation_base_backoff: Duration = time("5s")
    cert_generation_max_backoff: Duration = time("5m")
    cert_generation_circuit_breaker_min_proxies: int = value(10)


@dataclass(frozen=True, slots=True)
class DnsServerSettings:
    """`dnsServer`: the legacy names `<service>.mesh` and their VIPs."""

    domain: str = value("mesh")
    cidr: str = value("240.0.0.0/4", key="CIDR")
    service_vip_enabled: bool = value(True)
    service_vip_port: int = value(80, go="uint32")


@dataclass(frozen=True, slots=True)
class KdsLabelSettings:
    """Label prefixes that are not synced between zones."""

    skip_prefixes: list[str] = value([], omit_zero=True)


@dataclass(frozen=True, slots=True)
class KdsTracingSettings:
    """`multizone.global.kds.tracing`."""

    enabled: bool = value(True, omit_zero=True)


@dataclass(frozen=True, slots=True)
class ZoneHealthCheckSettings:
    """`multizone.global.kds.zoneHealthCheck`: both times or none."""

    poll_interval: Duration = time("0s")
    timeout: Duration = time("0s")
    close_stale_conn: bool = value(False)


@dataclass(frozen=True, slots=True)
class KdsServerSettings:
    """`multizone.global.kds`."""

    grpc_port: int = value(5685, go="uint32")
    refresh_interval: Duration = time("1s")
    zone_insight_flush_interval: Duration = time("10s")
    tls_enabled: bool = value(True)
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])
    max_msg_size: int = value(10485760, go="uint32")
    msg_send_timeout: Duration = time("60s")
    nack_backoff: Duration = time("5s")
    response_backoff: Duration = time("0s")
    log_payloads: bool = value(False)
    tracing: KdsTracingSettings = section(KdsTracingSettings)
    zone_health_check: ZoneHealthCheckSettings = section(ZoneHealthCheckSettings)
    labels: KdsLabelSettings = section(KdsLabelSettings)


@dataclass(frozen=True, slots=True)
class GlobalSettings:
    """`multizone.global`."""

    kds: KdsServerSettings = section(KdsServerSettings)


@dataclass(frozen=True, slots=True)
class KdsClientSettings:
    """`multizone.zone.kds`."""

    refresh_interval: Duration = time("1s")
    root_ca_file: str = value("")
    tls_skip_verify: bool = value(False)
    max_msg_size: int = value(10485760, go="uint32")
    msg_send_timeout: Duration = time("60s")
    nack_backoff: Duration = time("5s")
    response_backoff: Duration = time("0s")
    log_payloads: bool = value(False)
    labels: KdsLabelSettings = section(KdsLabelSettings)


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """`multizone.zone`; with a global address the zone is federated."""

    name: str = value("default")
    global_address: str = value("", omit_zero=True)
    kds: KdsClientSettings = section(KdsClientSettings)
    disable_origin_label_validation: bool = value(False, omit_zero=True)
    ingress_update_interval: Duration = time("1s")


@dataclass(frozen=True, slots=True)
class MultizoneSettings:
    """`multizone`."""

    global_: GlobalSettings = section(GlobalSettings, key="global", env="KUMA_MULTIZONE_GLOBAL")
    zone: ZoneSettings = section(ZoneSettings)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Who may do something: users and groups."""

    users: list[str] = value([])
    groups: list[str] = value([])


_admins = partial(Subjects, [ADMIN], [ADMIN])
_everyone = partial(Subjects, [], list(EVERYONE))


@dataclass(frozen=True, slots=True)
class StaticAccessSettings:
    """`access.static`."""

    admin_resources: Subjects = section(_admins)
    generate_dp_token: Subjects = section(_admins)
    generate_user_token: Subjects = section(_admins)
    generate_zone_token: Subjects = section(_admins)
    view_config_dump: Subjects = section(_everyone, env="KUMA_ACCESS_STATIC_GET_CONFIG_DUMP")
    view_stats: Subjects = section(_everyone)
    view_clusters: Subjects = section(_everyone)
    control_plane_metadata: Subjects = section(_everyone)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """`access`."""

    type: str = value("static")
    static: StaticAccessSettings = section(StaticAccessSettings)


@dataclass(frozen=True, slots=True)
class KdsWatchdogSettings:
    """`experimental.kdsEventBasedWatchdog`."""

    enabled: bool = value(False)
    flush_interval: Duration = time("5s")
    full_resync_interval: Duration = time("60s")
    delay_full_resync: bool = value(False)


@dataclass(frozen=True, slots=True)
class ExperimentalSettings:
    """`experimental`."""

    kube_outbounds_as_vips: bool = value(True, key="kubeOutboundsAsVIPs")
    use_tag_first_virtual_outbound_model: bool = value(False)
    ingress_tag_filters: list[str] = value([])
    expose_zone_proxy_metrics: bool = value(False)
    kds_event_based_watchdog: KdsWatchdogSettings = section(KdsWatchdogSettings)
    auto_reachable_services: bool = value(False)
    sidecar_containers: bool = value(True)
    delta_xds: bool = value(False)
    inbound_tags_disabled: bool = value(False)


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """`coreResources.status`: how often statuses are written at least."""

    mesh_multi_zone_service_interval: Duration = time("5s")
    mesh_service_interval: Duration = time("5s")
    mesh_identity_interval: Duration = time("5s")
    workload_interval: Duration = time("5s")
    mesh_open_telemetry_backend_interval: Duration = time("5s")


@dataclass(frozen=True, slots=True)
class CoreResourcesSettings:
    """`coreResources`: which kinds exist, by their plural."""

    status: StatusSettings = section(StatusSettings)
    enabled: list[str] = value(
        [
            "hostnamegenerators",
            "meshexternalservices",
            "meshidentities",
            "meshmultizoneservices",
            "meshopentelemetrybackends",
            "meshservices",
            "meshtrusts",
            "meshzoneaddresses",
            "workloads",
        ]
    )


@dataclass(frozen=True, slots=True)
class PoliciesSettings:
    """`policies`: which targetRef policies exist, by their plural."""

    plugin_policies_enabled: list[str] = value(
        [
            "meshaccesslogs",
            "meshcircuitbreakers",
            "meshfaultinjections",
            "meshhealthchecks",
            "meshhttproutes",
            "meshloadbalancingstrategies",
            "meshmetrics",
            "meshpassthroughs",
            "meshproxypatches",
            "meshratelimits",
            "meshretries",
            "meshtcproutes",
            "meshtimeouts",
            "meshtlses",
            "meshtraces",
            "meshtrafficpermissions",
        ],
        env="KUMA_PLUGIN_POLICIES_ENABLED",
    )


@dataclass(frozen=True, slots=True)
class CidrSettings:
    """The addresses that are given to one kind of destination."""

    cidr: str = value("")


@dataclass(frozen=True, slots=True)
class IpamSettings:
    """`ipam`; the known internal CIDRs are what Envoy's x-envoy-internal trusts."""

    mesh_service: CidrSettings = section(partial(CidrSettings, "241.0.0.0/8"))
    mesh_external_service: CidrSettings = section(partial(CidrSettings, "242.0.0.0/8"))
    mesh_multi_zone_service: CidrSettings = section(partial(CidrSettings, "243.0.0.0/8"))
    allocation_interval: Duration = time("5s")
    known_internal_cidrs: list[str] = value(
        ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fc00::/7", "fd00::/8", "127.0.0.1/32", "::1/128"],
        key="knownInternalCIDRs",
    )


@dataclass(frozen=True, slots=True)
class LabelPropagationSettings:
    """`meshService.labelPropagation`."""

    enabled: bool = value(False)
    allowed_label_keys: list[str] = value([])


@dataclass(frozen=True, slots=True)
class MeshServiceSettings:
    """`meshService`: the generator of MeshServices on Universal."""

    generation_interval: Duration = time("2s")
    deletion_grace_period: Duration = time("1h")
    label_propagation: LabelPropagationSettings = section(LabelPropagationSettings)
