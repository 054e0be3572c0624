"""What Envoy is to probe on behalf of the control plane (HDS): its own readiness, and applications that ask for it.

Source: Kuma's documentation, "Service health probes"; Envoy's API page, "Health Discovery Service".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
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
    for inbound in _inbounds(subject.spec):
        if inbound.service_probe is None:
            continue
        address = workload_address(subject.spec, inbound)
        port = inbound.service_port or inbound.port
        check = _cluster(out, cluster_name(inbound), sockets.socket_address(address, port))
        _probe(check, inbound.service_probe, config).tcp_health_check.SetInParent()
        if subject.redirect.enabled and address not in _LOOPBACK:
            clusters.bind_to(check, TRANSPARENT_SOURCE[":" in address])
    return out


@dataclass(frozen=True, slots=True)
class Report:
    """What Envoy found, by name of cluster: whether it is well. `is_first`: the first report of a stream."""

    well: Mapping[str, bool]
    is_first: bool = False

    @property
    def envoy(self) -> bool | None:
        """Whether Envoy is well; None where the report does not say."""
        return next((ok for unified in (False, True) if (ok := self.well.get(names.admin(unified))) is not None), None)


def with_reported_health(spec: dataplane.Dataplane, report: Report) -> dataplane.Dataplane:
    """The Dataplane with the states of its inbounds after a report; the same object where nothing changes.

    What the report does not say leaves things as they are. A probed inbound is ready while its application and Envoy
    are well. One without a probe leaves with its Envoy when that drains, and returns with it only if a report took it
    out (the sign is `health` beside `state`), not if a user did. Nobody leaves for a first report: an Envoy that starts
    probes itself before it has its configuration.
    """
    networking = spec.networking
    if networking is None:
        return spec
    inbounds = tuple(_with_state(each, _verdict(each, report)) for each in networking.inbound)
    if inbounds == networking.inbound:
        return spec
    return msgspec.structs.replace(spec, networking=msgspec.structs.replace(networking, inbound=inbounds))


def _verdict(inbound: dataplane.Inbound, report: Report) -> bool | None:
    """Whether an inbound may take traffic by a report; None where the report has no say."""
    is_probed = inbound.service_probe is not None
    if inbound.state == dataplane.InboundState.IGNORED:
        return None
    if report.envoy is False:
        return False if is_probed or not report.is_first else None
    if is_probed:
        return report.well.get(cluster_name(inbound))
    was_taken_out = inbound.state == dataplane.InboundState.NOT_READY and inbound.health is not None
    return report.envoy if was_taken_out else None


def _with_state(inbound: dataplane.Inbound, is_ready: bool | None) -> dataplane.Inbound:
    if is_ready is None or is_ready == inbound.is_ready:
        return inbound
    state = dataplane.InboundState.READY if is_ready else dataplane.InboundState.NOT_READY
    return msgspec.structs.replace(inbound, state=state, health=dataplane.Health(ready=is_ready))


def _inbounds(spec: dataplane.Dataplane) -> Iterable[dataplane.Inbound]:
    return spec.networking.inbound if spec.networking else ()


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
