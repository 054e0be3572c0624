"""Which outbounds a proxy has: those that its Dataplane lists, or every virtual address within its reach.

Proxies of one mesh with the same reach share one tuple. Source: Kuma's documentation, "Transparent proxying"
(reachable services, reachable backends) and "MeshService" (migration: the modes of a mesh).
"""

from collections.abc import Hashable
from dataclasses import dataclass

from kuma.base import labels
from kuma.base.kri import Kri
from kuma.mesh import destinations, endpoints, vips
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh

LOOPBACK = "127.0.0.1"
LARGEST_TABLE = 20_000
"""Proxies whose own lists are kept, and outbounds in them."""

Outbounds = tuple[vips.Listed, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a Dataplane says it wants to reach; equal for proxies with the same reach.

    `services` are names of `kuma.io/service`, none: all. `listed` are the destinations of its outbounds, `backends` those
    it may reach beside them; None: all. `origin` is the proxy that the references are made by, as far as that matters.
    """

    services: frozenset[str] = frozenset()
    listed: tuple[destinations.Reference, ...] = ()
    backends: tuple[destinations.Reference, ...] | None = None
    origin: Kri | None = None

    def select(self, index: destinations.DestinationIndex) -> frozenset[Kri] | None:
        """The destinations within reach: those that are listed, if any; None for all of them."""
        return self._resolve(self.listed, index) or (
            self._resolve(self.backends, index) if self.backends is not None else None
        )

    def _resolve(
        self, references: tuple[destinations.Reference, ...], index: destinations.DestinationIndex
    ) -> frozenset[Kri]:
        if self.origin is None:
            return frozenset()
        return frozenset(found.kri for each in references for found in index.resolve(each, self.origin))


def reach_of(proxy: "res.Resource[dataplane.Dataplane]") -> Reach:
    """What a proxy wants to reach."""
    networking = proxy.spec.networking or dataplane.Networking()
    limits = networking.transparent_proxying or dataplane.TransparentProxying()
    listed = tuple(_reference(each.backend_ref) for each in networking.outbound if each.backend_ref is not None)
    backends = None
    if limits.reachable_backends is not None:
        backends = tuple(_reachable(each) for each in limits.reachable_backends.refs)
    own = proxy.kri
    if own is None or not (listed or backends):
        return Reach(frozenset(limits.reachable_services), listed, backends)
    origin = Kri(own.short, own.mesh, own.zone, own.namespace)
    return Reach(frozenset(limits.reachable_services), listed, backends, origin)


class VirtualOutbounds:
    """Every virtual outbound of a mesh, and what is left of them for each reach that was asked for so far."""

    __slots__ = (
        "_equal",
        "_index",
        "_made",
        "_mode",
        "_narrowed",
        "_of_destinations",
        "_of_services",
        "_reached",
        "_written",
    )

    def __init__(
        self,
        of_services: Outbounds = (),
        of_destinations: Outbounds = (),
        index: destinations.DestinationIndex | None = None,
        mode: mesh.MeshServicesMode = mesh.MeshServicesMode.DISABLED,
    ) -> None:
        self._of_services = of_services if mode is not mesh.MeshServicesMode.EXCLUSIVE else ()
        self._of_destinations = of_destinations
        self._index = index or destinations.DestinationIndex()
        self._mode = mode
        self._reached: dict[Reach, tuple[Outbounds, frozenset[tuple[str, int]]]] = {}
        self._narrowed: dict[Hashable, Outbounds] = {}
        self._written: dict[str, tuple[res.Resource[dataplane.Dataplane], Outbounds]] = {}
        self._made: dict[Hashable, vips.Listed] = {}
        self._equal: dict[tuple[int, ...], Outbounds] = {}

    def written(self, proxy: "res.Resource[dataplane.Dataplane]") -> Outbounds:
        """What a Dataplane lists itself; a reference to nothing gives none, of two on one address and port the first."""
        held = self._written.get(proxy.meta.name)
        if held is None or held[0] is not proxy:
            if max(len(self._written), len(self._made)) >= LARGEST_TABLE:
                self._written, self._made, self._equal = {}, {}, {}  # most of them are gone
            held = self._written[proxy.meta.name] = proxy, self._listed(proxy)
        return held[1]

    def _listed(self, proxy: "res.Resource[dataplane.Dataplane]") -> Outbounds:
        """As `written`. Of proxies that list the same it is one object, and each outbound is read once for all."""
        networking, own = proxy.spec.networking, proxy.kri
        found: dict[tuple[str, int], vips.Listed] = {}
        for each in networking.outbound if networking is not None else ():
            made = self._read(each, own) if own is not None else None
            if made is not None:
                found.setdefault((made.address, made.port), made)
        listed = tuple(found.values())
        return self._equal.setdefault(tuple(map(id, listed)), listed)

    def _read(self, outbound: dataplane.Outbound, origin: Kri) -> vips.Listed | None:
        address = outbound.address or LOOPBACK
        if outbound.backend_ref is not None:
            found = self._index.one(_reference(outbound.backend_ref), origin)
            if found is None:
                return None
            listed = vips.Listed(address, outbound.port, destination=found.kri)
            return self._made.setdefault(listed, listed)
        key = (address, outbound.port, *outbound.tags.items())
        made = self._made.get(key)
        if made is None and (service := outbound.tags.get(labels.SERVICE_TAG)):
            made = self._made[key] = vips.Listed(address, outbound.port, service, endpoints.tag_pairs(outbound.tags))
        return made

    def of(self, proxy: "res.Resource[dataplane.Dataplane]") -> Outbounds:
        """What a proxy answers for; never what it listens on itself."""
        networking = proxy.spec.networking or dataplane.Networking()
        reach = reach_of(proxy) if networking.transparent_proxying is not None else Reach()
        found = self._reached.get(reach)
        if found is None:
            reached = self._within(reach)
            found = self._reached[reach] = reached, frozenset((each.address, each.port) for each in reached)
        outbounds, places = found
        listening = {(each.address or networking.address, each.port) for each in networking.inbound}
        taken = places & listening
        if not taken:
            return outbounds
        known = self._narrowed.get((reach, taken))
        if known is None:
            known = tuple(each for each in outbounds if (each.address, each.port) not in taken)
            self._narrowed[reach, taken] = known
        return known

    def _within(self, reach: Reach) -> Outbounds:
        by_service = (each for each in self._of_services if not reach.services or each.service in reach.services)
        selected = reach.select(self._index)
        is_unasked = reach.backends is None and self._mode is mesh.MeshServicesMode.REACHABLE_BACKENDS
        if is_unasked or (reach.services and selected is None):
            return tuple(by_service)
        if selected is None:
            return (*by_service, *self._of_destinations)
        return (*by_service, *(each for each in self._of_destinations if each.destination in selected))


def _reference(ref: dataplane.BackendRef) -> destinations.Reference:
    pairs = tuple(sorted(ref.labels.items()))
    return destinations.Reference(ref.kind, ref.name, labels=pairs, section=str(ref.port) if ref.port else "")


def _reachable(ref: dataplane.ReachableBackendRef) -> destinations.Reference:
    pairs = tuple(sorted(ref.labels.items()))
    section = str(ref.port) if ref.port is not None else ""
    return destinations.Reference(ref.kind, ref.name, ref.namespace, pairs, section)
