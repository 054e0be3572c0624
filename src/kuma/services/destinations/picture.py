"""What every mesh holds, as far as destinations depend on it, and what a change of it reaches.

Kept between changes, so that a proxy that joins costs the work of its own services. Hearing of a change twice is
harmless.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from kuma.base import labels
from kuma.mesh import selectors, spiffe_ids
from kuma.resources import dns_vips
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.services import service_hostnames
from kuma.services.destinations import generation, hostnames, legacy_vips, members, multizone
from kuma.services.rules import role as roles
from kuma.store import protocol

AnyResource = res.Resource[Any]

MESH_SERVICE, EXTERNAL, MULTI_ZONE = "MeshService", "MeshExternalService", "MeshMultiZoneService"
CONFIG, WORKLOAD = "Config", "Workload"

KINDS = (
    "Mesh",
    "HostnameGenerator",
    "MeshIdentity",
    "Dataplane",
    "DataplaneInsight",
    MESH_SERVICE,
    EXTERNAL,
    MULTI_ZONE,
    WORKLOAD,
    "ExternalService",
    "VirtualOutbound",
    "MeshGateway",
    "ZoneIngress",
    CONFIG,
)
"""The kinds that destinations are made of."""

K = TypeVar("K")
V = TypeVar("V")
_Tags = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Contents:
    """What one mesh holds.

    `by_term` files the proxies, `selecting` the MeshServices; `several` are the MeshMultiZoneServices among the services;
    `tags` counts the inbounds with each set of tags, `tagged` those of each service.
    """

    resource: res.Resource[mesh.Mesh] | None = None
    proxies: dict[str, members.Member] = field(default_factory=dict)
    connections: dict[str, members.Connection] = field(default_factory=dict)
    by_term: dict[selectors.Term, set[str]] = field(default_factory=dict)
    selecting: dict[selectors.Term, set[res.Key]] = field(default_factory=dict)
    services: dict[res.Key, AnyResource] = field(default_factory=dict)
    several: dict[res.Key, AnyResource] = field(default_factory=dict)
    workloads: dict[res.Key, AnyResource] = field(default_factory=dict)
    identities: dict[str, spiffe_ids.Identity] = field(default_factory=dict)
    tags: Counter[_Tags] = field(default_factory=Counter)
    tagged: Counter[str] = field(default_factory=Counter)
    named: dict[str, dict[str, AnyResource]] = field(default_factory=dict)

    def of_term(self, term: selectors.Term) -> Iterator[members.Member]:
        """The proxies that are filed under a term."""
        return (self.proxies[name] for name in self.by_term.get(term, ()))

    def by_name(self, kind: str) -> list[AnyResource]:
        """The resources of an old kind, sorted by name."""
        return [each for _, each in sorted(self.named.get(kind, {}).items())]


@dataclass(slots=True)
class Due:
    """What may have to be written: services and Workloads by key, meshes whose legacy addresses may differ.

    `tables` are meshes whose stored table differs from the one before; it may be the one that was just written.
    """

    services: set[res.Key] = field(default_factory=set)
    workloads: set[res.Key] = field(default_factory=set)
    legacy: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)

    def add(self, key: res.Key) -> None:
        """Makes one resource due."""
        if key.kind == CONFIG:
            self.legacy.add(dns_vips.mesh_of(key.name) or "")
        else:
            (self.workloads if key.kind == WORKLOAD else self.services).add(key)

    def slices(self, size: int) -> Iterator["Due"]:
        """The same in pieces of at most `size` resources, sorted; all legacy addresses in the last one."""
        for keys in _pieces(self.services, size):
            yield Due(services=keys)
        for keys in _pieces(self.workloads, size):
            yield Due(workloads=keys)
        if self.legacy or self.tables:
            yield Due(legacy=self.legacy, tables=self.tables)

    def __bool__(self) -> bool:
        return bool(self.services or self.workloads or self.legacy or self.tables)


class Picture:
    """All meshes. `untagged`: see `generation.Settings`."""

    def __init__(self, role: roles.Role, *, untagged: bool = False) -> None:
        self._role = role
        self._untagged = untagged
        self._meshes: dict[str, Contents] = {}
        self._generators: dict[str, service_hostnames.Generator] = {}
        self._ingresses: dict[str, AnyResource] = {}
        self._configs: dict[res.Key, AnyResource] = {}
        self.generators: tuple[service_hostnames.Generator, ...] = ()
        self.due = Due()
        self._takers = {
            "Mesh": self._take_mesh,
            "HostnameGenerator": self._take_generator,
            "MeshIdentity": self._take_identity,
            "Dataplane": self._take_dataplane,
            "DataplaneInsight": self._take_insight,
            MESH_SERVICE: self._take_service,
            EXTERNAL: self._take_service,
            MULTI_ZONE: self._take_service,
            WORKLOAD: self._take_workload,
            "ZoneIngress": self._take_ingress,
            CONFIG: self._take_config,
        }

    # What there is

    def contents(self, mesh_name: str) -> Contents:
        """What a mesh holds; nothing where it does not exist."""
        return self._meshes.get(mesh_name) or Contents()

    def stored(self, key: res.Key) -> AnyResource | None:
        """A service, Workload or Config as it was last seen."""
        if key.kind == CONFIG:
            return self._configs.get(key)
        contents = self.contents(key.mesh)
        return (contents.workloads if key.kind == WORKLOAD else contents.services).get(key)

    def callers(self, key: res.Key) -> Iterator[members.Member]:
        """The proxies that may call for the generated MeshService of this name."""
        contents = self.contents(key.mesh)
        named = contents.by_term.get(("tag", labels.SERVICE_TAG, key.name), set())
        if self._untagged:
            named = named | contents.by_term.get(("label", labels.WORKLOAD, key.name), set())
        return (contents.proxies[name] for name in named)

    def selected(self, service: AnyResource) -> list[members.Member]:
        """The proxies that a MeshService selects."""
        selector = service.spec.selector
        term = selectors.term_of(selector)
        if term is None:
            return []
        found = self.contents(service.meta.mesh).of_term(term)
        return [each for each in found if each.is_selected(selector)]

    def workers(self, key: res.Key) -> list[members.Member]:
        """The proxies of a Workload. On Kubernetes its name has the namespace behind a dot."""
        name = key.name.partition(".")[0]
        found = self.contents(key.mesh).of_term(("label", labels.WORKLOAD, name))
        return [each for each in found if each.workload == name]

    def behind(self, service: AnyResource) -> Iterator[AnyResource]:
        """The MeshServices of the mesh of a MeshMultiZoneService."""
        return (each for key, each in self.contents(service.meta.mesh).services.items() if key.kind == MESH_SERVICE)

    def sources(self, mesh_name: str) -> legacy_vips.Sources:
        """What gives legacy names in a mesh."""
        contents = self.contents(mesh_name)
        names = contents.by_name("VirtualOutbound")
        tags: list[Mapping[str, str]] = [{labels.SERVICE_TAG: each} for each in contents.tagged]
        if names:
            tags = [dict(each) for each in sorted(contents.tags)]
        for _, ingress in sorted(self._ingresses.items()):
            if ingress.spec.zone and ingress.spec.zone != self._role.zone:
                tags += [each.tags for each in ingress.spec.available_services if each.mesh == mesh_name]
        return legacy_vips.Sources(
            tags,
            contents.by_name("ExternalService"),
            names,
            [each for _, one in sorted(self._meshes.items()) for each in one.by_name("MeshGateway")],
        )

    # What happens

    def take(self, op: protocol.Op, resource: AnyResource) -> None:
        """Notes a change, and in `due` what it reaches."""
        self._takers.get(resource.kind.name, self._take_named)(resource, op is protocol.Op.DELETED)

    def take_due(self) -> Due:
        """What is due, which then no longer is."""
        due, self.due = self.due, Due()
        return due

    def _of(self, resource: AnyResource) -> Contents:
        return self._meshes.setdefault(resource.meta.mesh, Contents())

    def _take_mesh(self, resource: AnyResource, is_gone: bool) -> None:
        """What a mesh owns goes by changes of its own."""
        if is_gone:
            self._meshes.pop(resource.meta.name, None)
            return
        contents = self._meshes.setdefault(resource.meta.name, Contents())
        before, contents.resource = contents.resource, resource
        if before is not None and before.spec == resource.spec:
            return
        for each in contents.proxies.values():
            self._call_for(resource.meta.name, each)
        self.due.services.update(contents.services)
        self.due.workloads.update(contents.workloads)
        self.due.legacy.add(resource.meta.name)

    def _take_generator(self, resource: AnyResource, is_gone: bool) -> None:
        _keep(self._generators, resource.meta.name, None if is_gone else resource)
        self.generators = hostnames.in_order(self._generators.values())
        for contents in self._meshes.values():
            self.due.services.update(contents.services)

    def _take_identity(self, resource: AnyResource, is_gone: bool) -> None:
        contents = self._of(resource)
        before = contents.identities.get(resource.meta.name)
        role = self._role
        after = None if is_gone else spiffe_ids.identity_of(resource, role.zone, role.environment)
        _keep(contents.identities, resource.meta.name, after)
        if before != after:
            self.due.services.update(contents.services)

    def _take_dataplane(self, resource: res.Resource[dataplane.Dataplane], is_gone: bool) -> None:
        contents, name = self._of(resource), resource.meta.name
        before = contents.proxies.get(name)
        connection = contents.connections.get(name, members.Connection())
        after = None if is_gone else members.member_of(resource, connection)
        if before == after:
            return
        self._file(contents, name, before, after)
        self._count_tags(resource.meta.mesh, contents, before, after)
        self._reach(resource.meta.mesh, contents, before, after)

    def _take_insight(self, resource: AnyResource, is_gone: bool) -> None:
        """Counters change all the time; only who is connected, and with a certificate, matters here."""
        contents, name = self._of(resource), resource.meta.name
        connection = members.Connection() if is_gone else members.connection_of(resource.spec)
        _keep(contents.connections, name, None if is_gone else connection)
        before = contents.proxies.get(name)
        if before is None or before.connection == connection:
            return
        after = contents.proxies[name] = replace(before, connection=connection)
        self._reach(resource.meta.mesh, contents, before, after)

    def _file(self, contents: Contents, name: str, before: members.Member | None, after: members.Member | None) -> None:
        old = before.terms() if before is not None else frozenset()
        new = after.terms() if after is not None else frozenset()
        for term in old - new:
            named = contents.by_term[term]
            named.discard(name)
            if not named:
                del contents.by_term[term]
        for term in new - old:
            contents.by_term.setdefault(term, set()).add(name)
        _keep(contents.proxies, name, after)

    def _count_tags(
        self, mesh_name: str, contents: Contents, before: members.Member | None, after: members.Member | None
    ) -> None:
        """Only VirtualOutbounds look at other tags than the service."""
        old, new = Counter(_legacy_tags(before)), Counter(_legacy_tags(after))
        is_other = False
        for each in old.keys() | new.keys():
            step = new[each] - old[each]
            is_other |= _count(contents.tags, each, step) and bool(contents.named.get("VirtualOutbound"))
            is_other |= _count(contents.tagged, dict(each)[labels.SERVICE_TAG], step)
        if is_other:
            self.due.legacy.add(mesh_name)

    def _reach(
        self, mesh_name: str, contents: Contents, before: members.Member | None, after: members.Member | None
    ) -> None:
        """A changed proxy reaches the MeshServices that select it, those it calls for, and its Workload."""
        for each in (before, after):
            if each is None:
                continue
            for term in each.terms():
                self.due.services.update(contents.selecting.get(term, ()))
            self._call_for(mesh_name, each)

    def _call_for(self, mesh_name: str, member: members.Member) -> None:
        for name in generation.names_of(member, untagged=self._untagged):
            self.due.services.add(res.Key(MESH_SERVICE, mesh_name, name))
        if member.workload:
            self.due.workloads.add(res.Key(WORKLOAD, mesh_name, member.workload))

    def _take_service(self, resource: AnyResource, is_gone: bool) -> None:
        contents, key = self._of(resource), resource.key
        before, after = contents.services.get(key), None if is_gone else resource
        _keep(contents.services, key, after)
        self.due.services.add(key)
        if key.kind == MESH_SERVICE:
            self._index(contents, key, before, after)
            for each in (before, resource):
                if each is not None:
                    self._reach_several(contents, each)
        elif key.kind == MULTI_ZONE:
            _keep(contents.several, key, after)

    def _index(self, contents: Contents, key: res.Key, before: AnyResource | None, after: AnyResource | None) -> None:
        old = selectors.term_of(before.spec.selector) if before is not None else None
        new = selectors.term_of(after.spec.selector) if after is not None else None
        if old is not None and old != new:
            keys = contents.selecting[old]
            keys.discard(key)
            if not keys:
                del contents.selecting[old]
        if new is not None:
            contents.selecting.setdefault(new, set()).add(key)

    def _reach_several(self, contents: Contents, service: AnyResource) -> None:
        """A MeshService that comes, goes or has other labels reaches the MeshMultiZoneServices that select it."""
        self.due.services.update(key for key, each in contents.several.items() if multizone.matches(each, service))

    def _take_workload(self, resource: AnyResource, is_gone: bool) -> None:
        _keep(self._of(resource).workloads, resource.key, None if is_gone else resource)
        self.due.workloads.add(resource.key)

    def _take_ingress(self, resource: AnyResource, is_gone: bool) -> None:
        before = self._ingresses.get(resource.meta.name)
        _keep(self._ingresses, resource.meta.name, None if is_gone else resource)
        for each in (before, resource):
            if each is not None:
                self.due.legacy.update(offered.mesh for offered in each.spec.available_services)

    def _take_config(self, resource: AnyResource, is_gone: bool) -> None:
        mesh_name = dns_vips.mesh_of(resource.meta.name)
        if mesh_name is None:
            return
        before, after = self._configs.get(resource.key), None if is_gone else resource
        _keep(self._configs, resource.key, after)
        if before is None or after is None or before.spec != after.spec:
            self.due.tables.add(mesh_name)

    def _take_named(self, resource: AnyResource, is_gone: bool) -> None:
        """An old kind that gives legacy names."""
        named = self._of(resource).named.setdefault(resource.kind.name, {})
        _keep(named, resource.meta.name, None if is_gone else resource)
        self.due.legacy.update(self._meshes if resource.kind.name == "MeshGateway" else [resource.meta.mesh])


def _pieces(keys: set[res.Key], size: int) -> Iterator[set[res.Key]]:
    ordered = sorted(keys)
    return (set(ordered[start : start + size]) for start in range(0, len(ordered), size))


def _keep(known: dict[K, V], key: K, value: V | None) -> None:
    """Puts a value at a key; None removes what is there."""
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value


def _count(counts: Counter[K], key: K, step: int) -> bool:
    """Counts up or down; whether the key came or went."""
    before = counts.pop(key, 0)
    if before + step:
        counts[key] = before + step
    return bool(before) != bool(before + step)


def _legacy_tags(member: members.Member | None) -> Iterator[_Tags]:
    """The tags of inbounds that can be reached by their service."""
    for each in member.inbounds if member is not None else ():
        is_there = each.state is not dataplane.InboundState.IGNORED and each.port != members.NO_SERVICE_PORT
        if is_there and each.tags.get(labels.SERVICE_TAG):
            yield dns_vips.sorted_tags(each.tags)
