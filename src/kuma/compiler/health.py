"""What Envoy is to probe on behalf of the control plane (HDS): its own readiness, and applications that ask for it.

Source: Kuma's documentation, "Service health probes"; Envoy's API page, "Health Discovery Service".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envoy.service.health.v3 import hds_pb2

from kuma.envoy import api, clusters, names, sockets
from kuma.plan import proxy
from kuma.resources.kinds import dataplane

TRANSPARENT_SOURCE = {False: "127.0.0.6", True: "::6"}
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """`dpServer.hds`: how often Envoy reports, and how it probes where an inbound says nothing. Seconds."""

    report_interval: float = 5.0
    timeout: float = 2.0
    interval: float = 1.0
    no_traffic_interval: float = 1.0
    healthy_threshold: int = 1
    unhealthy_threshold: int = 1


def health_checks(subject: proxy.ProxyFacts, config: HealthConfig) -> api.Message:
    """The `HealthCheckSpecifier` of a proxy."""
    out = hds_pb2.HealthCheckSpecifier(interval=api.seconds(config.report_interval))
    admin = subject.admin
    if admin.port:
        check = _cluster(out, names.admin(subject.has(proxy.UNIFIED_NAMING)), _admin_address(admin))
        _probe(check, dataplane.ServiceProbe(), config).http_health_check.path = "/ready"
    for inbound in probed_inbounds(subject.spec):
        address = workload_address(subject.spec, inbound)
        port = inbound.service_port or inbound.port
        check = _cluster(out, cluster_name(inbound), sockets.socket_address(address, port))
        assert inbound.service_probe is not None, "only probed inbounds are here"
        _probe(check, inbound.service_probe, config).tcp_health_check.SetInParent()
        if subject.redirect.enabled and address not in _LOOPBACK:
            clusters.bind_to(check, TRANSPARENT_SOURCE[":" in address])
    return out


def healthy_ports(spec: dataplane.Dataplane, reported: Mapping[str, bool]) -> dict[int, bool]:
    """By port of the probed inbounds: whether application and Envoy are well. Without a report there is no entry.

    `reported` is by name of cluster.
    """
    envoy = next((ok for unified in (False, True) if (ok := reported.get(names.admin(unified))) is not None), True)
    found = {}
    for inbound in probed_inbounds(spec):
        application = reported.get(cluster_name(inbound))
        if application is not None:
            found[inbound.port] = application and envoy
    return found


def probed_inbounds(spec: dataplane.Dataplane) -> Iterable[dataplane.Inbound]:
    """The inbounds whose application Envoy is to probe."""
    inbounds = spec.networking.inbound if spec.networking else ()
    return (each for each in inbounds if each.service_probe is not None and each.service_probe.tcp is not None)


def cluster_name(inbound: dataplane.Inbound) -> str:
    """The name under which the probe of an inbound is reported."""
    return names.inbound_cluster(inbound.service_port or inbound.port, inbound.section, False)


def workload_address(spec: dataplane.Dataplane, inbound: dataplane.Inbound) -> str:
    """Where the application of an inbound listens."""
    networking = spec.networking
    return inbound.service_address or inbound.address or (networking.address if networking else "")


def _admin_address(admin: proxy.Admin) -> api.Message:
    if admin.socket:
        return sockets.pipe_address(admin.socket)
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.address, admin.address)
    return sockets.socket_address(address, admin.port)


def _cluster(out: api.Message, name: str, address: api.Message) -> api.Message:
    check = out.cluster_health_checks.add(cluster_name=name)
    check.locality_endpoints.add().endpoints.add().address.CopyFrom(address)
    return check


def _probe(check: api.Message, probe: dataplane.ServiceProbe, config: HealthConfig) -> api.Message:
    """One health check; what a probe leaves open comes from the configuration."""
    found = check.health_checks.add()
    found.timeout.CopyFrom(api.seconds(probe.timeout.seconds if probe.timeout else config.timeout))
    found.interval.CopyFrom(api.seconds(probe.interval.seconds if probe.interval else config.interval))
    found.no_traffic_interval.CopyFrom(api.seconds(config.no_traffic_interval))
    found.healthy_threshold.value = probe.healthy_threshold or config.healthy_threshold
    found.unhealthy_threshold.value = probe.unhealthy_threshold or config.unhealthy_threshold
    return found
