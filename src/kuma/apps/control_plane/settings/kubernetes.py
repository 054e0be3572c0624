"""`runtime.kubernetes`: what the injector, the webhooks and the controllers do. Accepted and shown on Universal too."""

from dataclasses import dataclass
from functools import partial

from kuma.apps.control_plane.settings.fields import Duration, section, time, value


@dataclass(frozen=True, slots=True)
class NodeTaintSettings:
    """`nodeTaintController`: keeps pods off nodes whose CNI is not ready."""

    enabled: bool = value(False)
    cni_app: str = value("")
    cni_namespace: str = value("kube-system")


@dataclass(frozen=True, slots=True)
class AdmissionServerSettings:
    """`admissionServer`; cert_dir holds tls.crt and tls.key."""

    address: str = value("")
    port: int = value(5443, go="uint32")
    cert_dir: str = value("")


@dataclass(frozen=True, slots=True)
class InjectorExceptions:
    """`injector.exceptions`: pods with one of these labels are left alone."""

    labels: dict[str, str] = value(
        {"openshift.io/build.name": "*", "openshift.io/deployer-pod-for.name": "*"},
        env="KUMA_RUNTIME_KUBERNETES_EXCEPTIONS_LABELS",
    )


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """A probe of the sidecar container."""

    initial_delay_seconds: int = value(1, go="int32", omit_zero=True)
    timeout_seconds: int = value(3, go="int32", omit_zero=True)
    period_seconds: int = value(5, go="int32", omit_zero=True)
    failure_threshold: int = value(12, go="int32", omit_zero=True)


@dataclass(frozen=True, slots=True)
class ReadinessProbeSettings:
    """The readiness probe of the sidecar container."""

    initial_delay_seconds: int = value(1, go="int32", omit_zero=True)
    timeout_seconds: int = value(3, go="int32", omit_zero=True)
    period_seconds: int = value(5, go="int32", omit_zero=True)
    success_threshold: int = value(1, go="int32", omit_zero=True)
    failure_threshold: int = value(12, go="int32", omit_zero=True)


@dataclass(frozen=True, slots=True)
class Quantities:
    """CPU and memory as Kubernetes quantities."""

    cpu: str = value("", omit_zero=True)
    memory: str = value("", omit_zero=True)


@dataclass(frozen=True, slots=True)
class ResourceSettings:
    """Requests and limits of a container."""

    requests: Quantities = section(partial(Quantities, "20m", "20M"))
    limits: Quantities = section(partial(Quantities, "0", "50M"))


@dataclass(frozen=True, slots=True)
class SidecarContainerSettings:
    """`injector.sidecarContainer`."""

    image: str = value("kuma/kuma-dp:latest", omit_zero=True)
    redirect_port_inbound: int = value(15006, go="uint32", omit_zero=True)
    ip_family_mode: str = value("dualstack", omit_zero=True)
    redirect_port_outbound: int = value(15001, go="uint32", omit_zero=True)
    uid: int = value(5678, go="int64", omit_zero=True)
    # Kuma reads the group from a name that ends in GUI.
    gid: int = value(5678, go="int64", omit_zero=True, env="KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_GUI")
    admin_port: int = value(0, go="uint32", omit_zero=True)
    drain_time: Duration = time("30s", omit_zero=True)
    readiness_probe: ReadinessProbeSettings = section(ReadinessProbeSettings)
    liveness_probe: ProbeSettings = section(partial(ProbeSettings, initial_delay_seconds=60))
    startup_probe: ProbeSettings = section(ProbeSettings)
    resources: ResourceSettings = section(
        partial(ResourceSettings, Quantities("50m", "64Mi"), Quantities("0", "512Mi")),
        env="KUMA_INJECTOR_SIDECAR_CONTAINER_RESOURCES",
    )
    env_vars: dict[str, str] = value({})
    wait_for_dataplane_ready: bool = value(False)


@dataclass(frozen=True, slots=True)
class InitContainerSettings:
    """`injector.initContainer`."""

    image: str = value("kuma/kuma-init:latest", omit_zero=True)
    resources: ResourceSettings = section(ResourceSettings)


@dataclass(frozen=True, slots=True)
class ValidationContainerSettings:
    """`injector.validationContainer`."""

    resources: ResourceSettings = section(ResourceSettings)


@dataclass(frozen=True, slots=True)
class SidecarTrafficSettings:
    """`injector.sidecarTraffic`: ports and addresses that bypass the sidecar."""

    exclude_inbound_ports: list[int] = value([], go="uint32")
    exclude_outbound_ports: list[int] = value([], go="uint32")
    exclude_inbound_ips: list[str] = value([], key="excludeInboundIPs")
    exclude_outbound_ips: list[str] = value([], key="excludeOutboundIPs")


@dataclass(frozen=True, slots=True)
class BuiltinDnsSettings:
    """`injector.builtinDNS`."""

    enabled: bool = value(True, omit_zero=True)
    port: int = value(15053, go="uint32", omit_zero=True)
    logging: bool = value(False, omit_zero=True)
    experimental_proxy: bool = value(True, omit_zero=True)


@dataclass(frozen=True, slots=True)
class EbpfSettings:
    """`injector.ebpf`."""

    enabled: bool = value(False)
    instance_ip_env_var_name: str = value("INSTANCE_IP", key="instanceIPEnvVarName", omit_zero=True)
    bpffs_path: str = value("/sys/fs/bpf", omit_zero=True)
    cgroup_path: str = value("/sys/fs/cgroup", omit_zero=True)
    tc_attach_iface: str = value("", omit_zero=True)
    programs_source_path: str = value("/tmp/kuma-ebpf", omit_zero=True)


@dataclass(frozen=True, slots=True)
class InjectorSpireSettings:
    """`injector.spire`."""

    enabled: bool = value(False)
    mount_path: str = value("/run/spire/sockets")
    socket_file_name: str = value("socket")


@dataclass(frozen=True, slots=True)
class InjectorSettings:
    """`injector`."""

    cni_enabled: bool = value(False)
    exceptions: InjectorExceptions = section(InjectorExceptions)
    virtual_probes_enabled: bool = value(False, env="KUMA_RUNTIME_KUBERNETES_VIRTUAL_PROBES_ENABLED")
    virtual_probes_port: int = value(9000, go="uint32", env="KUMA_RUNTIME_KUBERNETES_VIRTUAL_PROBES_PORT")
    application_probe_proxy_port: int = value(
        9001, go="uint32", env="KUMA_RUNTIME_KUBERNETES_APPLICATION_PROBE_PROXY_PORT"
    )
    ca_cert_file: str = value("")
    sidecar_container: SidecarContainerSettings = section(SidecarContainerSettings)
    init_container: InitContainerSettings = section(InitContainerSettings, env="KUMA_INJECTOR_INIT_CONTAINER")
    validation_container: ValidationContainerSettings = section(
        ValidationContainerSettings, env="KUMA_INJECTOR_VALIDATION_CONTAINER"
    )
    container_patches: list[str] = value([])
    sidecar_traffic: SidecarTrafficSettings = section(
        SidecarTrafficSettings, env="KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC"
    )
    builtin_dns: BuiltinDnsSettings = section(BuiltinDnsSettings, key="builtinDNS")
    ebpf: EbpfSettings = section(EbpfSettings)
    ignored_service_selector_labels: list[str] = value([])
    node_labels_to_copy: list[str] = value(
        ["topology.kubernetes.io/zone", "topology.kubernetes.io/region", "kubernetes.io/hostname"]
    )
    transparent_proxy_config_map: str = value(
        "", env="KUMA_RUNTIME_KUBERNETES_INJECTOR_TRANSPARENT_PROXY_CONFIGMAP_NAME"
    )
    unified_resource_naming_enabled: bool = value(False)
    otel_pipe_enabled: bool = value(True)
    spire: InjectorSpireSettings = section(InjectorSpireSettings)


@dataclass(frozen=True, slots=True)
class ConcurrencySettings:
    """`controllersConcurrency`."""

    pod_controller: int = value(10)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`clientConfig`: rate limits of the client of the Kubernetes API."""

    qps: int = value(100)
    burst_qps: int = value(100)


@dataclass(frozen=True, slots=True)
class LeaderElectionSettings:
    """`leaderElection`."""

    lease_duration: Duration = time("15s")
    renew_deadline: Duration = time("10s")


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """`runtime.kubernetes`."""

    allowed_users: list[str] = value([], omit_zero=True)
    control_plane_service_name: str = value("kuma-control-plane", omit_zero=True)
    node_taint_controller: NodeTaintSettings = section(NodeTaintSettings)
    admission_server: AdmissionServerSettings = section(AdmissionServerSettings)
    injector: InjectorSettings = section(InjectorSettings)
    marshaling_cache_expiration_time: Duration = time("5m")
    controllers_concurrency: ConcurrencySettings = section(ConcurrencySettings)
    client_config: ClientSettings = section(ClientSettings)
    leader_election: LeaderElectionSettings = section(LeaderElectionSettings)
    skip_mesh_owner_reference: bool = value(False)
    support_gateway_secrets_in_all_namespaces: bool = value(False)
    workload_labels: list[str] = value([])
    disallow_multiple_meshes_per_namespace: bool = value(False)
