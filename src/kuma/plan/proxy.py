"""The proxy that a configuration is made for: its Dataplane and what its Envoy said about itself.

`facts_of` reads the node metadata that the agent wrote into the bootstrap (keys: Kuma's bootstrap contract),
`zone_facts_of` does for proxies that belong to the zone and not to a mesh. From here on nobody looks at raw metadata
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kuma.base import kri, labels
from kuma.envoy import kafka
from kuma.plan import environment
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegress

UNIFIED_NAMING = "feature-unified-resource-naming"
REUSE_PORT = "feature-reuse-port"
BIND_OUTBOUNDS = "feature-bind-outbounds"
EMBEDDED_DNS = "feature-embedded-dns"
STRICT_INBOUND_PORTS = "feature-strict-inbound-ports"
TELEMETRY_PIPE = "feature-otel-via-kuma-dp"

LACKING = "envoy.lacking"
"""Metadata that whoever reads the node adds: filters that we could use and this Envoy was built without."""

UNKNOWN = "unknown"
"""The service of a proxy that has none, and of clients nobody knows."""


@dataclass(frozen=True, slots=True)
class Admin:
    """Where Envoy's admin API and the agent's readiness reporter listen; port 0: there is none."""

    port: int = 0
    address: str = "127.0.0.1"
    socket: str = ""
    readiness_port: int = 0


@dataclass(frozen=True, slots=True)
class Redirect:
    """Transparent proxying: where iptables sends traffic. Port 0: that direction is not redirected."""

    inbound_port: int = 0
    outbound_port: int = 0
    ipv4_only: bool = False

    @property
    def enabled(self) -> bool:
        """Whether outgoing traffic is redirected to Envoy."""
        return self.outbound_port > 0


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """One proxy. Everything in a configuration that is personal to it comes from here.

    `lacking` are filters that we could use and its Envoy was built without. `dns_port` is where mesh names are
    answered, 0: nowhere; `workdir` is where the agent keeps its sockets.
    `host_address` is that of its machine, where the agent knows it. `metrics_pair` are the files of a certificate and
    its key for readers of metrics, `system_roots` the file of the roots that the machine trusts. `spire_socket` is where
    the SPIRE agent beside it listens; empty: not known. `probes_applications`: the agent answers probes of applications.
    """

    resource: "res.Resource[dataplane.Dataplane]"
    features: frozenset[str] = frozenset()
    lacking: frozenset[str] = frozenset()
    admin: Admin = Admin()
    redirect: Redirect = Redirect()
    ipv6: bool = True
    dns_port: int = 0
    workdir: str = ""
    host_address: str = ""
    metrics_pair: tuple[str, str] = ("", "")
    system_roots: str = ""
    telemetry: environment.Inventory = environment.UNKNOWN
    spire_socket: str = ""
    probes_applications: bool = False

    @property
    def spec(self) -> dataplane.Dataplane:
        """The Dataplane's spec."""
        return self.resource.spec

    @property
    def zone(self) -> str:
        """The zone it lives in; empty if unknown."""
        return self.resource.meta.labels.get(labels.ZONE, "")

    @property
    def service(self) -> str:
        """The service that it is known by: that of its first inbound, or of its gateway; else `unknown`."""
        networking = self.spec.networking
        if networking is None:
            return UNKNOWN
        carriers = [each.tags for each in networking.inbound]
        if networking.gateway is not None:
            carriers.append(networking.gateway.tags)
        return next((each[labels.SERVICE_TAG] for each in carriers if each.get(labels.SERVICE_TAG)), UNKNOWN)

    @property
    def title(self) -> str:
        """What it is called where somebody looks on: its service, else its workload or, without one, itself."""
        own = self.resource.meta
        return self.service if self.service != UNKNOWN else own.labels.get(labels.WORKLOAD) or own.display_name

    @property
    def address(self) -> str:
        """Where peers dial it; empty without networking."""
        return self.spec.networking.address if self.spec.networking else ""

    @property
    def workload(self) -> str:
        """The KRI of its Workload; empty where it has none."""
        own = self.resource.meta.labels
        name = own.get(labels.WORKLOAD)
        if not name:
            return ""
        return str(kri.Kri("wl", self.resource.meta.mesh, self.zone, own.get(labels.NAMESPACE, ""), name))

    @property
    def tag_values(self) -> dict[str, set[str]]:
        """Every value that its inbounds and its gateway give to a tag."""
        networking = self.spec.networking
        found: dict[str, set[str]] = {}
        if networking is None:
            return found
        carriers = [each.tags for each in networking.inbound]
        if networking.gateway is not None:
            carriers.append(networking.gateway.tags)
        for tags in carriers:
            for key, value in tags.items():
                found.setdefault(key, set()).add(value)
        return found

    @property
    def tags_header(self) -> str:
        """Its tags as servers are told them: `&key=value1,value2&` for each key, in order."""
        found = self.tag_values
        return "".join(f"&{key}={','.join(sorted(found[key]))}&" for key in sorted(found))

    @property
    def knows_kafka(self) -> bool:
        """Whether its Envoy has the filter for Kafka."""
        return kafka.FILTER not in self.lacking

    def has(self, feature: str) -> bool:
        """Whether the agent advertised a feature."""
        return feature in self.features


@dataclass(frozen=True, slots=True)
class ZoneProxyFacts:
    """A proxy of the zone, which serves all meshes. `system_roots`: the file of the roots that its machine trusts."""

    resource: "res.Resource[zoneegress.ZoneEgress]"
    features: frozenset[str] = frozenset()
    admin: Admin = Admin()
    ipv6: bool = True
    system_roots: str = ""

    @property
    def address(self) -> str:
        """Where proxies of the zone dial it; empty without networking."""
        return self.resource.spec.networking.address if self.resource.spec.networking else ""

    @property
    def port(self) -> int:
        """The port that they dial; 0 without networking."""
        return self.resource.spec.networking.port if self.resource.spec.networking else 0

    def has(self, feature: str) -> bool:
        """Whether the agent advertised a feature."""
        return feature in self.features


def facts_of(resource: "res.Resource[dataplane.Dataplane]", metadata: Mapping[str, Any]) -> ProxyFacts:
    """What is known of a proxy from its Dataplane and the metadata of its Envoy node; malformed numbers count as 0."""
    networking = resource.spec.networking
    port = networking.admin.port if networking and networking.admin and networking.admin.port else 0
    return ProxyFacts(
        resource,
        features=_listed(metadata, "features"),
        lacking=_listed(metadata, LACKING),
        admin=_admin(port, metadata),
        redirect=_redirect(resource.spec, metadata.get("transparentProxy")),
        ipv6=metadata.get("ipv6Enabled") is not False,
        dns_port=_integer(metadata.get("dataplane.dns.port")),
        workdir=str(metadata.get("workdir") or ""),
        host_address=_text(metadata.get("dynamicMetadata"), "HOST_IP"),
        metrics_pair=(_text(metadata, "metricsCertPath"), _text(metadata, "metricsKeyPath")),
        system_roots=_text(metadata, "systemCaPath"),
        telemetry=environment.read(metadata.get("otelEnvInventory")),
        spire_socket=_text(metadata, "spireAgent.socketPath"),
        probes_applications=_text(metadata, "dataplane.appProbeProxy.enabled") == "true",
    )


def zone_facts_of(resource: "res.Resource[zoneegress.ZoneEgress]", metadata: Mapping[str, Any]) -> ZoneProxyFacts:
    """As `facts_of`, of a proxy of the zone."""
    networking = resource.spec.networking
    return ZoneProxyFacts(
        resource,
        features=_listed(metadata, "features"),
        admin=_admin(networking.admin.port if networking and networking.admin else 0, metadata),
        ipv6=metadata.get("ipv6Enabled") is not False,
        system_roots=_text(metadata, "systemCaPath"),
    )


def _admin(port: int, metadata: Mapping[str, Any]) -> Admin:
    """Where the admin API is: nowhere unless the agent says so; `port` is what the resource says about it, or 0."""
    told = _integer(metadata.get("dataplane.admin.port"))
    if not told:
        return Admin()
    return Admin(
        port=port or told,
        address=str(metadata.get("dataplane.admin.address") or "127.0.0.1"),
        socket=str(metadata.get("dataplane.admin.socketPath") or ""),
        readiness_port=_integer(metadata.get("dataplane.readinessReporter.port")),
    )


def _listed(metadata: Mapping[str, Any], key: str) -> frozenset[str]:
    found = metadata.get(key)
    return frozenset(str(each) for each in found) if isinstance(found, list) else frozenset()


def _text(found: object, key: str) -> str:
    return str(found.get(key) or "") if isinstance(found, Mapping) else ""


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0


def _redirect(spec: dataplane.Dataplane, configured: object) -> Redirect:
    if isinstance(configured, Mapping):
        flows = configured.get("redirect")
        flows = flows if isinstance(flows, Mapping) else {}
        return Redirect(
            _flow(flows.get("inbound")), _flow(flows.get("outbound")), configured.get("ipFamilyMode") == "ipv4"
        )
    transparent = spec.networking.transparent_proxying if spec.networking else None
    if transparent is None:
        return Redirect()
    return Redirect(
        transparent.redirect_port_inbound,
        transparent.redirect_port_outbound,
        str(transparent.ip_family_mode) == "IPv4",
    )


def _flow(value: object) -> int:
    if not isinstance(value, Mapping) or value.get("enabled") is False:
        return 0
    return _integer(value.get("port"))
