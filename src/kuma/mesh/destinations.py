"""What a mesh's proxies can be sent to by name: each port of its MeshServices, MeshExternalServices and
MeshMultiZoneServices.

The index is advanced by edits. A change of what a status counts changes nothing here: destinations and resources keep
their objects as long as nothing about them that shapes a proxy differs. Source: Kuma's documentation, "MeshService" and
its neighbours; "Kuma Resource Identifier".
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.base import labels
from kuma.base.kri import Kri
from kuma.resources import names
from kuma.resources import resource as res
from kuma.resources.kinds import meshexternalservice, meshmultizoneservice, meshservice

KINDS = (meshservice.KIND.name, meshexternalservice.KIND.name, meshmultizoneservice.KIND.name)

EGRESS_SERVICE = "zone-egress"
"""The service that a zone egress proves to be."""

_SHORT = {kind.name: kind.short for kind in (meshservice.KIND, meshexternalservice.KIND, meshmultizoneservice.KIND)}
_KUBERNETES_NAME = re.compile(r"([^_]+)_([^_]+)_svc(?:_([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Destination:
    """One port. `kri` has the port's name, else its number, as its section; `name` is what Envoy calls it without
    unified naming.

    `identities` are the SPIFFE IDs that its proxies may have, sorted; with none of them known, any of the mesh.
    `is_tls_ready`: all of them speak mutual TLS. `is_local`: it is of this zone.
    """

    kri: Kri
    name: str
    port: int
    protocol: str
    sni: str
    vips: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    is_tls_ready: bool = True
    is_local: bool = True
    is_external: bool = False
    resource: "res.Resource[Any]" = field(compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Reference:
    """A destination as a policy or a Dataplane names it: by name (and namespace) or by labels, all ports or one."""

    kind: str
    name: str = ""
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    section: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource with its ports."""

    resource: res.Resource[Any]
    kri: Kri
    ports: tuple[Destination, ...]

    @property
    def gathered(self) -> tuple[Kri, ...]:
        """The MeshServices that a MeshMultiZoneService consists of."""
        status = self.resource.status
        if not isinstance(status, meshmultizoneservice.MeshMultiZoneServiceStatus):
            return ()
        short = meshservice.KIND.short
        return tuple(Kri(short, each.mesh, each.zone, each.namespace, each.name) for each in status.mesh_services)

    def is_alike(self, other: "Entry") -> bool:
        """Whether proxies cannot tell both apart."""
        one, two = self.resource, other.resource
        return (
            (one.spec, one.meta.labels, one.meta.name, one.meta.creation_time)
            == (two.spec, two.meta.labels, two.meta.name, two.meta.creation_time)
            and self.ports == other.ports
            and self.gathered == other.gathered
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """What an advance changed: `destinations` that look different, came or went; `resources` to which that happened.

    `is_listing`: which destinations there are, their addresses or hostnames, or what selects them.
    """

    destinations: frozenset[Kri] = frozenset()
    resources: frozenset[Kri] = frozenset()
    is_listing: bool = False


def read(resource: res.Resource[Any]) -> Entry:
    """A resource of one of `KINDS` with its ports, as far as it alone tells about them."""
    own = resource.kri
    if own is None:
        raise ValueError(f"{resource.kind.name} has no KRI")
    if isinstance(resource.spec, meshservice.MeshService):
        ports = tuple(_mesh_service(resource, own))
    elif isinstance(resource.spec, meshexternalservice.MeshExternalService):
        ports = (_external(resource, own),)
    else:
        ports = tuple(_multi_zone(resource, own))
    return Entry(resource, own, ports)


class DestinationIndex:
    """The destinations of a mesh. Where two resources claim one KRI, the first by name counts."""

    __slots__ = ("_by_kind", "_by_kri", "_claims", "_gathering", "_is_through_zone", "_named")

    def __init__(self) -> None:
        self._claims: Mapping[Kri, tuple[Entry, ...]] = {}
        self._named: Mapping[res.Key, Kri] = {}
        self._by_kri: Mapping[Kri, Destination] = {}
        self._by_kind: Mapping[str, tuple[res.Resource[Any], ...]] = {}
        self._is_through_zone = False
        self._gathering: Mapping[Kri, tuple[Kri, ...]] | None = None

    def all(self) -> Iterator[Destination]:
        """Every destination: MeshServices first, each kind by name, the ports in their order."""
        for kind in KINDS:
            for resource in self.resources(kind):
                yield from self.of_resource(_kri(resource))

    def of(self, kri: Kri) -> Destination | None:
        """The destination with exactly this KRI; None if there is none."""
        return self._by_kri.get(kri)

    def of_resource(self, kri: Kri) -> tuple[Destination, ...]:
        """All ports of a resource, by its KRI without a section."""
        entry = self.entry(kri)
        return entry.ports if entry is not None else ()

    def entry(self, kri: Kri) -> Entry | None:
        """A resource with its ports, by its KRI without a section."""
        claims = self._claims.get(kri)
        return claims[0] if claims else None

    def resources(self, kind: str) -> tuple[res.Resource[Any], ...]:
        """The resources of a kind by name: the same object as long as none of them differs for a proxy.

        What their status counts may be older than in the store.
        """
        return self._by_kind.get(kind, ())

    def stored(self) -> Iterator[res.Resource[Any]]:
        """Every resource that was taken in, those that do not count included."""
        return (each.resource for several in self._claims.values() for each in several)

    @property
    def gathering(self) -> Mapping[Kri, tuple[Kri, ...]]:
        """By KRI of a MeshService: the MeshMultiZoneServices that it is part of."""
        if self._gathering is None:
            found: dict[Kri, list[Kri]] = {}
            for resource in self.resources(meshmultizoneservice.KIND.name):
                entry = self._claims[_kri(resource)][0]
                for one in entry.gathered:
                    found.setdefault(one, []).append(entry.kri)
            self._gathering = {kri: tuple(own) for kri, own in found.items()}
        return self._gathering

    def resolve(self, reference: Reference, origin: Kri) -> tuple[Destination, ...]:
        """The ports that a reference means, given the KRI of the resource that makes it.

        A name is looked for in the zone and, unless the reference has one, the namespace of that resource; labels
        select in all of them. A resource without the port in question is passed over.
        """
        section = reference.section
        if reference.labels:
            found = self._labelled(reference.kind, reference.labels)
        else:
            kubernetes = _KUBERNETES_NAME.fullmatch(reference.name) if reference.kind == "MeshService" else None
            if kubernetes is not None and not section:
                name, namespace, port = kubernetes.groups()
                section = port or ""
                found = self._in_namespace(name, namespace)
            else:
                namespace = reference.namespace or origin.namespace
                short = _SHORT.get(reference.kind, "")
                entry = self.entry(Kri(short, origin.mesh, origin.zone, namespace, reference.name))
                found = [entry] if entry is not None else []
        return tuple(port for entry in found for port in _ports(entry, section))

    def one(self, reference: Reference, origin: Kri) -> Destination | None:
        """As `resolve`, for places that can mean one destination alone: of several resources the oldest."""
        found = self.resolve(reference, origin)
        return min(found, key=lambda each: each.resource.meta.creation_time) if found else None

    def _labelled(self, kind: str, wanted: tuple[tuple[str, str], ...]) -> list[Entry]:
        return [
            self._claims[_kri(each)][0]
            for each in self.resources(kind)
            if all(each.meta.labels.get(key) == value for key, value in wanted)
        ]

    def _in_namespace(self, name: str, namespace: str) -> list[Entry]:
        return [
            self._claims[_kri(each)][0]
            for each in self.resources("MeshService")
            if each.meta.display_name == name and each.meta.labels.get(labels.NAMESPACE) == namespace
        ]

    def advance(
        self, edits: Iterable[tuple[Entry, bool]], is_through_zone: bool = False
    ) -> tuple["DestinationIndex", Changes]:
        """The index after entries were written or (with True) deleted, and what that changed.

        `is_through_zone`: traffic that leaves the mesh goes through an egress of the zone, which proves to be one.
        """
        claims, named = dict(self._claims), dict(self._named)
        touched: dict[Kri, None] = {}
        for entry, deleted in edits:
            key = entry.resource.key
            for kri in {named.pop(key, entry.kri), entry.kri}:
                claims[kri] = tuple(each for each in claims.get(kri, ()) if each.resource.meta.name != key.name)
                touched[kri] = None
            if not deleted:
                claims[entry.kri] = tuple(sorted((*claims[entry.kri], entry), key=lambda each: each.resource.meta.name))
                named[key] = entry.kri
        if is_through_zone != self._is_through_zone:
            touched.update((kri, None) for kri in claims if kri.short == _SHORT["MeshExternalService"])
        for kri in tuple(touched):
            touched.update((each, None) for each in self.gathering.get(kri, ()))
        if not touched:
            return self, Changes()
        made = DestinationIndex()
        made._named, made._is_through_zone = named, is_through_zone
        return made, made._settle(self, claims, touched)

    def _settle(
        self, before: "DestinationIndex", claims: dict[Kri, tuple[Entry, ...]], touched: Iterable[Kri]
    ) -> Changes:
        """Takes in claims whose touched entries may be incomplete; compares with the index before."""
        by_kri = dict(before._by_kri)
        destinations: set[Kri] = set()
        changed: dict[Kri, str] = {}
        is_listing = False
        for kri in touched:
            old, new = before.entry(kri), _completed(claims, kri, self._is_through_zone)
            if old is not None and new is not None and new.is_alike(old):
                new = old
            if new is None:
                del claims[kri]
            else:
                claims[kri] = (new, *claims[kri][1:])
            if new is old:
                continue
            ports = {each.kri: each for each in new.ports} if new is not None else {}
            gone = {each.kri: each for each in old.ports} if old is not None else {}
            for each in gone.keys() - ports.keys():
                del by_kri[each]
            by_kri.update(ports)
            destinations.update(each for each in gone.keys() | ports.keys() if gone.get(each) != ports.get(each))
            is_listing = is_listing or _listing(old) != _listing(new)
            changed[kri] = kri.short
        self._claims, self._by_kri, self._by_kind = claims, by_kri, before._by_kind
        if changed:
            kinds = [kind for kind, short in _SHORT.items() if short in changed.values()]
            self._by_kind = {**before._by_kind, **{kind: self._of_kind(before, kind, changed) for kind in kinds}}
        return Changes(frozenset(destinations), frozenset(changed), is_listing)

    def _of_kind(
        self, before: "DestinationIndex", kind: str, changed: Collection[Kri]
    ) -> tuple[res.Resource[Any], ...]:
        """The resources of a kind by name, given those of the index before."""
        new = {}
        for kri in changed:
            if kri.short != _SHORT[kind]:
                continue
            old, now = before.entry(kri), self.entry(kri)
            if old is None or now is None or old.resource.meta.name != now.resource.meta.name:
                found = [own[0].resource for each, own in self._claims.items() if each.short == _SHORT[kind]]
                return tuple(sorted(found, key=lambda each: each.meta.name))
            new[now.resource.meta.name] = now.resource
        return tuple(new.get(each.meta.name, each) for each in before.resources(kind))


def _kri(resource: res.Resource[Any]) -> Kri:
    own = resource.kri
    assert own is not None, "destinations have one"
    return own


def _ports(entry: Entry, section: str) -> Iterator[Destination]:
    """All ports, or the one whose name or number a section is."""
    return (each for each in entry.ports if not section or section in (each.kri.section, str(each.port)))


def _listing(entry: Entry | None) -> object:
    """Everything about a resource that decides which outbounds proxies have, and which policies are about them."""
    if entry is None:
        return None
    ports = tuple((each.kri, each.port, each.vips, each.hostnames) for each in entry.ports)
    return ports, entry.resource.meta.labels, entry.resource.meta.creation_time


def _completed(claims: Mapping[Kri, tuple[Entry, ...]], kri: Kri, is_through_zone: bool) -> Entry | None:
    """The entry that counts, with the identities that others tell it; None where there is none."""
    if not claims[kri]:
        return None
    entry = claims[kri][0]
    if kri.short == _SHORT["MeshExternalService"]:
        identities: tuple[str, ...] = (f"spiffe://{kri.mesh}/{EGRESS_SERVICE}",) if is_through_zone else ()
    elif kri.short == _SHORT["MeshMultiZoneService"]:
        behind = [own[0] for each in entry.gathered if (own := claims.get(each))]
        identities = tuple(sorted({each for one in behind for each in _identities(one.resource.spec, kri.mesh)}))
    else:
        return entry
    return replace(entry, ports=tuple(replace(each, identities=identities) for each in entry.ports))


def _identities(spec: meshservice.MeshService, mesh: str) -> Iterable[str]:
    return (each.value if each.type == "SpiffeID" else f"spiffe://{mesh}/{each.value}" for each in spec.identities)


def _mesh_service(resource: res.Resource[meshservice.MeshService], own: Kri) -> Iterator[Destination]:
    status = resource.status
    if not isinstance(status, meshservice.MeshServiceStatus):
        status = meshservice.MeshServiceStatus()
    is_local = resource.meta.labels.get(labels.ORIGIN, labels.ORIGIN_ZONE) == labels.ORIGIN_ZONE
    for port in resource.spec.ports:
        yield Destination(
            own.with_section(port.section),
            names.destination_name(own, port.port),
            port.port,
            port.app_protocol or "tcp",
            names.hashed_sni(own.short, _service_name(resource.meta), port.port, own.mesh),
            vips=tuple(each.ip for each in status.vips),
            hostnames=tuple(each.hostname for each in status.addresses),
            identities=tuple(sorted(set(_identities(resource.spec, own.mesh)))),
            is_tls_ready=not is_local or status.tls.status == "Ready",
            is_local=is_local,
            resource=resource,
        )


def _service_name(meta: res.Meta) -> str:
    """What the server name of a MeshService is made of: the name that its own zone gave it."""
    origin, namespace = meta.labels.get(labels.ORIGIN), meta.labels.get(labels.NAMESPACE)
    name = meta.display_name if origin == labels.ORIGIN_GLOBAL else meta.name
    return f"{name}.{namespace}" if origin is not None and namespace else name


def _external(resource: res.Resource[meshexternalservice.MeshExternalService], own: Kri) -> Destination:
    status = resource.status
    if not isinstance(status, meshexternalservice.MeshExternalServiceStatus):
        status = meshexternalservice.MeshExternalServiceStatus()
    match = resource.spec.match
    return Destination(
        own.with_section(str(match.port)),
        names.destination_name(own, match.port),
        match.port,
        match.protocol or "tcp",
        names.hashed_sni(own.short, own.name, match.port, own.mesh),
        vips=(status.vip.ip,) if status.vip.ip else (),
        hostnames=tuple(each.hostname for each in status.addresses),
        is_external=True,
        resource=resource,
    )


def _multi_zone(resource: res.Resource[meshmultizoneservice.MeshMultiZoneService], own: Kri) -> Iterator[Destination]:
    status = resource.status
    if not isinstance(status, meshmultizoneservice.MeshMultiZoneServiceStatus):
        status = meshmultizoneservice.MeshMultiZoneServiceStatus()
    for port in resource.spec.ports:
        yield Destination(
            own.with_section(port.section),
            names.destination_name(own, port.port),
            port.port,
            port.app_protocol or "tcp",
            names.hashed_sni(own.short, own.name, port.port, own.mesh),
            vips=tuple(each.ip for each in status.vips),
            hostnames=tuple(each.hostname for each in status.addresses),
            is_local=False,
            resource=resource,
        )
