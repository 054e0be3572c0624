"""Who answers for a destination: the proxies behind each MeshService, ways to those of other zones, and egresses.

Every MeshService is filed under one *term*, a tag, label or name that all its proxies have; so a proxy that joins or
leaves costs work for the MeshServices it belongs to, and for nothing else. Source: Kuma's documentation, "MeshService",
"MeshMultiZoneService" and "MeshExternalService".
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kuma.base import labels
from kuma.base.kri import Kri
from kuma.mesh import destinations, endpoints, selectors, zones
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshmultizoneservice, meshservice

Dataplanes = Mapping[str, res.Resource[dataplane.Dataplane]]
Given = tuple[tuple[str, endpoints.Endpoint], ...]
"""What one proxy gives to a MeshService: endpoints, each with the section of its port."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What destinations outside the zone depend on."""

    routing: zones.Routing
    addresses: Mapping[str, tuple[zones.Address, ...]] = field(default_factory=dict)
    egresses: tuple[zones.Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of a mesh as they are now. `moved` are those that were different before, as they were.

    `of_service` tells the names of those that carry a `kuma.io/service`.
    """

    dataplanes: Dataplanes
    moved: Mapping[str, res.Resource[dataplane.Dataplane] | None]
    of_service: Callable[[str], Collection[str]]


class _Filed(NamedTuple):
    """Why a MeshService has the members it has: the term, and what says the rest."""

    term: selectors.Term
    spec: meshservice.MeshService

    def is_same(self, other: "_Filed") -> bool:
        """Whether both have the same members."""
        return (self.spec.selector, self.spec.ports) == (other.spec.selector, other.spec.ports)


@dataclass(frozen=True, slots=True)
class BackingIndex:
    """The endpoints of all destinations, by resource and then by section of the port."""

    around: Surroundings | None = None
    _services: Mapping[Kri, Mapping[str, endpoints.Service]] = field(default_factory=dict)
    _members: Mapping[Kri, Mapping[str, Given]] = field(default_factory=dict)
    _filed: Mapping[Kri, "_Filed"] = field(default_factory=dict)
    _by_term: Mapping[selectors.Term, tuple[Kri, ...]] = field(default_factory=dict)

    def of(self, kri: Kri) -> endpoints.Service | None:
        """Who answers for a destination; None where there is no such destination."""
        own = self._services.get(Kri(kri.short, kri.mesh, kri.zone, kri.namespace, kri.name))
        return own.get(kri.section) if own is not None else None

    def advance(
        self,
        index: destinations.DestinationIndex,
        changed: Iterable[Kri],
        proxies: Proxies,
        around: Surroundings,
    ) -> tuple["BackingIndex", frozenset[Kri]]:
        """The index for destinations of which `changed` differ, and the KRIs whose endpoints or protocol differ now."""
        draft = _Draft(self, index)
        draft.refile(changed, proxies)
        draft.move(proxies)
        if around != self.around:
            draft.dirty.update(dict.fromkeys(_outside(index)))
        for kri in tuple(draft.dirty):
            draft.dirty.update(dict.fromkeys(index.gathering.get(kri, ())))
        if not draft.dirty and around == self.around:
            return self, frozenset()
        touched = draft.rebuild(around)
        return BackingIndex(around, draft.services, draft.members, draft.filed, draft.by_term), touched


class _Draft:
    """The next index while it is being made. `dirty` are resources whose endpoints have to be gathered again."""

    def __init__(self, before: BackingIndex, index: destinations.DestinationIndex) -> None:
        self.index = index
        self.services = dict(before._services)
        self.members: Mapping[Kri, Mapping[str, Given]] = before._members
        self.filed: Mapping[Kri, _Filed] = before._filed
        self.by_term: Mapping[selectors.Term, tuple[Kri, ...]] = before._by_term
        self.dirty: dict[Kri, None] = {}
        self.refiled: set[Kri] = set()

    def refile(self, changed: Iterable[Kri], proxies: Proxies) -> None:
        """Finds the members of MeshServices that are new or different, and forgets those that are gone."""
        changed = tuple(changed)
        if not changed:
            return
        self.dirty.update(dict.fromkeys(changed))
        members, filed = dict(self.members), dict(self.filed)
        places: dict[selectors.Term, dict[Kri, None]] = {}
        for kri in changed:
            old, new = filed.get(kri), _file(self.index.entry(kri))
            if old is not None and new is not None and old.is_same(new):
                continue
            self.refiled.add(kri)
            members.pop(kri, None)
            if old is not None:
                del places.setdefault(old.term, dict.fromkeys(self.by_term.get(old.term, ())))[kri]
                del filed[kri]
            if new is not None:
                filed[kri] = new
                places.setdefault(new.term, dict.fromkeys(self.by_term.get(new.term, ())))[kri] = None
        candidates = _candidates({filed[kri].term for kri in self.refiled if kri in filed}, proxies)
        for kri in self.refiled & filed.keys():
            spec = filed[kri].spec
            found = ((name, _given(spec, proxies.dataplanes[name])) for name in candidates[filed[kri].term])
            members[kri] = {name: given for name, given in found if given}
        by_term = {**self.by_term, **{term: tuple(kris) for term, kris in places.items()}}
        for term in places:
            if not by_term[term]:
                del by_term[term]
        self.members, self.filed, self.by_term = members, filed, by_term

    def move(self, proxies: Proxies) -> None:
        """Moves proxies that changed in and out of the MeshServices that they belong to and that were not refiled."""
        touched: dict[Kri, dict[str, Given]] = {}
        for name, before in proxies.moved.items():
            after = proxies.dataplanes.get(name)
            terms = (term for each in (before, after) for term in _terms(each))
            near = {kri: None for term in terms for kri in self.by_term.get(term, ()) if kri not in self.refiled}
            for kri in near:
                given = _given(self.filed[kri].spec, after) if after is not None else ()
                own = touched.get(kri)
                if (own if own is not None else self.members[kri]).get(name, ()) == given:
                    continue
                if own is None:
                    own = touched[kri] = dict(self.members[kri])
                own.pop(name, None)
                if given:
                    own[name] = given
        if touched:
            self.members = {**self.members, **touched}
            self.dirty.update(dict.fromkeys(touched))

    def rebuild(self, around: Surroundings) -> frozenset[Kri]:
        """Gathers the endpoints of dirty resources, those made of others last. Returns the KRIs of what differs."""
        touched: set[Kri] = set()
        for kri in sorted(self.dirty, key=lambda each: each.short == meshmultizoneservice.KIND.short):
            old = self.services.pop(kri, {})
            new: dict[str, endpoints.Service] = {}
            entry = self.index.entry(kri)
            for port in entry.ports if entry is not None else ():
                found = endpoints.in_order(self._endpoints(port, kri, around))
                made = endpoints.Service(port.name, port.protocol, found, is_external=port.is_external)
                section = port.kri.section
                was = old.get(section)
                new[section] = was if was == made and was is not None else made
                if was != made:
                    touched.add(port.kri)
            touched.update(kri.with_section(section) for section in old.keys() - new.keys())
            if new:
                self.services[kri] = new
        return frozenset(touched)

    def _endpoints(
        self, port: destinations.Destination, own: Kri, around: Surroundings
    ) -> Iterator[endpoints.Endpoint]:
        meta = port.resource.meta
        zone = meta.labels.get(labels.ZONE, "")
        if own.short == meshmultizoneservice.KIND.short:
            entry = self.index.entry(own)
            for kri in entry.gathered if entry is not None else ():
                yield from self._gathered(kri, port.port)
        elif port.is_external:
            tags, priority = endpoints.tag_pairs(meta.labels), around.routing.priority_of(zone)
            for address in around.egresses:
                yield endpoints.Endpoint(*address, tags, zone=zone, priority=priority)
        elif port.is_local:
            for given in self.members.get(own, {}).values():
                yield from (endpoint for section, endpoint in given if section == port.kri.section)
        else:
            for address in around.addresses.get(zone, ()):
                yield endpoints.Endpoint(*address, ((labels.ZONE_TAG, zone),), zone=zone, priority=1)

    def _gathered(self, kri: Kri, number: int) -> Iterator[endpoints.Endpoint]:
        """The endpoints of one port of a MeshService; none of one in another zone that says it has none."""
        services = self.services.get(kri, {})
        for port in self.index.of_resource(kri):
            if port.port == number and (port.is_local or port.resource.spec.state == "Available"):
                yield from services[port.kri.section].endpoints


def _outside(index: destinations.DestinationIndex) -> Iterator[Kri]:
    """The resources whose endpoints are not all proxies of this zone."""
    for kind in destinations.KINDS:
        for resource in index.resources(kind):
            own = resource.kri
            if own is not None and any(not each.is_local or each.is_external for each in index.of_resource(own)):
                yield own


def _file(entry: destinations.Entry | None) -> _Filed | None:
    """What to find the proxies of a MeshService by; None where no proxy of this zone can belong to it."""
    spec = entry.resource.spec if entry is not None else None
    if entry is None or not isinstance(spec, meshservice.MeshService):
        return None
    if not all(each.is_local for each in entry.ports):
        return None
    term = selectors.term_of(spec.selector)
    return _Filed(term, spec) if term is not None else None


def _terms(proxy: "res.Resource[dataplane.Dataplane] | None") -> Iterator[selectors.Term]:
    """Every term that a proxy can be found by."""
    if proxy is None:
        return iter(())
    return selectors.terms_of(proxy.meta.name, proxy.meta.labels, _tag_sets(proxy))


def _candidates(wanted: Collection[selectors.Term], proxies: Proxies) -> Mapping[selectors.Term, Iterable[str]]:
    """The proxies that have a term, for each that is wanted."""
    found: dict[selectors.Term, Iterable[str]] = {}
    searched: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for term in wanted:
        how, key, value = term
        if how == "name":
            found[term] = (value,) if value in proxies.dataplanes else ()
        elif how == "tag" and key == labels.SERVICE_TAG:
            found[term] = [name for name in proxies.of_service(value) if name in proxies.dataplanes]
        else:
            found[term] = searched.setdefault((how, key), {}).setdefault(value, {})
    for (how, key), by_value in searched.items():
        for name, proxy in proxies.dataplanes.items():
            for pairs in (proxy.meta.labels,) if how == "label" else _tag_sets(proxy):
                having = by_value.get(pairs.get(key, ""))
                if having is not None:
                    having[name] = None
    return found


def _tag_sets(proxy: res.Resource[dataplane.Dataplane]) -> Iterator[selectors.Tags]:
    networking = proxy.spec.networking
    if networking is None:
        return iter(())
    return selectors.tag_sets(networking.inbound, networking.gateway.tags if networking.gateway else None)


def _given(spec: meshservice.MeshService, proxy: res.Resource[dataplane.Dataplane]) -> Given:
    """What a proxy gives to a MeshService of this zone; nothing where its selector is not about the proxy."""
    networking, own = proxy.spec.networking, proxy.meta
    if networking is None or not selectors.selects(spec.selector, own.name, own.labels, _tag_sets(proxy)):
        return ()
    of_proxy = tuple(sorted(own.labels.items()))
    return tuple(
        (port.section, endpoints.endpoint_of(networking, inbound, of_proxy))
        for inbound in selectors.in_force(networking.inbound)
        if inbound.is_ready
        for port in spec.ports
        if _is_target(port, inbound)
    )


def _is_target(port: meshservice.Port, inbound: dataplane.Inbound) -> bool:
    """Whether a port leads to an inbound: by number, by name, or because both are the same."""
    target = port.target_port
    if isinstance(target, str):
        return target == inbound.name
    return inbound.port == (port.port if target is None else target)
