"""What an agent tells about itself when it asks for Envoy's first configuration, with the agent's own key names.

Source: the body of `POST /bootstrap` that Kuma 2.14 agents send. Unknown keys are ignored; null means absent.
"""

from typing import Any

import msgspec

DATAPLANE = "dataplane"
INGRESS = "ingress"
EGRESS = "egress"
PROXY_TYPES = (DATAPLANE, INGRESS, EGRESS)


class AgentVersion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Version of the agent."""

    version: str = ""
    git_tag: str = ""
    git_commit: str = ""
    build_date: str = ""


class EnvoyVersion(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Version of the Envoy beside the agent; `build` is the middle part of `envoy --version`."""

    version: str = ""
    build: str = ""
    kuma_dp_compatible: bool = False


class Version(msgspec.Struct, frozen=True, rename="camel"):
    """Both programs of the proxy."""

    kuma_dp: AgentVersion = AgentVersion()
    envoy: EnvoyVersion = EnvoyVersion()


class ProxyResources(msgspec.Struct, frozen=True, rename="camel"):
    """Limits of the machine or container; bytes, 0 where nothing limits."""

    max_heap_size_bytes: int = 0


class MetricsResources(msgspec.Struct, frozen=True, rename="camel"):
    """Paths of the certificate for metrics over TLS, on the proxy's machine."""

    cert_path: str = ""
    key_path: str = ""


class SpireResources(msgspec.Struct, frozen=True, rename="camel"):
    """Where the SPIRE agent listens, on the proxy's machine."""

    socket_path: str = ""


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """The body. Ports are 0 where the agent does not offer the function."""

    mesh: str = ""
    name: str = ""
    proxy_type: str = ""
    dataplane_token: str = ""
    dataplane_token_path: str = ""
    dataplane_resource: str = ""
    version: Version = Version()
    ca_cert: str = ""
    dynamic_metadata: dict[str, str] = {}
    otel_env: dict[str, Any] | None = None
    dns_port: int = 0
    readiness_port: int = 0
    # The key says "disabled" and agents send true when the proxy is enabled: a slip in Kuma that became the contract.
    app_probe_proxy_enabled: bool = msgspec.field(default=False, name="appProbeProxyDisabled")
    operating_system: str = ""
    features: list[str] = []
    resources: ProxyResources = ProxyResources()
    workdir: str = ""
    metrics_resources: MetricsResources = MetricsResources()
    system_ca_path: str = ""
    transparent_proxy: dict[str, Any] | None = msgspec.field(default=None, name="dataplaneConfig")
    ipv6_enabled: bool = msgspec.field(default=False, name="ipv6Enabled")
    spire_resources: SpireResources = SpireResources()

    @property
    def kind_of_proxy(self) -> str:
        """`proxyType`, where nothing is said `dataplane`."""
        return self.proxy_type or DATAPLANE


def decode_request(body: bytes) -> Request:
    """The request in a JSON body; ValueError where it is not one."""
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(body)), Request)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return value
