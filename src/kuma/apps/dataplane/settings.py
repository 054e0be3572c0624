"""What `kuma-dp run` can be told: one row a setting, with its flag, its environment variable and its default.

Flags win over the environment, the environment over defaults. Names, defaults and texts as Kuma 2.14; rows of our
own say so. Durations are nanoseconds.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kuma.apps.dataplane.failure import AgentError
from kuma.base import durations

PROXY_TYPES = {"dataplane": "Dataplane", "ingress": "ZoneIngress", "egress": "ZoneEgress"}
"""Proxy types, and the kind of resource that defines each."""

DEFAULT_MESH = "default"

_BAD_IN_NAMES = set("$(){}")
_WHICH_PROXY = (
    "Say which proxy to run: --service NAME --port PORT to enrol a process, -d FILE for a Dataplane definition, "
    "or --name NAME --mesh MESH for a Dataplane that exists"
)


def _text(raw: str) -> str:
    return raw


def _boolean(raw: str) -> bool:
    if raw in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if raw in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{raw}": invalid syntax')


def _natural(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit():
        raise ValueError(f'strconv.ParseUint: parsing "{raw}": invalid syntax')
    return int(raw)


def _pairs(raw: str) -> tuple[tuple[str, str], ...]:
    """`a=1,b=2`; a pair with a comma in it is written in double quotes."""
    found = []
    for pair in next(csv.reader([raw]), []):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair} must be formatted as key=value")
        found.append((key, value))
    return tuple(found)


def _words(raw: str) -> tuple[str, ...]:
    return tuple(each for each in raw.split(",") if each)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `flags` without dashes; a flag of one letter is written with one dash."""

    field: str
    parse: Callable[[str], Any]
    default: Any
    env: str = ""
    flags: tuple[str, ...] = ()
    help: str = ""
    repeatable: bool = False


_RUNTIME = "KUMA_DATAPLANE_RUNTIME_"

ROWS: tuple[Row, ...] = (
    Row("name", _text, "", "KUMA_DATAPLANE_NAME", ("name",), "Name of the Dataplane"),
    Row("mesh", _text, "", "KUMA_DATAPLANE_MESH", ("mesh",), "Mesh of the Dataplane (default: default)"),
    Row("proxy_type", _text, "dataplane", "KUMA_DATAPLANE_PROXY_TYPE", ("proxy-type",), "dataplane, ingress or egress"),
    Row(
        "drain_time",
        durations.parse_go,
        30 * durations.SECOND,
        "KUMA_DATAPLANE_DRAIN_TIME",
        ("drain-time",),
        "How long connections may finish after SIGTERM",
    ),
    Row("readiness_port", _natural, 9902, "KUMA_READINESS_PORT"),
    Row("restart_base", durations.parse_go, 5 * durations.SECOND, "KUMA_DATAPLANE_RESILIENT_COMPONENT_BASE_BACKOFF"),
    Row("restart_max", durations.parse_go, durations.MINUTE, "KUMA_DATAPLANE_RESILIENT_COMPONENT_MAX_BACKOFF"),
    Row(
        "restart_envoy",
        _boolean,
        False,
        "KUMA_DATAPLANE_RUNTIME_RESTART_ENVOY",
        ("restart-envoy",),
        "Start Envoy again when it ends, instead of ending with it",
    ),
    Row(
        "cp_address",
        _text,
        "https://localhost:5678",
        "KUMA_CONTROL_PLANE_URL",
        ("cp-address",),
        "Data plane server of the control plane",
    ),
    Row(
        "cp_api_address",
        _text,
        "",
        "KUMA_CONTROL_PLANE_API_URL",
        ("cp-api-address",),
        "REST API to fetch a token from (default: the host of --cp-address, port 5681)",
    ),
    Row("ca_cert", _text, "", "KUMA_CONTROL_PLANE_CA_CERT"),
    Row(
        "ca_cert_file",
        _text,
        "",
        "KUMA_CONTROL_PLANE_CA_CERT_FILE",
        ("ca-cert-file",),
        "CA that signed the control plane's certificate",
    ),
    Row(
        "skip_verify",
        _boolean,
        False,
        "KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY",
        ("skip-verify",),
        "Do not verify the control plane's certificate when bootstrapping",
    ),
    Row("retry_backoff", durations.parse_go, 3 * durations.SECOND, "KUMA_CONTROL_PLANE_RETRY_BACKOFF"),
    Row("retry_max_duration", durations.parse_go, 0, "KUMA_CONTROL_PLANE_RETRY_MAX_DURATION"),
    Row("binary_path", _text, "envoy", f"{_RUNTIME}BINARY_PATH", ("binary-path",), "Envoy's executable"),
    Row(
        "concurrency", _natural, 0, f"{_RUNTIME}CONCURRENCY", ("concurrency",), "Worker threads of Envoy, 0: automatic"
    ),
    Row("config_dir", _text, "", f"{_RUNTIME}CONFIG_DIR", ("config-dir",), "Deprecated: use --work-dir"),
    Row("socket_dir", _text, "", f"{_RUNTIME}SOCKET_DIR"),
    Row("work_dir", _text, "", f"{_RUNTIME}WORK_DIR", ("work-dir",), "Folder for sockets and Envoy's configuration"),
    Row("token_file", _text, "", f"{_RUNTIME}TOKEN_PATH", ("dataplane-token-file",), "File with the dataplane token"),
    Row("token", _text, "", f"{_RUNTIME}TOKEN", ("dataplane-token",), "The dataplane token itself"),
    Row("resource", _text, "", f"{_RUNTIME}RESOURCE", ("dataplane",), "Dataplane definition, YAML or JSON"),
    Row(
        "resource_file",
        _text,
        "",
        f"{_RUNTIME}RESOURCE_PATH",
        ("dataplane-file", "d"),
        "File with the Dataplane definition, - for standard input",
    ),
    Row("variables", _pairs, (), "", ("dataplane-var", "v"), "Variable of the definition, key=value", repeatable=True),
    Row("envoy_log_level", _text, "", f"{_RUNTIME}ENVOY_LOG_LEVEL", ("envoy-log-level",), "Log level of Envoy"),
    Row(
        "envoy_component_log_level",
        _text,
        "",
        f"{_RUNTIME}ENVOY_COMPONENT_LOG_LEVEL",
        ("envoy-component-log-level",),
        "Log levels of parts of Envoy, upstream:debug,...",
    ),
    Row("max_memory", _natural, 0, "KUMA_DATAPLANE_RESOURCES_MAX_MEMORY_BYTES"),
    Row("metrics_cert", _text, "", f"{_RUNTIME}METRICS_CERT_PATH", ("metrics-cert-path",), "Certificate for metrics"),
    Row("metrics_key", _text, "", f"{_RUNTIME}METRICS_KEY_PATH", ("metrics-key-path",), "Key for metrics"),
    Row("system_ca_path", _text, "", f"{_RUNTIME}DYNAMIC_SYSTEM_CA_PATH"),
    Row(
        "bind_outbounds",
        _boolean,
        False,
        f"{_RUNTIME}BIND_OUTBOUNDS",
        ("bind-outbounds",),
        "Listen on the addresses of outbounds although traffic is redirected",
    ),
    Row("xds_variant", _text, "", f"{_RUNTIME}ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT"),
    Row("unified_naming", _boolean, False, f"{_RUNTIME}UNIFIED_RESOURCE_NAMING_ENABLED"),
    Row("ipv6_enabled", _boolean, True, f"{_RUNTIME}IPV6_ENABLED"),
    Row("strict_inbound_ports", _boolean, True, f"{_RUNTIME}STRICT_INBOUND_PORTS_ENABLED"),
    Row("reuse_port", _boolean, True, f"{_RUNTIME}REUSE_PORT_ENABLED"),
    Row("otel_pipe", _boolean, True, f"{_RUNTIME}OTEL_PIPE_ENABLED"),
    Row("spire_supported", _boolean, False, f"{_RUNTIME}SPIRE_SUPPORTED"),
    Row("spire_socket", _text, "", f"{_RUNTIME}SPIRE_SOCKET_PATH"),
    Row("dynconf_interval", durations.parse_go, durations.SECOND, f"{_RUNTIME}DYNAMIC_CONFIGURATION_REFRESH_INTERVAL"),
    Row("dns_enabled", _boolean, True, "KUMA_DNS_ENABLED", ("dns-enabled",), "Resolve names of the mesh"),
    Row("dns_proxy_port", _natural, 0, "KUMA_DNS_PROXY_PORT"),
    Row(
        "dns_coredns_port",
        _natural,
        15053,
        "KUMA_DNS_CORE_DNS_PORT",
        ("dns-coredns-port",),
        "DNS port of the agent; it answers there when traffic is redirected, or this is given",
    ),
    Row(
        "dns_envoy_port",
        _natural,
        15054,
        "KUMA_DNS_ENVOY_DNS_PORT",
        ("dns-envoy-port",),
        "DNS port of Envoy, which answers where the agent does not",
    ),
    Row(
        "transparent_proxy",
        _boolean,
        False,
        "",
        ("transparent-proxy",),
        "Traffic of the application is redirected into the proxy",
    ),
    Row(
        "transparent_proxy_config",
        _words,
        (),
        "",
        ("transparent-proxy-config",),
        "Files that say how traffic is redirected, - for standard input",
        repeatable=True,
    ),
    # Our own: enrol a process in one line.
    Row("service", _text, "", "", ("service",), "Service to enrol: makes a Dataplane of the flags below"),
    Row("port", _natural, 0, "", ("port",), "Port on 127.0.0.1 where the service listens"),
    Row("outbounds", _pairs, (), "", ("outbound",), "Service to reach on a local port, api=10001", repeatable=True),
    Row("protocol", _text, "", "", ("protocol",), "Protocol of the service: http, http2, grpc, tcp, kafka"),
    Row("tags", _pairs, (), "", ("tag",), "Further tag of the service, key=value", repeatable=True),
    Row("labels", _pairs, (), "", ("label",), "Label by which policies select it, key=value", repeatable=True),
    Row(
        "address",
        _text,
        "",
        "",
        ("address",),
        "Address that peers dial (default: the one that faces the control plane)",
    ),
    Row(
        "inbound_port", _natural, 0, "", ("inbound-port",), "Port that peers dial (default: first free one from 15100)"
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run; see `ROWS` for what each means. `given` names those that were not left to defaults."""

    name: str
    mesh: str
    proxy_type: str
    drain_time: int
    readiness_port: int
    restart_base: int
    restart_max: int
    restart_envoy: bool
    cp_address: str
    cp_api_address: str
    ca_cert: str
    ca_cert_file: str
    skip_verify: bool
    retry_backoff: int
    retry_max_duration: int
    binary_path: str
    concurrency: int
    config_dir: str
    socket_dir: str
    work_dir: str
    token_file: str
    token: str
    resource: str
    resource_file: str
    variables: tuple[tuple[str, str], ...]
    envoy_log_level: str
    envoy_component_log_level: str
    max_memory: int
    metrics_cert: str
    metrics_key: str
    system_ca_path: str
    bind_outbounds: bool
    xds_variant: str
    unified_naming: bool
    ipv6_enabled: bool
    strict_inbound_ports: bool
    reuse_port: bool
    otel_pipe: bool
    spire_supported: bool
    spire_socket: str
    dynconf_interval: int
    dns_enabled: bool
    dns_proxy_port: int
    dns_coredns_port: int
    dns_envoy_port: int
    transparent_proxy: bool
    transparent_proxy_config: tuple[str, ...]
    service: str
    port: int
    outbounds: tuple[tuple[str, str], ...]
    protocol: str
    tags: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    address: str
    inbound_port: int
    given: frozenset[str]

    @property
    def has_definition(self) -> bool:
        """Whether the proxy brings its own Dataplane, in a file, as text or from the one-line flags."""
        return bool(self.resource or self.resource_file or self.service)


def load_settings(flags: Mapping[str, str | Sequence[str] | None], environ: Mapping[str, str]) -> Settings:
    """Settings from flags by field name (None: not given) and environment; AgentError for the first value that cannot be read.

    What can be read but breaks a rule is told all at once.
    """
    values: dict[str, Any] = {}
    given = set()
    for row in ROWS:
        said = flags.get(row.field)
        if said:
            source = f'"--{row.flags[0]}" flag'
            values[row.field] = _parsed_flag(row, said, source)
        elif row.env and environ.get(row.env):
            values[row.field] = _parsed(row, environ[row.env], row.env)
        else:
            values[row.field] = row.default
            continue
        given.add(row.field)
    settings = Settings(**values, given=frozenset(given))
    _validate(settings)
    return settings


def _parsed_flag(row: Row, said: str | Sequence[str], source: str) -> Any:
    if isinstance(said, str):
        return _parsed(row, said, source)
    return tuple(part for each in said for part in _parsed(row, each, source))


def _parsed(row: Row, raw: str, source: str) -> Any:
    try:
        return row.parse(raw)
    except ValueError as error:
        raise AgentError(f'invalid argument "{raw}" for {source}: {error}') from error


def _validate(settings: Settings) -> None:
    if settings.proxy_type not in PROXY_TYPES:
        raise AgentError(f'invalid proxy type "{settings.proxy_type}"')
    wrong = violations(settings)
    if wrong:
        raise AgentError("; ".join(wrong))


def violations(settings: Settings) -> list[str]:
    """All that is wrong with the values, in Kuma's words; a section is named before the first of its own."""
    sections = {
        ".ControlPlane": _wrong_control_plane(settings),
        ".Dataplane": _wrong_dataplane(settings),
        ".DataplaneRuntime": _wrong_runtime(settings),
        ".DNS": _wrong_dns(settings),
    }
    found = []
    for section, wrong in sections.items():
        found += [f"{section} is not valid: {each}" if not index else each for index, each in enumerate(wrong)]
    return found


def _wrong_control_plane(settings: Settings) -> Iterator[str]:
    address = urlsplit(settings.cp_address)
    try:
        usable = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:  # the port is read late, and may be no number
        usable = False
    if not usable:
        yield ".Url is not valid: .URL must be a valid absolute URI"
    if settings.retry_backoff <= 0:
        yield ".Retry is not valid: .Backoff must be a positive duration"


def _wrong_dataplane(settings: Settings) -> Iterator[str]:
    if settings.drain_time <= 0:
        yield ".DrainTime must be positive"
    if not 0 < settings.readiness_port <= 65535:
        yield ".ReadinessPort has to be in (0, 65535] range"


def _wrong_runtime(settings: Settings) -> Iterator[str]:
    if not settings.binary_path:
        yield ".BinaryPath must be non-empty"
    if settings.dynconf_interval <= 0:
        yield ".DynamicConfiguration.RefreshInterval must be positive"
    if settings.xds_variant not in ("", "DELTA_GRPC", "GRPC"):
        yield (
            f".EnvoyXdsTransportProtocolVariant invalid value: {settings.xds_variant} . "
            "Must be one of: DELTA_GRPC or GRPC when defined"
        )


def _wrong_dns(settings: Settings) -> Iterator[str]:
    ports = {
        "ProxyPort": settings.dns_proxy_port,
        "CoreDNSPort": settings.dns_coredns_port,
        "EnvoyDNSPort": settings.dns_envoy_port,
    }
    for name, port in ports.items():
        if port > 65535:
            yield f".{name} has to be in [0, 65535] range"


def check_identity(name: str, mesh: str, proxy_type: str) -> None:
    """AgentError where a proxy could not be told from others by this name and mesh. Zone proxies have no mesh."""
    if not name:
        raise AgentError(f".Dataplane is not valid: .Name must be non-empty. {_WHICH_PROXY}")
    if not mesh and proxy_type == "dataplane":
        raise AgentError(f".Dataplane is not valid: .Mesh must be non-empty. {_WHICH_PROXY}")
    for field, value in (("Name", name), ("Mesh", mesh)):
        if _BAD_IN_NAMES & set(value):
            raise AgentError(f'.Dataplane is not valid: .{field} "{value}" contains invalid characters')
