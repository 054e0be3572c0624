"""The next picture while it is being made: takes edits one by one, then advances every index once.

An edit that cannot be understood is refused when it is taken, so that one odd resource does not hide the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from kuma.base.kri import Kri
from kuma.mesh import backing, destinations, endpoints, picture, readiness, secrets, spiffe_ids, vips, zones
from kuma.mesh import outbounds as reaching
from kuma.resources import dns_vips, selectors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshgateway, serviceinsight

OTHERS = (
    "ExternalService",
    "MeshGateway",
    "MeshIdentity",
    "MeshOpenTelemetryBackend",
    "MeshTrust",
    "MeshZoneAddress",
    "Secret",
)
"""Kinds of a mesh, beside its policies, whose resources are kept whole."""

KINDS = ("Mesh", "Config", "ZoneIngress", "ZoneEgress", *OTHERS, *destinations.KINDS, "Dataplane", "ServiceInsight")
"""Every kind that shapes pictures, beside the policies; in this order nothing comes before what it belongs to."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: the resource as it is now, or the one that is gone."""

    resource: res.Resource[Any]
    deleted: bool = False


PolicyChange = tuple[str, res.Resource[Any] | None, res.Resource[Any] | None]
"""The mesh of a policy, the policy as it was, and as it is now."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What a set of edits reached.

    `meshes`: everything in them may look different, the outbounds of their proxies included. `services` and
    `destinations` are those whose endpoints, protocol or facts differ, each with its mesh. `policies` do not make their
    meshes touched. `refused` are edits that could not be taken in, each with the reason.
    """

    meshes: frozenset[str] = frozenset()
    proxies: frozenset[res.Key] = frozenset()
    services: frozenset[tuple[str, str]] = frozenset()
    destinations: frozenset[tuple[str, Kri]] = frozenset()
    policies: tuple[PolicyChange, ...] = ()
    refused: tuple[tuple[Edit, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.meshes or self.proxies or self.services or self.destinations or self.policies)


class Addresses(NamedTuple):
    """The virtual addresses of the services of a mesh, and the Config that holds them."""

    config: res.Resource[Any]
    table: dns_vips.Table


@dataclass(slots=True)
class _Pending:
    """What is left to do for one mesh. `outside`: zones, or how the mesh uses them, may differ."""

    moved: "dict[str, tuple[res.Resource[dataplane.Dataplane] | None, endpoints.Shares]]" = field(default_factory=dict)
    entries: list[tuple[destinations.Entry, bool]] = field(default_factory=list)
    outside: bool = False
    listing: bool = False


class Draft:
    """Edits of all meshes. `tables` are by mesh, whether it is known or not."""

    def __init__(
        self,
        meshes: Mapping[str, picture.MeshView],
        known: zones.Zones,
        tables: Mapping[str, Addresses],
        policy_kinds: frozenset[str],
        naming: vips.Naming,
        environment: str,
    ) -> None:
        self.meshes = dict(meshes)
        self.zones = known
        self.tables = dict(tables)
        self.touched = _Touching()
        self._policy_kinds = policy_kinds
        self._naming = naming
        self._environment = environment
        self._pending: dict[str, _Pending] = {}

    def take(self, edit: Edit) -> None:
        """Takes one edit in, or refuses it."""
        try:
            self._take(edit)
        except Exception as failure:
            self.touched.refused.append((edit, f"{type(failure).__name__}: {failure}"))

    def _take(self, edit: Edit) -> None:
        kind, mesh = edit.resource.kind.name, edit.resource.meta.mesh
        if kind == "Mesh":
            self._mesh(edit)
        elif kind == "Config":
            self._config(edit)
        elif kind in ("ZoneIngress", "ZoneEgress"):
            self._zone_proxy(edit, kind)
        elif mesh not in self.meshes:
            return
        elif kind == "Dataplane":
            after = None if edit.deleted else edit.resource
            self._of(mesh).moved[edit.resource.meta.name] = after, endpoints.shares_of(after)
        elif kind in destinations.KINDS:
            self._of(mesh).entries.append((destinations.read(edit.resource), edit.deleted))
        elif kind == "ServiceInsight":
            self._readiness(edit)
        elif kind in self._policy_kinds:
            self._policy(edit)
        elif kind in OTHERS:
            if kind == "ExternalService" and not edit.deleted:
                zones.address_of(edit.resource.spec)
            self._other(edit, kind)

    def _of(self, mesh: str) -> _Pending:
        return self._pending.setdefault(mesh, _Pending())

    def _mesh(self, edit: Edit) -> None:
        name = edit.resource.meta.name
        before = self.meshes.get(name)
        if edit.deleted:
            self.meshes.pop(name, None)
            self._pending.pop(name, None)
            self.touched.meshes.add(name)
            return
        if before is not None and _same(before.resource, edit.resource):
            return
        after = replace(before, resource=edit.resource) if before else picture.MeshView(edit.resource, self.zones)
        self.meshes[name] = replace(after, tls_ready=_tls_ready(after))
        self._of(name).outside = self._of(name).listing = True
        self.touched.meshes.add(name)

    def _config(self, edit: Edit) -> None:
        mesh = dns_vips.mesh_of(edit.resource.meta.name)
        if mesh is None:
            return
        table: dns_vips.Table = {} if edit.deleted else dns_vips.parse(edit.resource.spec.config)
        before = self.tables.pop(mesh, None)
        if not edit.deleted:
            self.tables[mesh] = Addresses(edit.resource, table)
        if mesh in self.meshes and table != (before.table if before is not None else {}):
            self._of(mesh).listing = True
            self.touched.meshes.add(mesh)

    def _zone_proxy(self, edit: Edit, kind: str) -> None:
        """An ingress reaches the meshes whose services it offers; egresses, of which there are few, all meshes."""
        name = edit.resource.meta.name
        held: Mapping[str, res.Resource[Any]] = self.zones.ingresses if kind == "ZoneIngress" else self.zones.egresses
        before, after = held.get(name), None if edit.deleted else edit.resource
        if before is None and after is None:
            return
        if before is not None and after is not None and before.spec == after.spec:
            return
        kept = {key: each for key, each in held.items() if key != name}
        if after is not None:
            kept[name] = after
        if kind == "ZoneIngress":
            offers = [zones.offered(each) if each is not None else frozenset() for each in (before, after)]
            self.touched.services.update((mesh, service) for mesh, service, _ in offers[0] ^ offers[1])
            self.zones = replace(self.zones, ingresses=kept)
        else:
            self.touched.meshes.update(self.meshes)
            self.zones = replace(self.zones, egresses=kept)
        for mesh in self.meshes:
            self._of(mesh).outside = True

    def _policy(self, edit: Edit) -> None:
        key = edit.resource.key
        view = self.meshes[key.mesh]
        before, kept = _swapped(view.policies.get(key.kind, ()), edit)
        if kept is not None:
            self.meshes[key.mesh] = replace(view, policies={**view.policies, key.kind: kept})
            self.touched.policies.append((key.mesh, before, None if edit.deleted else edit.resource))

    def _other(self, edit: Edit, kind: str) -> None:
        mesh = edit.resource.meta.mesh
        view = self.meshes[mesh]
        before, kept = _swapped(view.others.get(kind, ()), edit)
        if kept is None:
            return
        view = self.meshes[mesh] = replace(view, others={**view.others, kind: kept})
        if kind == "Secret":
            self._secret(view, edit.resource.meta.name)
            return
        if kind == "MeshTrust":
            self.meshes[mesh] = replace(view, trusts=spiffe_ids.trusts_of(kept))
        elif kind == "MeshIdentity":
            known = (spiffe_ids.identity_of(each, self.zones.zone, self._environment) for each in kept)
            self.meshes[mesh] = replace(view, identities=tuple(each for each in known if each is not None))
        changed = [each for each in (before, edit.resource) if each is not None]
        self._of(mesh).outside = True
        if kind == "ExternalService":
            self.touched.services.update((mesh, zones.service_of(each.spec)) for each in changed)
        else:
            self.touched.meshes.add(mesh)
            if kind == "MeshGateway" and any(_is_cross_mesh(each) for each in changed):
                self.touched.meshes.update(self.meshes)

    def _secret(self, view: picture.MeshView, name: str) -> None:
        """Those outside are dialled with something else, by proxies or by an egress; to all others a Secret is nothing."""
        services, targets = secrets.services_of(view, name), secrets.destinations_of(view, name)
        self.touched.services.update((view.name, each) for each in services)
        self.touched.destinations.update((view.name, each) for each in targets)
        if services or targets:
            self._of(view.name).outside = True

    def _readiness(self, edit: Edit) -> None:
        before = self.meshes[edit.resource.meta.mesh]
        after = replace(before, insight=serviceinsight.ServiceInsight() if edit.deleted else edit.resource.spec)
        ready = _tls_ready(after)
        self.meshes[before.name] = replace(after, tls_ready=ready)
        if before.is_permissive:
            self.touched.services.update((before.name, service) for service in ready ^ before.tls_ready)

    def finish(self) -> Touched:
        """Advances the indexes of every mesh that has something pending, and tells what all edits reached."""
        for mesh, pending in self._pending.items():
            try:
                self.meshes[mesh] = self._settled(self.meshes[mesh], pending)
            except Exception:
                self._settle_apart(mesh, pending)
        found = self.touched
        for mesh in {mesh for mesh, _ in found.destinations} & self.meshes.keys():
            self._touch_zone_proxies(self.meshes[mesh])
        return Touched(
            frozenset(found.meshes),
            frozenset(found.proxies),
            frozenset(found.services),
            frozenset(found.destinations),
            tuple(found.policies),
            tuple(found.refused),
        )

    def _touch_zone_proxies(self, view: picture.MeshView) -> None:
        self.touched.proxies.update(res.Key("Dataplane", view.name, each) for each in view.zone_proxies)

    def _settle_apart(self, mesh: str, pending: _Pending) -> None:
        """As `_settled`, one resource after the other: what cannot be taken in must not hide the others."""
        parts: list[tuple[Edit, _Pending]] = []
        for name, moved in pending.moved.items():
            resource = moved[0] or self.meshes[mesh].dataplanes.get(name)
            if resource is not None:
                parts.append((Edit(resource, deleted=moved[0] is None), _Pending(moved={name: moved})))
        for entry in pending.entries:
            parts.append((Edit(entry[0].resource, deleted=entry[1]), _Pending(entries=[entry])))
        whole = Edit(self.meshes[mesh].resource)
        parts.append((whole, _Pending(outside=pending.outside, listing=pending.listing)))
        for edit, part in parts:
            try:
                self.meshes[mesh] = self._settled(self.meshes[mesh], part)
            except Exception as failure:
                self.touched.refused.append((edit, f"{type(failure).__name__}: {failure}"))

    def _settled(self, view: picture.MeshView, pending: _Pending) -> picture.MeshView:
        """A mesh after everything pending. A thousand proxies at once cost little more than one."""
        before, trusted = view.dataplanes, view.egress_ids
        changes = self._move(view, pending)
        if pending.moved:
            view = replace(
                view,
                dataplanes=_moved(before, pending),
                egresses=_egresses(view, pending),
                direct_callers=_direct_callers(view, pending),
                zone_proxies=_zone_proxies(view, pending),
            )
        if pending.outside:
            view = replace(view, zones=self.zones)
            outside = zones.outside(self.zones, view.routing, view.others.get("ExternalService", ()))
            changes |= _differences(view.outside.shares, outside.shares)
            view = replace(view, outside=outside)
        index, services = view.endpoints.advance(changes, view.outside.local_weight)
        self.touched.services.update((view.name, service) for service in services)
        is_through_zone = bool(view.zones.ways_out) and not view.egresses
        known, listed = view.destinations.advance(pending.entries, is_through_zone=is_through_zone)
        proxies = backing.Proxies(view.dataplanes, {name: before.get(name) for name in pending.moved}, index.members_of)
        behind, answering = view.backing.advance(known, listed.resources, proxies, self._around(view))
        self.touched.destinations.update((view.name, kri) for kri in answering | listed.destinations)
        if view.egress_ids != trusted:  # clients know the egress by them, wherever it listens
            self.touched.destinations.update((view.name, each.kri) for each in known.all() if each.is_external)
        if listed.is_listing:
            self.touched.meshes.add(view.name)
        if listed.resources:  # where something outside is, clients do not see
            self._touch_zone_proxies(view)
        view = replace(view, endpoints=index, destinations=known, backing=behind)
        return self._listed(view) if listed.is_listing or pending.listing else view

    def _move(
        self, view: picture.MeshView, pending: _Pending
    ) -> "dict[str, tuple[endpoints.Shares, endpoints.Shares]]":
        """What proxies gave and give to services."""
        changes = {}
        for name, (after, shares) in pending.moved.items():
            before = view.dataplanes.get(name)
            changes[name] = endpoints.shares_of(before), shares
            if not _is_alike(before, after):
                self.touched.proxies.update(
                    res.Key("Dataplane", view.name, each) for each in (name, *view.direct_callers)
                )
                if any(_is_cross_gateway(each, view) for each in (before, after)):
                    self.touched.meshes.update(self.meshes)
        return changes

    def _around(self, view: picture.MeshView) -> backing.Surroundings:
        before = view.backing.around
        routing = view.routing
        ways_out = view.ways_out
        is_other = self._of(view.name).outside
        if before is not None and before.routing == routing and before.egresses == ways_out and not is_other:
            return before
        addresses = zones.zone_addresses(self.zones, view.others.get("MeshZoneAddress", ()))
        is_mutual = routing.is_mutual or bool(view.others.get("MeshIdentity"))
        return backing.Surroundings(routing, addresses if is_mutual else {}, ways_out)

    def _listed(self, view: picture.MeshView) -> picture.MeshView:
        addresses = self.tables.get(view.name)
        of_services = vips.of_services(addresses.table, self._naming) if addresses is not None else ()
        of_destinations = vips.of_destinations(view.destinations.all())
        made = reaching.VirtualOutbounds(of_services, of_destinations, view.destinations, view.mode)
        return replace(view, virtual=made)


class _Touching:
    """`Touched` while it is being gathered."""

    def __init__(self) -> None:
        self.meshes: set[str] = set()
        self.proxies: set[res.Key] = set()
        self.services: set[tuple[str, str]] = set()
        self.destinations: set[tuple[str, Kri]] = set()
        self.policies: list[PolicyChange] = []
        self.refused: list[tuple[Edit, str]] = []


def _same(before: res.Resource[Any], after: res.Resource[Any]) -> bool:
    return (before.spec, before.meta.version) == (after.spec, after.meta.version)


def _tls_ready(view: picture.MeshView) -> frozenset[str]:
    """The services that are ready for mutual TLS; none without it, because then certificates are withdrawn."""
    backend = view.backend
    return readiness.ready_services(view.insight, backend.name, view.tls_ready) if backend is not None else frozenset()


def _is_alike(before: res.Resource[Any] | None, after: res.Resource[Any] | None) -> bool:
    """Whether proxies are configured alike."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.meta.labels) == (after.spec, after.meta.labels)


def _status(resource: res.Resource[Any] | None) -> object:
    return resource.status if resource is not None else None


def _swapped(held: picture.Resources, edit: Edit) -> tuple[res.Resource[Any] | None, picture.Resources | None]:
    """The resource as it was held, and all of its kind after the edit, by name; None where nothing differs."""
    name = edit.resource.meta.name
    before = next((each for each in held if each.meta.name == name), None)
    after = None if edit.deleted else edit.resource
    if _is_alike(before, after) and (edit.resource.kind.name != "MeshIdentity" or _status(before) == _status(after)):
        return before, None
    kept = [each for each in held if each is not before]
    if not edit.deleted:
        kept.append(edit.resource)
    return before, tuple(sorted(kept, key=lambda each: each.meta.name))


def _moved(
    dataplanes: "Mapping[str, res.Resource[dataplane.Dataplane]]", pending: _Pending
) -> "Mapping[str, res.Resource[dataplane.Dataplane]]":
    out = dict(dataplanes)
    for name, (after, _) in pending.moved.items():
        if after is None:
            out.pop(name, None)
        else:
            out[name] = after
    return out


def _egresses(view: picture.MeshView, pending: _Pending) -> Mapping[str, tuple[zones.Address, ...]]:
    """The mesh's own egresses after its proxies moved."""
    found = {name: zones.egresses_of(after) for name, (after, _) in pending.moved.items()}
    if not any(found.values()) and view.egresses.keys().isdisjoint(found):
        return view.egresses
    return {name: where for name, where in {**view.egresses, **found}.items() if where}


def _direct_callers(view: picture.MeshView, pending: _Pending) -> frozenset[str]:
    """The proxies with direct access after some moved."""
    found = frozenset(name for name, (after, _) in pending.moved.items() if after and after.spec.direct_services)
    return view.direct_callers.difference(pending.moved) | found


def _zone_proxies(view: picture.MeshView, pending: _Pending) -> frozenset[str]:
    """The proxies that are an ingress or an egress of their mesh after some moved."""
    found = frozenset(
        name
        for name, (after, _) in pending.moved.items()
        if after and after.spec.networking is not None and after.spec.networking.listeners
    )
    return view.zone_proxies.difference(pending.moved) | found


def _differences(
    old: Mapping[str, endpoints.Shares], new: Mapping[str, endpoints.Shares]
) -> dict[str, tuple[endpoints.Shares, endpoints.Shares]]:
    """What each member gave and gives."""
    return {name: (old.get(name, {}), new.get(name, {})) for name in old.keys() | new.keys()}


def _is_cross_mesh(gateway: res.Resource[meshgateway.MeshGateway]) -> bool:
    """Whether clients of other meshes may use a gateway."""
    conf = gateway.spec.conf
    return conf is not None and any(each.cross_mesh for each in conf.listeners)


def _is_cross_gateway(proxy: "res.Resource[dataplane.Dataplane] | None", view: picture.MeshView) -> bool:
    """Whether clients of other meshes may send something to a proxy: only gateways are open to them."""
    if proxy is None or not proxy.spec.is_builtin_gateway:
        return False
    gateway = proxy.spec.networking.gateway if proxy.spec.networking is not None else None
    tags = gateway.tags if gateway is not None else {}
    return any(
        _is_cross_mesh(each) and any(selectors.matches(one.match, tags) for one in each.spec.selectors)
        for each in view.others.get("MeshGateway", ())
    )
