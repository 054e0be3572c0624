"""One frozen picture of every mesh, advanced by changes and never rebuilt.

`WorldView.advance` returns the next picture and what the changes touched, so that whoever compiles proxies knows
which of them to look at again. What did not change is the same object in both pictures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.mesh import endpoints as members
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, serviceinsight

NO_RESOURCES: tuple[res.Resource[Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: the resource as it is now, or the one that is gone."""

    resource: res.Resource[Any]
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Touched:
    """What a set of edits reached. `meshes`: everything in those meshes may look different.

    `refused` are edits that could not be taken in, each with the reason: one odd resource must not hide the others.
    """

    meshes: frozenset[str] = frozenset()
    proxies: frozenset[res.Key] = frozenset()
    services: frozenset[tuple[str, str]] = frozenset()
    refused: tuple[tuple[Edit, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.meshes or self.proxies or self.services)


@dataclass(frozen=True, slots=True)
class MeshView:
    """One mesh. `policies` holds the resources of each policy kind, sorted by name."""

    resource: "res.Resource[mesh.Mesh]"
    dataplanes: "Mapping[str, res.Resource[dataplane.Dataplane]]" = field(default_factory=dict)
    endpoints: members.EndpointIndex = field(default_factory=members.EndpointIndex)
    policies: Mapping[str, tuple[res.Resource[Any], ...]] = field(default_factory=dict)
    tls_ready: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The mesh's name."""
        return self.resource.meta.name

    @property
    def backend(self) -> "mesh.CertificateAuthorityBackend | None":
        """The CA backend in force; None where the mesh has no mutual TLS."""
        mtls = self.resource.spec.mtls
        if mtls is None or not mtls.enabled_backend:
            return None
        return next((each for each in mtls.backends if each.name == mtls.enabled_backend), None)

    @property
    def is_permissive(self) -> bool:
        """Whether inbounds take plaintext beside mutual TLS."""
        backend = self.backend
        return backend is not None and backend.mode == mesh.MtlsMode.PERMISSIVE

    @property
    def passes_unknown(self) -> bool:
        """Whether traffic to destinations outside the mesh may leave (transparent proxying)."""
        networking = self.resource.spec.networking
        outbound = networking.outbound if networking else None
        return outbound is None or outbound.passthrough is not False

    @property
    def is_exclusive(self) -> bool:
        """Whether only MeshService and its kin are destinations, the condition for unified names."""
        mode = self.resource.spec.mesh_services
        return mode is not None and mode.mode == mesh.MeshServicesMode.EXCLUSIVE

    def of_kind(self, kind: str) -> tuple[res.Resource[Any], ...]:
        """The policies of one kind."""
        return self.policies.get(kind, NO_RESOURCES)

    def speaks_tls(self, service: str) -> bool:
        """Whether clients must use mutual TLS to a service: always, unless the mesh is permissive and it is not ready."""
        if self.backend is None:
            return False
        return not self.is_permissive or service in self.tls_ready


@dataclass(frozen=True, slots=True)
class WorldView:
    """All meshes by name. `policy_kinds` are the kinds whose resources shape proxies of their mesh."""

    policy_kinds: frozenset[str]
    meshes: Mapping[str, MeshView] = field(default_factory=dict)

    def advance(self, edits: Iterable[Edit]) -> tuple["WorldView", Touched]:
        """The picture after the edits, and what they touched. Kinds that shape nothing are passed over."""
        draft = _Draft(dict(self.meshes), self.policy_kinds)
        for edit in edits:
            draft.take(edit)
        draft.finish()
        touched = Touched(
            frozenset(draft.touched_meshes), frozenset(draft.proxies), frozenset(draft.services), tuple(draft.refused)
        )
        return (replace(self, meshes=draft.meshes) if draft.dirty else self), touched


class _Draft:
    """The next picture while it is being made."""

    def __init__(self, meshes: dict[str, MeshView], policy_kinds: frozenset[str]) -> None:
        self.meshes = meshes
        self.policy_kinds = policy_kinds
        self.touched_meshes: set[str] = set()
        self.proxies: set[res.Key] = set()
        self.services: set[tuple[str, str]] = set()
        self.refused: list[tuple[Edit, str]] = []
        self.moved: dict[str, dict[res.Key, tuple[res.Resource[Any] | None, members.Shares]]] = {}
        self.dirty = False

    def take(self, edit: Edit) -> None:
        try:
            self._take(edit)
        except Exception as failure:
            self.refused.append((edit, f"{type(failure).__name__}: {failure}"))

    def _take(self, edit: Edit) -> None:
        kind = edit.resource.kind.name
        if kind == "Mesh":
            self._mesh(edit)
        elif kind == "Dataplane":
            self._dataplane(edit)
        elif kind == "ServiceInsight":
            self._readiness(edit)
        elif kind in self.policy_kinds:
            self._policy(edit)

    def _put(self, view: MeshView) -> None:
        self.meshes[view.name] = view
        self.dirty = True

    def _mesh(self, edit: Edit) -> None:
        name = edit.resource.meta.name
        if edit.deleted:
            self.dirty = self.meshes.pop(name, None) is not None or self.dirty
            self.moved.pop(name, None)
            self.touched_meshes.add(name)
            return
        before = self.meshes.get(name)
        if before is not None and before.resource.spec == edit.resource.spec:
            return
        after = replace(before, resource=edit.resource) if before else MeshView(edit.resource)
        if after.backend is None:
            after = replace(after, tls_ready=frozenset())  # certificates are withdrawn; who gets them again is unknown
        self._put(after)
        self.touched_meshes.add(name)

    def _dataplane(self, edit: Edit) -> None:
        """Notes a proxy; `finish` moves all of them at once, so that a thousand cost little more than one."""
        key = edit.resource.key
        if key.mesh in self.meshes:
            after = None if edit.deleted else edit.resource
            self.moved.setdefault(key.mesh, {})[key] = (after, members.shares_of(after))

    def finish(self) -> None:
        """Takes in the proxies that were noted."""
        for mesh_name, moved in self.moved.items():
            view = self.meshes[mesh_name]
            dataplanes = dict(view.dataplanes)
            changes = {}
            for key, (after, shares) in moved.items():
                before = dataplanes.get(key.name)
                if after is None:
                    dataplanes.pop(key.name, None)
                else:
                    dataplanes[key.name] = after
                changes[key.name] = (members.shares_of(before), shares)
                if not _is_alike(before, after):
                    self.proxies.add(key)
            index, services = view.endpoints.advance(changes)
            self._put(replace(view, dataplanes=dataplanes, endpoints=index))
            self.services.update((mesh_name, service) for service in services)

    def _policy(self, edit: Edit) -> None:
        key = edit.resource.key
        view = self.meshes.get(key.mesh)
        if view is None:
            return
        others = [each for each in view.of_kind(key.kind) if each.meta.name != key.name]
        if not edit.deleted:
            others.append(edit.resource)
        others.sort(key=lambda each: each.meta.name)
        self._put(replace(view, policies={**view.policies, key.kind: tuple(others)}))
        self.touched_meshes.add(key.mesh)

    def _readiness(self, edit: Edit) -> None:
        view = self.meshes.get(edit.resource.meta.mesh)
        if view is None:
            return
        ready = frozenset() if edit.deleted else _ready(view, edit.resource.spec)
        if ready == view.tls_ready:
            return
        self._put(replace(view, tls_ready=ready))
        if view.is_permissive:
            self.services.update((view.name, service) for service in ready ^ view.tls_ready)


def _is_alike(before: res.Resource[Any] | None, after: res.Resource[Any] | None) -> bool:
    """Whether proxies are configured alike."""
    if before is None or after is None:
        return before is after
    return (before.spec, before.meta.labels) == (after.spec, after.meta.labels)


def _ready(view: MeshView, insight: serviceinsight.ServiceInsight) -> frozenset[str]:
    """Services all of whose connected proxies hold a certificate of the backend in force.

    While none is connected, one that was ready stays so, and so is one whose proxies all had such a certificate when
    they were last seen: a restart, be it ours, must not open a plaintext window.
    """
    backend = view.backend
    if backend is None:
        return frozenset()
    out = set()
    for name, service in insight.services.items():
        count = service.dataplanes or serviceinsight.DataplaneStat()
        issued = service.issued_backends.get(backend.name, 0)
        if issued >= count.online and (count.online or name in view.tls_ready or issued >= count.total > 0):
            out.add(name)
    return frozenset(out)
