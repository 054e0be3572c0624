"""Rules of a ZoneIngress and of a ZoneEgress."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import addresses, selectors
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.resources.kinds import zoneegress, zoneingress

_LOOPBACK = "127.0.0.1"


def validate_ingress(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a ZoneIngress."""
    spec: zoneingress.ZoneIngress = resource.spec
    net = spec.networking
    if net is None:
        yield from addresses.check_port("networking.port", 0)
    else:
        yield from _check_admin(net)
        if not net.advertised_address and net.advertised_port:
            yield Violation("networking.advertisedAddress", "has to be defined with advertisedPort")
        if net.advertised_address and not net.advertised_port:
            yield Violation("networking.advertisedPort", "has to be defined with advertisedAddress")
        if net.address:
            yield from addresses.check_address("networking.address.address", net.address)
        if net.advertised_address:
            yield from addresses.check_address("networking.advertisedAddress.address", net.advertised_address)
        yield from addresses.check_port("networking.port", net.port)
        if net.advertised_port:
            yield from addresses.check_port("networking.advertisedPort", net.advertised_port)
    for index, service in enumerate(spec.available_services):
        yield from selectors.check_tags(f"availableService[{index}].tags", service.tags, service=True)


def validate_egress(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a ZoneEgress."""
    spec: zoneegress.ZoneEgress = resource.spec
    net = spec.networking
    if net is None:
        yield from addresses.check_port("networking.port", 0)
        return
    yield from _check_admin(net)
    if net.address:
        yield from addresses.check_address("networking.address.address", net.address)
    yield from addresses.check_port("networking.port", net.port)


def _check_admin(net: "zoneingress.Networking | zoneegress.Networking") -> Iterator[Violation]:
    """Envoy's admin interface listens on the loopback address, where the proxy's own port may not be the same."""
    if net.admin is not None and net.admin.port == net.port and addresses.overlap(_LOOPBACK, net.address):
        yield Violation("networking.admin.port", "must differ from port")
