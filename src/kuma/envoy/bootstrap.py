"""Envoy's first configuration: who the proxy is and how it reaches the control plane. A pure function.

Everything else comes later over xDS. Leaves are plain values in Envoy's proto JSON, because the whole is written
once as text and never edited. Source: Envoy's `config.bootstrap.v3.Bootstrap`; choices as Kuma 2.14 makes them.
"""

import base64
import ipaddress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from kuma.base import durations, sockets
from kuma.envoy import bootstrap_request as requests
from kuma.envoy import names

Json = dict[str, Any]

FEATURE_DELTA_GRPC = "feature-delta-grpc"
FEATURE_UNIFIED_NAMING = "feature-unified-resource-naming"
DEFAULT_MAX_DOWNSTREAM_CONNECTIONS = 50_000
VALIDATION_SECRET = "cp_validation_ctx"

_TYPE = "type.googleapis.com/"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_FILE_TOKEN = "envoy.grpc_credentials.file_based_metadata"

_STATS_TAGS = (
    ("name", r"^grpc\.((.+)\.)"),
    ("status", r"^grpc.*streams_closed(_([0-9]+))"),
    ("kafka_name", r"^kafka(\.(\S*[0-9]))\."),
    ("kafka_type", r"^kafka\..*\.(.*?(?=_duration|$))"),
    ("worker", r"(worker_([0-9]+)\.)"),
    ("listener", r"((.+?)\.)rbac\."),
)


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of the control plane (`bootstrapServer.params`, `dpServer`) that shape every bootstrap.

    `xds_host` empty: the name the agent used. `xds_connect_timeout` in nanoseconds. `reloadable_tokens`: Envoy
    reads the token from its file for each stream instead of holding it.
    """

    admin_address: str = "127.0.0.1"
    admin_port: int = 9901
    admin_unix_socket: bool = True
    admin_access_log_path: str = "/dev/null"
    xds_host: str = ""
    xds_port: int = 5678
    xds_connect_timeout: int = durations.SECOND
    xds_max_receive_bytes: int = 4 * 1024 * 1024
    reloadable_tokens: bool = False
    hds_enabled: bool = True
    gateway_max_connections: int = DEFAULT_MAX_DOWNSTREAM_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Facts:
    """What the control plane knows about this proxy.

    `service` becomes `node.cluster`. `admin_port` is the resource's own, 0 where it has none. `ca` is the PEM that
    Envoy trusts for the control plane. `host_v4_only`: the host is a name with IPv4 addresses alone.
    """

    service: str
    xds_host: str
    ca: bytes = b""
    admin_port: int = 0
    builtin_gateway: bool = False
    exclusive_mesh_services: bool = False
    host_v4_only: bool = False
    extra_metadata: Json = field(default_factory=dict)


def generate_bootstrap(request: requests.Request, facts: Facts, params: Params) -> Json:
    """The bootstrap as proto JSON."""
    config = _Bootstrap(request, facts, params)
    out: Json = {
        "node": config.node(),
        "layeredRuntime": {"layers": config.runtime_layers()},
        "statsConfig": {"statsTags": [{"tagName": tag, "regex": regex} for tag, regex in _STATS_TAGS]},
        "dynamicResources": config.dynamic_resources(),
        "staticResources": {"secrets": [config.validation_secret()], "clusters": config.clusters()},
        "defaultRegexEngine": {
            "name": "envoy.regex_engines.google_re2",
            "typedConfig": {"@type": _TYPE + "envoy.extensions.regex_engines.v3.GoogleRE2"},
        },
    }
    if params.hds_enabled and request.kind_of_proxy == requests.DATAPLANE:
        out["hdsConfig"] = config.stream_config("GRPC")
    if config.admin_port:
        out["admin"] = config.admin()
    if facts.builtin_gateway:
        out["overloadManager"] = config.overload_manager()
    return out


def to_yaml(bootstrap: Json) -> bytes:
    """Deterministic YAML: sorted keys, no anchors."""
    # The round trip gives every place its own object; PyYAML would write shared ones as references.
    unshared = msgspec.json.decode(msgspec.json.encode(bootstrap))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(unshared, Dumper=dumper, sort_keys=True, allow_unicode=True, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Bootstrap:
    request: requests.Request
    facts: Facts
    params: Params

    @property
    def admin_port(self) -> int:
        return self.facts.admin_port or self.params.admin_port

    @property
    def admin_socket(self) -> str:
        wanted = self.params.admin_unix_socket and self.request.workdir and self.admin_port
        return sockets.admin(self.request.workdir) if wanted else ""

    @property
    def unified_naming(self) -> bool:
        # The feature alone is not enough: elsewhere dashboards still select the legacy names.
        return (
            FEATURE_UNIFIED_NAMING in self.request.features
            and self.facts.exclusive_mesh_services
            and self.request.kind_of_proxy == requests.DATAPLANE
        )

    @property
    def token_from_file(self) -> bool:
        return self.params.reloadable_tokens and bool(self.request.dataplane_token_path)

    @property
    def ads_cluster(self) -> str:
        return "system_ads" if self.unified_naming else "ads_cluster"

    def node(self) -> Json:
        return {
            "id": f"{self.request.mesh}.{self.request.name}",
            "cluster": self.facts.service,
            "metadata": self._metadata(),
        }

    def _metadata(self) -> Json:
        request = self.request
        out: Json = {
            "version": msgspec.to_builtins(request.version),
            "features": list(request.features),
            "workdir": request.workdir,
            "metricsCertPath": request.metrics_resources.cert_path,
            "metricsKeyPath": request.metrics_resources.key_path,
            "systemCaPath": request.system_ca_path,
            "spireAgent.socketPath": request.spire_resources.socket_path,
            "ipv6Enabled": request.ipv6_enabled,
            "dataplane.proxyType": request.kind_of_proxy,
        }
        if self.admin_port:
            out["dataplane.admin.port"] = str(self.admin_port)
            out["dataplane.admin.address"] = self.params.admin_address
        optional: Json = {
            "dataplane.admin.socketPath": self.admin_socket,
            "dataplane.dns.port": str(request.dns_port or ""),
            "dataplane.readinessReporter.port": str(request.readiness_port or ""),
            "dataplane.appProbeProxy.enabled": "true" if request.app_probe_proxy_enabled else "",
            "dataplane.resource": request.dataplane_resource,
            "dynamicMetadata": request.dynamic_metadata,
            "transparentProxy": request.transparent_proxy,
            "otelEnvInventory": request.otel_env,
        }
        return out | {key: value for key, value in optional.items() if value} | self.facts.extra_metadata

    def runtime_layers(self) -> list[Json]:
        # Large regexes are the mesh owner's choice: warn from 1000 nodes on, never refuse.
        limits = {"re2.max_program_size.error_level": 4294967295, "re2.max_program_size.warn_level": 1000}
        layers: list[Json] = [{"name": "kuma", "staticLayer": limits}]
        if self.facts.builtin_gateway:
            name = "gateway.listeners"
            source = {"ads": {}, "resourceApiVersion": "V3"}
            layers.append({"name": name, "rtdsLayer": {"name": name, "rtdsConfig": source}})
        return layers

    def dynamic_resources(self) -> Json:
        source = {"ads": {}, "initialFetchTimeout": "0s", "resourceApiVersion": "V3"}
        delta = FEATURE_DELTA_GRPC in self.request.features
        return {
            "ldsConfig": source,
            "cdsConfig": source,
            "adsConfig": self.stream_config("DELTA_GRPC" if delta else "GRPC"),
        }

    def stream_config(self, api_type: str) -> Json:
        """How ADS and HDS reach the control plane."""
        return {
            "apiType": api_type,
            "transportApiVersion": "V3",
            "setNodeOnFirstMessageOnly": True,
            "grpcServices": [self._google_grpc() if self.token_from_file else self._envoy_grpc()],
        }

    def _envoy_grpc(self) -> Json:
        out: Json = {"envoyGrpc": {"clusterName": self.ads_cluster}}
        if self.request.dataplane_token:
            out["initialMetadata"] = [{"key": "authorization", "value": self.request.dataplane_token}]
        return out

    def _google_grpc(self) -> Json:
        arguments = {
            "grpc.keepalive_time_ms": 10_000,
            "grpc.keepalive_timeout_ms": 30_000,
            "grpc.http2.max_pings_without_data": 0,
            "grpc.max_receive_message_length": self.params.xds_max_receive_bytes,
        }
        token = {
            "@type": _TYPE + "envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
            "secretData": {"filename": self.request.dataplane_token_path},
        }
        service: Json = {
            "targetUri": names.host_port(self.facts.xds_host, self.params.xds_port),
            "statPrefix": "ads",
            "credentialsFactoryName": _FILE_TOKEN,
            "callCredentials": [{"fromPlugin": {"name": _FILE_TOKEN, "typedConfig": token}}],
            "channelArgs": {"args": {name: {"intValue": str(value)} for name, value in arguments.items()}},
        }
        if self.facts.ca:
            roots = {"rootCerts": {"inlineBytes": _base64(self.facts.ca)}}
            service["channelCredentials"] = {"sslCredentials": roots}
        return {"googleGrpc": service}

    def validation_secret(self) -> Json:
        # One matcher a type, because Envoy compares a name only with entries of the type that is asked for.
        host = {"exact": self.facts.xds_host}
        context: Json = {
            "matchTypedSubjectAltNames": [
                {"sanType": "DNS", "matcher": host},
                {"sanType": "IP_ADDRESS", "matcher": host},
            ],
            "trustedCa": {"inlineBytes": _base64(self.facts.ca)},
        }
        return {"name": VALIDATION_SECRET, "validationContext": context}

    def clusters(self) -> list[Json]:
        request = self.request
        sink = "system_access_log_sink" if self.unified_naming else "access_log_sink"
        pipe = {"pipe": {"path": sockets.access_log(request.workdir, request.mesh, request.name)}}
        out = [self._cluster(sink, "STATIC", pipe)]
        if not self.token_from_file:
            out.append(self._control_plane_cluster())
        return out

    def _control_plane_cluster(self) -> Json:
        host = self.facts.xds_host
        address = {"socketAddress": {"address": host, "portValue": self.params.xds_port}}
        out = self._cluster(self.ads_cluster, "STATIC" if _is_ip(host) else "STRICT_DNS", address)
        out["transportSocket"] = {
            "name": "envoy.transport_sockets.tls",
            "typedConfig": {
                "@type": _TYPE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
                "commonTlsContext": {
                    "tlsParams": {"tlsMinimumProtocolVersion": "TLSv1_2"},
                    "validationContextSdsSecretConfig": {"name": VALIDATION_SECRET},
                },
            },
        }
        if self.facts.host_v4_only:
            out["dnsLookupFamily"] = "V4_ONLY"
        return out

    def _cluster(self, name: str, kind: str, address: Json) -> Json:
        http2 = {"@type": _TYPE + _HTTP_OPTIONS, "explicitHttpConfig": {"http2ProtocolOptions": {}}}
        endpoints = [{"lbEndpoints": [{"endpoint": {"address": address}}]}]
        return {
            "name": name,
            "type": kind,
            "connectTimeout": durations.format_proto(self.params.xds_connect_timeout),
            "typedExtensionProtocolOptions": {_HTTP_OPTIONS: http2},
            "upstreamConnectionOptions": {
                "tcpKeepalive": {"keepaliveProbes": 3, "keepaliveTime": 10, "keepaliveInterval": 10}
            },
            "loadAssignment": {"clusterName": name, "endpoints": endpoints},
        }

    def admin(self) -> Json:
        address: Json = {"socketAddress": {"address": self.params.admin_address, "portValue": self.admin_port}}
        if self.admin_socket:
            address = {"pipe": {"path": self.admin_socket, "mode": 0o600}}
        log: Json = {"@type": _TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"}
        log["path"] = self.params.admin_access_log_path
        return {"address": address, "accessLog": [{"name": "envoy.access_loggers.file", "typedConfig": log}]}

    def overload_manager(self) -> Json:
        monitors_type = _TYPE + "envoy.extensions.resource_monitors."
        connections = self.params.gateway_max_connections or DEFAULT_MAX_DOWNSTREAM_CONNECTIONS
        out: Json = {
            "refreshInterval": "0.250s",
            "resourceMonitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typedConfig": {
                        "@type": monitors_type + "downstream_connections.v3.DownstreamConnectionsConfig",
                        "maxActiveDownstreamConnections": str(connections),
                    },
                }
            ],
        }
        heap = self.request.resources.max_heap_size_bytes
        if heap > 0:
            monitor = "envoy.resource_monitors.fixed_heap"
            config = {"@type": monitors_type + "fixed_heap.v3.FixedHeapConfig", "maxHeapSizeBytes": str(heap)}
            out["resourceMonitors"].append({"name": monitor, "typedConfig": config})
            out["actions"] = [
                {
                    "name": f"envoy.overload_actions.{action}",
                    "triggers": [{"name": monitor, "threshold": {"value": at}}],
                }
                for action, at in (("shrink_heap", 0.95), ("stop_accepting_requests", 0.98))
            ]
        return out


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
