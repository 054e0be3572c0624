"""Settings of everything that listens: REST, the data plane server, bootstrap, diagnostics, MADS, and between control planes."""

from dataclasses import dataclass

from kuma.apps.control_plane.settings.fields import Duration, PublicKey, section, time, value

TLS_1_2 = "TLSv1_2"


@dataclass(frozen=True, slots=True)
class BootstrapParams:
    """`bootstrapServer.params`; an empty xds_host means the host that kuma-dp used."""

    admin_address: str = value("127.0.0.1")
    admin_port: int = value(9901, go="uint32")
    envoy_admin_unix_socket: bool = value(True)
    readiness_port: int = value(9902, go="uint32")
    admin_access_log_path: str = value("/dev/null")
    xds_host: str = value("")
    xds_port: int = value(0, go="uint32")
    xds_connect_timeout: Duration = time("1s")
    xds_grpc_max_receive_message_bytes: int = value(4194304)
    corefile_template_path: str = value("")


@dataclass(frozen=True, slots=True)
class BootstrapServerSettings:
    """`bootstrapServer`."""

    params: BootstrapParams = section(BootstrapParams)


@dataclass(frozen=True, slots=True)
class MonitoringAssignmentServerSettings:
    """`monitoringAssignmentServer` (MADS)."""

    enabled: bool = value(True)
    port: int = value(5676, go="uint32")
    api_versions: list[str] = value(["v1"])
    assignment_refresh_interval: Duration = time("1s")
    default_fetch_timeout: Duration = time("30s")
    tls_enabled: bool = value(False)
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])


@dataclass(frozen=True, slots=True)
class XdsServerSettings:
    """`xdsServer`. Configurations follow changes at once, so the refresh interval is accepted and has no effect."""

    dataplane_configuration_refresh_interval: Duration = time("1s")
    dataplane_status_flush_interval: Duration = time("10s")
    nack_backoff: Duration = time("5s")
    dataplane_deregistration_delay: Duration = time("10s", env="KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`apiServer.http`."""

    enabled: bool = value(True)
    interface: str = value("0.0.0.0")
    port: int = value(5681, go="uint32")


@dataclass(frozen=True, slots=True)
class HttpsSettings:
    """`apiServer.https`; tls_ca_file checks client certificates."""

    enabled: bool = value(True)
    interface: str = value("0.0.0.0")
    port: int = value(5682, go="uint32")
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_ca_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])
    require_client_cert: bool = value(False)


@dataclass(frozen=True, slots=True)
class ApiAuthSettings:
    """`apiServer.auth`: a folder of *.pem and *.crt client CAs."""

    client_certs_dir: str = value("")


@dataclass(frozen=True, slots=True)
class TokenValidatorSettings:
    """Which keys check a token: those in the store, and public keys given here."""

    use_secrets: bool = value(True)
    public_keys: list[PublicKey] = value([], env="")


@dataclass(frozen=True, slots=True)
class UserTokenSettings:
    """`apiServer.authn.tokens`."""

    bootstrap_admin_token: bool = value(True)
    enable_issuer: bool = value(True)
    validator: TokenValidatorSettings = section(TokenValidatorSettings)


@dataclass(frozen=True, slots=True)
class ApiAuthnSettings:
    """`apiServer.authn`; type is tokens or adminClientCerts."""

    type: str = value("tokens")
    localhost_is_admin: bool = value(True)
    tokens: UserTokenSettings = section(UserTokenSettings)


@dataclass(frozen=True, slots=True)
class GuiSettings:
    """`apiServer.gui`."""

    enabled: bool = value(True)
    root_url: str = value("")
    base_path: str = value("/gui")


@dataclass(frozen=True, slots=True)
class ApiServerSettings:
    """`apiServer`: REST and GUI."""

    http: HttpSettings = section(HttpSettings)
    https: HttpsSettings = section(HttpsSettings)
    auth: ApiAuthSettings = section(ApiAuthSettings)
    authn: ApiAuthnSettings = section(ApiAuthnSettings)
    read_only: bool = value(False)
    cors_allowed_domains: list[str] = value([])
    root_url: str = value("")
    base_path: str = value("/")
    gui: GuiSettings = section(GuiSettings)
    read_header_timeout: Duration = time("1s")
    read_timeout: Duration = time("10s")
    write_timeout: Duration = time("30s")
    idle_timeout: Duration = time("2m")


@dataclass(frozen=True, slots=True)
class DiagnosticsSettings:
    """`diagnostics`: health, metrics, log levels."""

    server_port: int = value(5680, go="uint32")
    debug_endpoints: bool = value(False)
    tls_enabled: bool = value(False)
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])


@dataclass(frozen=True, slots=True)
class ProxyTokenSettings:
    """Tokens of Dataplanes or of zone proxies: may this control plane issue them, and what checks them."""

    enable_issuer: bool = value(True)
    validator: TokenValidatorSettings = section(TokenValidatorSettings)


@dataclass(frozen=True, slots=True)
class DpProxyAuthnSettings:
    """`dpServer.authn.dpProxy`; type is serviceAccountToken, dpToken, none, or empty: by the environment."""

    type: str = value("")
    dp_token: ProxyTokenSettings = section(ProxyTokenSettings)


@dataclass(frozen=True, slots=True)
class ZoneProxyAuthnSettings:
    """`dpServer.authn.zoneProxy`; type is serviceAccountToken, zoneToken, none, or empty: by the environment."""

    type: str = value("")
    zone_token: ProxyTokenSettings = section(ProxyTokenSettings)


@dataclass(frozen=True, slots=True)
class DpAuthnSettings:
    """`dpServer.authn`."""

    dp_proxy: DpProxyAuthnSettings = section(DpProxyAuthnSettings)
    zone_proxy: ZoneProxyAuthnSettings = section(ZoneProxyAuthnSettings)
    enable_reloadable_tokens: bool = value(False)


@dataclass(frozen=True, slots=True)
class HdsCheckSettings:
    """`dpServer.hds.checkDefaults`: what a health check takes where the Dataplane does not say."""

    timeout: Duration = time("2s")
    interval: Duration = time("1s")
    no_traffic_interval: Duration = time("1s")
    healthy_threshold: int = value(1, go="uint32")
    unhealthy_threshold: int = value(1, go="uint32")


@dataclass(frozen=True, slots=True)
class HdsSettings:
    """`dpServer.hds`: health discovery, Universal only."""

    enabled: bool = value(True)
    interval: Duration = time("5s")
    refresh_interval: Duration = time("10s")
    check_defaults: HdsCheckSettings = section(HdsCheckSettings, env="KUMA_DP_SERVER_HDS_CHECK")


@dataclass(frozen=True, slots=True)
class DpServerSettings:
    """`dpServer`: the port that agents and Envoys talk to."""

    port: int = value(5678)
    tls_cert_file: str = value("")
    tls_key_file: str = value("")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])
    read_header_timeout: Duration = time("5s")
    graceful_shutdown_timeout: Duration = time("10s")
    authn: DpAuthnSettings = section(DpAuthnSettings)
    hds: HdsSettings = section(HdsSettings)


@dataclass(frozen=True, slots=True)
class InterCpCatalogSettings:
    """`interCp.catalog`: the list of control plane instances on one store."""

    instance_address: str = value("")
    heartbeat_interval: Duration = time("5s")
    writer_interval: Duration = time("15s")
    instance_version: str = value("")


@dataclass(frozen=True, slots=True)
class InterCpServerSettings:
    """`interCp.server`."""

    port: int = value(5683, go="uint16")
    tls_min_version: str = value(TLS_1_2)
    tls_max_version: str = value("")
    tls_cipher_suites: list[str] = value([])


@dataclass(frozen=True, slots=True)
class InterCpSettings:
    """`interCp`."""

    catalog: InterCpCatalogSettings = section(InterCpCatalogSettings)
    server: InterCpServerSettings = section(InterCpServerSettings)
