"""Rules of a Dataplane, in the order in which users of Kuma see them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotext, labels
from kuma.base.errors import Violation
from kuma.resources import addresses, meta, selectors
from kuma.resources import resource as res
from kuma.resources.rules import metrics as metrics_rules
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.resources.kinds import dataplane as model

PROTOCOLS = ("grpc", "http", "http2", "kafka", "tcp")
"""Protocols in the order in which messages list them."""

_PARSED_PROTOCOLS = frozenset((*PROTOCOLS, "tls", "mysql"))
_BACKEND_KINDS = ("MeshExternalService", "MeshMultiZoneService", "MeshService")
_BAD_BACKEND_KIND = f"invalid value. Available values are: {','.join(_BACKEND_KINDS)}"
_ALLOWED_PROTOCOLS = f"Allowed values: {', '.join(PROTOCOLS)}"
_LOOPBACK = "127.0.0.1"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a Dataplane."""
    spec: model.Dataplane = resource.spec
    net = spec.networking
    if net is None:
        yield Violation("networking", "must be defined")
        return
    if net.admin is not None:
        yield from _check_admin(net, net.admin.port)
    if net.gateway is None:
        yield from _check_networking(net)
        yield from _check_probes(spec.probes)
    else:
        yield from _check_gateway(spec, net, net.gateway)
    if spec.metrics is not None:
        yield from metrics_rules.check_backend("metrics", spec.metrics)


def _check_admin(net: "model.Networking", port: int) -> Iterator[Violation]:
    """Envoy's admin interface listens on the loopback address, where nothing else may have its port."""
    listening = [(each.address or net.address, each.port) for each in net.inbound]
    listening += [(each.service_address or _LOOPBACK, each.service_port or each.port) for each in net.inbound]
    if any(port == used and addresses.overlap(_LOOPBACK, address) for address, used in listening):
        yield Violation("networking.admin.port", "must differ from inbound")
    if any(port == each.port and addresses.overlap(_LOOPBACK, each.address or _LOOPBACK) for each in net.outbound):
        yield Violation("networking.admin.port", "must differ from outbound")


def _check_gateway(spec: "model.Dataplane", net: "model.Networking", gateway: "model.Gateway") -> Iterator[Violation]:
    builtin = spec.is_builtin_gateway
    word = "builtin" if builtin else "delegated"
    forbidden: list[tuple[str, object]] = [("inbound", net.inbound)]
    if builtin:
        forbidden.append(("outbound", net.outbound))
    forbidden.append(("listeners", net.listeners))
    if builtin:
        forbidden.append(("probes", spec.probes))
    for name, found in forbidden:
        if found:
            yield Violation(f"networking.{name}", f"{name} cannot be defined for {word} gateways")
    yield from selectors.check_tags(
        "networking.gateway.tags", gateway.tags, service=bool(gateway.tags), extra=(_only_tcp,)
    )
    yield from _check_networking(net)
    if not builtin:
        yield from _check_probes(spec.probes)


def _only_tcp(path: str, tags: selectors.Tags) -> Iterator[Violation]:
    protocol = tags.get(labels.PROTOCOL_TAG)
    if protocol is not None and protocol != "tcp":
        reason = f"other values than tcp are not allowed, provided value {gotext.quote(protocol)}"
        yield Violation(selectors.key_path(path, labels.PROTOCOL_TAG), reason)


def _check_networking(net: "model.Networking") -> Iterator[Violation]:
    yield from addresses.check_address("networking.address", net.address)
    for index, inbound in enumerate(net.inbound):
        yield from _check_inbound(f"networking.inbound[{index}]", inbound, net.address)
    for index, outbound in enumerate(net.outbound):
        yield from _check_outbound(f"networking.outbound[{index}]", outbound)
    proxying = net.transparent_proxying
    if proxying is not None and proxying.reachable_backends is not None:
        for index, ref in enumerate(proxying.reachable_backends.refs):
            path = f"networking.transparentProxing.reachableBackends.refs[{index}]"
            yield from _check_reachable(path, ref)
    yield from _check_listeners(net)


def _check_inbound(path: str, inbound: "model.Inbound", own_address: str) -> Iterator[Violation]:
    yield from addresses.check_port(f"{path}.port", inbound.port)
    if inbound.service_port:
        yield from addresses.check_port(f"{path}.servicePort", inbound.service_port)
    if inbound.service_address:
        field = f"{path}.serviceAddress"
        if addresses.parse_ip(inbound.service_address) is None:
            yield Violation(field, "serviceAddress has to be valid IP address")
        if inbound.service_address == own_address and inbound.service_port in (0, inbound.port):
            yield Violation(field, "serviceAddress and servicePort has to differ from address and port")
    if inbound.address and addresses.parse_ip(inbound.address) is None:
        yield Violation(f"{path}.address", "address has to be valid IP address")
    yield from selectors.check_tags(f"{path}.tags", inbound.tags, extra=(check_protocol,))
    if inbound.protocol and inbound.protocol not in _PARSED_PROTOCOLS:
        reason = f"has an invalid value {gotext.quote(inbound.protocol)}. {_ALLOWED_PROTOCOLS}"
        yield Violation(f"{path}.protocol", reason)
    if inbound.service_probe is not None:
        yield from _check_probe(f"{path}.serviceProbe", inbound.service_probe)
    if inbound.tags and labels.SERVICE_TAG not in inbound.tags:
        yield Violation(selectors.key_path(f"{path}.tags", labels.SERVICE_TAG), "tag has to exist")


def check_protocol(path: str, tags: selectors.Tags) -> Iterator[Violation]:
    """A violation where the protocol tag names none that is known."""
    protocol = tags.get(labels.PROTOCOL_TAG)
    if protocol is not None and protocol not in _PARSED_PROTOCOLS:
        reason = f'tag "{labels.PROTOCOL_TAG}" has an invalid value {gotext.quote(protocol)}. {_ALLOWED_PROTOCOLS}'
        yield Violation(selectors.key_path(path, labels.PROTOCOL_TAG), reason)


def _check_probe(path: str, probe: "model.ServiceProbe") -> Iterator[Violation]:
    for name, duration in (("interval", probe.interval), ("timeout", probe.timeout)):
        yield from numbers.check_positive(f"{path}.{name}", duration)
    thresholds = (("unhealthyThreshold", probe.unhealthy_threshold), ("healthyThreshold", probe.healthy_threshold))
    for name, threshold in thresholds:
        if threshold == 0:
            yield Violation(f"{path}.{name}", "must have a positive value")


def _check_outbound(path: str, outbound: "model.Outbound") -> Iterator[Violation]:
    yield from addresses.check_port(f"{path}.port", outbound.port)
    if outbound.address and addresses.parse_ip(outbound.address) is None:
        yield Violation(f"{path}.address", "address has to be valid IP address")
    if outbound.backend_ref is None:
        yield from selectors.check_tags(f"{path}.tags", outbound.tags, service=True)
        return
    yield from _check_backend_ref(f"{path}.backendRef", outbound.backend_ref)
    if outbound.tags:
        yield Violation(f"{path}.backendRef", "both backendRef and tags/service cannot be defined")


def _check_backend_ref(path: str, ref: "model.BackendRef") -> Iterator[Violation]:
    if ref.kind not in _BACKEND_KINDS:
        yield Violation(f"{path}.kind", _BAD_BACKEND_KIND)
    if bool(ref.name) == bool(ref.labels):
        yield Violation(path, "either 'name' or 'labels' should be specified")
    if ref.kind != "MeshExternalService":
        yield from addresses.check_port(f"{path}.port", ref.port)


def _check_reachable(path: str, ref: "model.ReachableBackendRef") -> Iterator[Violation]:
    if ref.kind not in _BACKEND_KINDS:
        yield Violation(f"{path}.kind", _BAD_BACKEND_KIND)
    if ref.name:
        if not meta.NAME.fullmatch(ref.name):
            yield Violation(f"{path}.name", meta.BAD_NAME)
        if ref.labels:
            yield Violation(f"{path}.labels", "labels cannot be defined when name is specified")
    elif ref.namespace:
        yield Violation(f"{path}.name", "name is required, when namespace is defined")
    elif not ref.labels:
        yield Violation(f"{path}.name", "name or labels are required")


def _check_listeners(net: "model.Networking") -> Iterator[Violation]:
    names = {each.name for each in net.inbound if each.name}
    inbound_sockets = {(each.address or net.address, each.port) for each in net.inbound}
    taken: dict[tuple[str, int], str] = {}
    for index, listener in enumerate(net.listeners):
        path = f"networking.listeners[{index}]"
        if listener.type == "Unspecified":
            yield Violation(f"{path}.type", "type must be ZoneIngress or ZoneEgress")
        yield from addresses.check_address(f"{path}.address", listener.address)
        yield from addresses.check_port(f"{path}.port", listener.port)
        if listener.name:
            if listener.name in names:
                reason = f"name {gotext.quote(listener.name)} must be unique across inbounds and listeners"
                yield Violation(f"{path}.name", reason)
            names.add(listener.name)
        socket = (listener.address, listener.port)
        where = f"address:port {listener.address}:{listener.port}"
        if socket in inbound_sockets:
            yield Violation(path, f"{where} collides with an inbound listener")
        if socket in taken:
            same = taken[socket] == listener.type
            yield Violation(path, f"{where} is {'already used by another listener' if same else _OTHER_TYPES}")
        else:
            taken[socket] = listener.type


_OTHER_TYPES = "used by listeners of different types"


def _check_probes(probes: "model.Probes | None") -> Iterator[Violation]:
    if probes is None:
        return
    yield from addresses.check_port("probes.port", probes.port)
    for index, endpoint in enumerate(probes.endpoints):
        path = f"probes.endpoints[{index}]"
        yield from addresses.check_port(f"{path}.inboundPort", endpoint.inbound_port)
        for name, text in (("inboundPath", endpoint.inbound_path), ("path", endpoint.path)):
            if not addresses.is_request_uri(text):
                yield Violation(f"{path}.{name}", "should be a valid URL Path")
