"""What is wrong with settings that could be read: the first problem as a chain of words, from the section to the leaf.

The texts are Kuma's where it has one. Which sections are looked at depends on the mode.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kuma.base import errors, labels

if TYPE_CHECKING:
    from kuma.apps.control_plane.settings import store as settings_store
    from kuma.apps.control_plane.settings.tree import Settings

Problems = Iterable[str]

STORE_TYPES = ("sqlite", "postgres", "kubernetes", "memory")
TLS_VERSIONS = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")
_CIPHER_NAMES = """
    AES_128_GCM_SHA256 AES_256_GCM_SHA384 CHACHA20_POLY1305_SHA256
    RSA_WITH_RC4_128_SHA RSA_WITH_3DES_EDE_CBC_SHA RSA_WITH_AES_128_CBC_SHA RSA_WITH_AES_256_CBC_SHA
    RSA_WITH_AES_128_CBC_SHA256 RSA_WITH_AES_128_GCM_SHA256 RSA_WITH_AES_256_GCM_SHA384
    ECDHE_ECDSA_WITH_RC4_128_SHA ECDHE_RSA_WITH_RC4_128_SHA ECDHE_RSA_WITH_3DES_EDE_CBC_SHA
    ECDHE_ECDSA_WITH_AES_128_CBC_SHA ECDHE_ECDSA_WITH_AES_256_CBC_SHA ECDHE_RSA_WITH_AES_128_CBC_SHA
    ECDHE_RSA_WITH_AES_256_CBC_SHA ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 ECDHE_RSA_WITH_AES_128_CBC_SHA256
    ECDHE_RSA_WITH_AES_128_GCM_SHA256 ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 ECDHE_RSA_WITH_AES_256_GCM_SHA384
    ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
"""
_CIPHERS = frozenset(f"TLS_{name}" for name in _CIPHER_NAMES.split())
"""The names of IANA's TLS registry that Go knows (pkg.go.dev/crypto/tls), which is what Kuma accepts."""
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_TLS_MODES = ("disable", "verifyNone", "verifyCa", "verifyFull")


def first_problem(settings: Settings) -> str | None:
    """The chain that follows `configuration validation failed: `, or None."""
    for title, check in _sections(settings.mode):
        for problem in check(settings):
            return f"{title}: {problem}" if title else problem
    return None


def require_supported(settings: Settings) -> None:
    """BadRequest where valid settings ask for a part of Kuma that this control plane does not have."""
    if settings.store.type == "kubernetes":
        raise errors.BadRequest(
            'store.type: this control plane has no store of type "kubernetes" yet; use "sqlite", "postgres" or "memory"'
        )
    if settings.environment == "kubernetes":
        raise errors.BadRequest('environment: this control plane does not run on Kubernetes yet; use "universal"')


def _sections(mode: str) -> list[tuple[str, Callable[[Settings], Problems]]]:
    common: list[tuple[str, Callable[[Settings], Problems]]] = [
        ("Store validation failed", lambda s: _store(s.store)),
        ("ApiServer validation failed", _api_server),
        ("DNSServer validation failed", _dns),
        ("Diagnostics validation failed", lambda s: _listener(s.diagnostics, s.diagnostics.server_port, ".ServerPort")),
        ("InterCp validation failed", _inter_cp),
        ("IPAM validation failed", _ipam),
        ("MeshService validation failed", _mesh_service),
    ]
    of_global: list[tuple[str, Callable[[Settings], Problems]]] = [("Multizone Global validation failed", _kds)]
    of_zone: list[tuple[str, Callable[[Settings], Problems]]] = [
        ("Multizone Zone validation failed", _zone),
        ("Xds Server validation failed", _xds),
        ("Bootstrap Server validation failed", _bootstrap),
        ("Monitoring Assignment Server validation failed", _mads),
        ("", _environment),
        ("Dp Server validation failed", _dp_server),
        ("Runtime validation failed", _runtime),
        ("Metrics validation failed", _metrics),
    ]
    first: list[tuple[str, Callable[[Settings], Problems]]] = [
        ("Mode validation failed", _mode),
        # Servers without TLS settings of their own inherit these.
        ("General validation failed", lambda s: _tls(s.general)),
    ]
    return first + (of_global if mode == "global" else of_zone) + common


def _mode(settings: Settings) -> Problems:
    if settings.mode not in ("zone", "global"):
        yield "invalid mode. Available modes: standalone, zone, global"


def _environment(settings: Settings) -> Problems:
    if settings.environment not in ("universal", "kubernetes"):
        yield "Environment should be either kubernetes or universal"


def _port(port: int, label: str = "Port") -> Problems:
    if not 0 <= port <= 65535:
        yield f"{label} must be in range [0, 65535]"


def _positive(section: Any, **labels: str) -> Problems:
    for attribute, label in labels.items():
        if getattr(section, attribute) <= 0:
            yield f".{label} must be positive"


def _listener(section: Any, port: int, label: str) -> Problems:
    """A port and the TLS settings beside it."""
    yield from _port(port, label)
    cert, key = getattr(section, "tls_cert_file", ""), getattr(section, "tls_key_file", "")
    if cert and not key:
        yield ".TlsKeyFile cannot be empty if TlsCertFile has been set"
    if key and not cert:
        yield ".TlsCertFile cannot be empty if TlsKeyFile has been set"
    yield from _tls(section)


def _tls(section: Any) -> Problems:
    """Versions and ciphers of a section."""
    for version in (section.tls_min_version, section.tls_max_version):
        if version and version not in TLS_VERSIONS:
            yield f"unsupported tls version: {version} supported versions:{','.join(TLS_VERSIONS)}"
    for cipher in section.tls_cipher_suites:
        if cipher not in _CIPHERS:
            yield f"unsupported tls cipher: {cipher}"


def _public_keys(validator: Any, where: str) -> Problems:
    for index, key in enumerate(validator.public_keys):
        at = f"{where}.PublicKeys[{index}] is not valid: "
        if not key.kid:
            yield f"{at}.KID is required"
        if not key.key and not key.key_file:
            yield f"{at}either .KeyFile or .Key has to be defined"
        if key.key and key.key_file:
            yield f"{at}both .KeyFile or .Key cannot be defined"


def _cidr(text: str, label: str = "CIDR") -> Problems:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        yield f"{label} must be valid"
    else:
        if "/" not in text:
            yield f"{label} must be valid"


def _url(text: str, label: str) -> Problems:
    try:
        parsed = urllib.parse.urlsplit(text)
    except ValueError:
        yield f"{label} is not a valid url"
        return
    if any(char.isspace() for char in text) or (parsed.netloc and not parsed.scheme):
        yield f"{label} is not a valid url"


def _store(store: settings_store.StoreSettings) -> Problems:
    if store.type not in STORE_TYPES:
        yield "Type should be either sqlite, postgres, kubernetes or memory"
    if store.type == "sqlite" and not store.sqlite.path:
        yield "Sqlite validation failed: Path should not be empty"
    if store.type == "kubernetes" and not store.kubernetes.system_namespace:
        yield "Kubernetes validation failed: SystemNamespace should not be empty"
    if store.type == "postgres":
        for problem in _postgres(store.postgres):
            yield f"Postgres validation failed: {problem}"


def _postgres(postgres: settings_store.PostgresSettings) -> Problems:
    if not postgres.host:
        yield "Host should not be empty"
    if postgres.port < 0:
        yield "Port cannot be negative"
    for label, text in (("User", postgres.user), ("Password", postgres.password), ("DbName", postgres.db_name)):
        if not text:
            yield f"{label} should not be empty"
    tls = postgres.tls
    if tls.mode not in _TLS_MODES:
        yield f"TLS validation failed: invalid mode: {tls.mode}"
    if tls.mode in ("verifyCa", "verifyFull") and not tls.ca_path:
        yield "TLS validation failed: CAPath cannot be empty"
    if tls.cert_path and not tls.key_path:
        yield "TLS validation failed: KeyPath cannot be empty when CertPath is provided"
    if tls.key_path and not tls.cert_path:
        yield "TLS validation failed: CertPath cannot be empty when KeyPath is provided"
    if postgres.max_open_connections and postgres.min_open_connections > postgres.max_open_connections:
        yield "MinOpenConnections should be less than MaxOpenConnections"
    if not 0 <= postgres.read_replica.ratio <= 100:
        yield "ReadReplica validation failed: .Ratio out of [0-100] range"


def _api_server(settings: Settings) -> Problems:
    api = settings.api_server
    for label, listener in (("HTTP", api.http), ("HTTPS", api.https)):
        if not listener.interface:
            yield f".{label} not valid: Interface cannot be empty"
        for problem in _port(listener.port):
            yield f".{label} not valid: {problem}"
    for problem in _listener(api.https, api.https.port, "Port"):
        yield f".HTTPS not valid: {problem}"
    yield from _public_keys(api.authn.tokens.validator, ".Authn.Tokens.Validator")
    yield from _url(api.root_url, "RootUrl")
    yield from _url(api.gui.root_url, "RootUrl")
    yield from _url(api.base_path, "BasePath")
    yield from _url(api.gui.base_path, "BaseGuiPath")


def _zone(settings: Settings) -> Problems:
    zone = settings.multizone.zone
    if not zone.name:
        yield "Name is mandatory"
    elif len(zone.name) > 63:
        yield "Zone name cannot be longer than 63 characters"
    elif not _DNS_LABEL.fullmatch(zone.name):
        yield f"Zone name {zone.name} has to be a valid DNS name"
    if zone.global_address:
        scheme = zone.global_address.partition("://")[0]
        if scheme not in ("grpc", "grpcs"):
            yield f'unsupported scheme "{scheme}" in zone GlobalAddress. Use one of [grpc grpcs]'
    yield from _positive(zone.kds, refresh_interval="RefreshInterval")


def _kds(settings: Settings) -> Problems:
    kds = settings.multizone.global_.kds
    if not 0 <= kds.grpc_port <= 65535:
        yield ".GrpcPort must be in the range [0, 65535]"
    yield from _positive(kds, refresh_interval="RefreshInterval")
    yield from _listener(kds, 0, "")
    check = kds.zone_health_check
    if bool(check.poll_interval) != bool(check.timeout):
        yield "timeout and pollInterval must both be either set or unset"


def _xds(settings: Settings) -> Problems:
    yield from _positive(
        settings.xds_server,
        dataplane_configuration_refresh_interval="DataplaneConfigurationRefreshInterval",
        dataplane_status_flush_interval="DataplaneStatusFlushInterval",
    )


def _bootstrap(settings: Settings) -> Problems:
    params = settings.bootstrap_server.params
    if not params.admin_address:
        yield "Params validation failed: AdminAddress cannot be empty"
    for label, port in (("AdminPort", params.admin_port), ("XdsPort", params.xds_port)):
        for problem in _port(port, label):
            yield f"Params validation failed: {problem}"
    if not 0 < params.readiness_port <= 65535:
        yield "Params validation failed: ReadinessPort must be in range (0, 65535]"
    if params.xds_connect_timeout < 0:
        yield "Params validation failed: XdsConnectTimeout cannot be negative"


def _mads(settings: Settings) -> Problems:
    mads = settings.monitoring_assignment_server
    yield from _listener(mads, mads.port, ".Port")
    if mads.enabled and not mads.api_versions:
        yield ".ApiVersions must not be empty"
    for version in mads.api_versions:
        if version != "v1":
            yield f".ApiVersions contains invalid version {version}"
    yield from _positive(mads, assignment_refresh_interval="AssignmentRefreshInterval")


def _dp_server(settings: Settings) -> Problems:
    server = settings.dp_server
    yield from _listener(server, server.port, ".Port")
    if server.authn.dp_proxy.type not in ("", "serviceAccountToken", "dpToken", "none"):
        yield f".Authn.DpProxy.Type is invalid. Available values are: serviceAccountToken, dpToken, none. Got {server.authn.dp_proxy.type}"
    if server.authn.zone_proxy.type not in ("", "serviceAccountToken", "zoneToken", "none"):
        yield f".Authn.ZoneProxy.Type is invalid. Available values are: serviceAccountToken, zoneToken, none. Got {server.authn.zone_proxy.type}"
    yield from _public_keys(server.authn.dp_proxy.dp_token.validator, ".Authn.DpProxy.DpToken.Validator")
    yield from _public_keys(server.authn.zone_proxy.zone_token.validator, ".Authn.ZoneProxy.ZoneToken.Validator")
    yield from _positive(server.hds, interval="Hds.Interval", refresh_interval="Hds.RefreshInterval")


def _runtime(settings: Settings) -> Problems:
    if settings.environment == "universal":
        universal = settings.runtime.universal
        yield from _positive(universal, vip_refresh_interval="VIPRefreshInterval")
    elif settings.environment == "kubernetes":
        yield from _port(settings.runtime.kubernetes.admission_server.port, ".AdmissionServer.Port")


def _metrics(settings: Settings) -> Problems:
    for section in (settings.metrics.dataplane, settings.metrics.zone):
        if section.subscription_limit < 0:
            yield "SubscriptionLimit should be positive or equal 0"
    resync = settings.metrics.mesh
    if resync.full_resync_interval <= resync.min_resync_interval:
        yield "FullResyncInterval should be greater than MinResyncInterval"


def _dns(settings: Settings) -> Problems:
    dns = settings.dns_server
    if dns.domain.startswith("."):
        yield "domain must not start with a dot"
    yield from _cidr(dns.cidr)
    if dns.service_vip_port == 0:
        yield "port can't be 0"


def _inter_cp(settings: Settings) -> Problems:
    yield from _listener(settings.inter_cp.server, settings.inter_cp.server.port, ".Server.Port")
    yield from _positive(
        settings.inter_cp.catalog, heartbeat_interval="HeartbeatInterval", writer_interval="WriterInterval"
    )


def _ipam(settings: Settings) -> Problems:
    ipam = settings.ipam
    for label, part in (
        ("MeshService", ipam.mesh_service),
        ("MeshExternalService", ipam.mesh_external_service),
        ("MeshMultiZoneService", ipam.mesh_multi_zone_service),
    ):
        for problem in _cidr(part.cidr):
            yield f"{label} validation failed: {problem}"
    for text in ipam.known_internal_cidrs:
        yield from _cidr(text, f"KnownInternalCIDRs {text}")


def _mesh_service(settings: Settings) -> Problems:
    for key in settings.mesh_service.label_propagation.allowed_label_keys:
        if labels.is_reserved(key):
            yield f'.MeshService.LabelPropagation.AllowedLabelKeys contains reserved key "{key}"'
