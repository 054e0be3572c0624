"""Writing, reading and deleting resources: the one way in for users, agents and the control plane itself.

A write goes through the same steps in the same order wherever it comes from; each failing step names itself in the
title of its error. What only one kind needs (a Mesh makes its CA, a Dataplane obeys its Mesh) is in the `Rules` of
that kind. Order of steps and titles: Kuma's HTTP API.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kuma.base import errors, gotext, kri
from kuma.resources import catalog as catalogs
from kuma.resources import codec, json_documents, names, unknown
from kuma.resources import kind as kinds
from kuma.resources import meta as metas
from kuma.resources import resource as res
from kuma.security import access, users
from kuma.services import queries
from kuma.services.rules import labelling
from kuma.services.rules import role as roles
from kuma.store import protocol

AnyKind = kinds.Kind[Any]
AnyResource = res.Resource[Any]

_ATTEMPTS = 10
_LONGEST_SYNCED_NAME = 253


class Rules(Protocol):
    """What one kind asks for beside its schema: facts about other resources, and consequences of a write."""

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """The resource to store, perhaps completed; InvalidResource where other resources forbid it."""
        ...

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Makes what has to exist beside a stored resource. Repeating it is harmless."""
        ...

    async def release(self, current: AnyResource) -> None:
        """InvalidResource where other resources forbid a deletion."""
        ...


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """What a write did: whether the resource is new, how it is stored, and what its author should know."""

    created: bool
    resource: AnyResource
    warnings: Sequence[str] = ()


class ResourceManager:
    """Use cases on resources of every kind in the catalog."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        role: roles.Role,
        permits: access.StaticAccess,
        rules: Mapping[str, Rules],
    ) -> None:
        """`rules` are by name of kind; kinds without an entry are just stored."""
        self.store = store
        self.catalog = catalog
        self.role = role
        self._access = permits
        self._rules = rules

    # Reading

    async def get(self, kind: AnyKind, mesh: str, name: str, user: users.User) -> AnyResource:
        """The resource; AccessDenied, or NotFound where it or its mesh does not exist."""
        await self.require_mesh(kind, mesh)
        with errors.titled("Could not retrieve a resource"):
            self._access.require_resource(user, kind)
            return await self.store.get(res.Key(kind.name, mesh, name))

    async def list(
        self, kind: AnyKind, mesh: str | None, user: users.User, query: queries.Query = queries.EVERYTHING
    ) -> Sequence[AnyResource]:
        """All resources that the query names, in one mesh or (None) in all, ordered by mesh, then name."""
        if mesh is not None:
            await self.require_mesh(kind, mesh)
        with errors.titled("Could not retrieve resources"):
            self._access.require_resource(user, kind)
            return queries.matching(await self.store.list(kind, mesh), query)

    async def find_by_kri(self, kind: AnyKind, wanted: kri.Kri, user: users.User) -> AnyResource:
        """The resource that an identifier names; what another zone made is found under its synced, hashed name."""
        home = "" if self.role.is_global else self.role.zone
        name = wanted.name
        if wanted.zone != home:
            name = names.hashed_name(wanted.mesh, wanted.name, *filter(None, (wanted.zone, wanted.namespace)))
        with errors.titled("Could not retrieve a resource"):
            self._access.require_resource(user, kind)
            return await self.store.get(res.Key(kind.name, wanted.mesh, name))

    async def require_mesh(self, kind: AnyKind, mesh: str) -> None:
        """NotFound unless the mesh that a resource of a mesh-scoped kind lives in exists."""
        if kind.scope is kinds.Scope.MESH:
            with errors.titled("Failed to retrieve Mesh"):
                await self.store.get(mesh_key(mesh))

    # Writing

    async def put(
        self, kind: AnyKind, mesh: str, name: str, document: Mapping[str, Any] | bytes, user: users.User | None
    ) -> PutOutcome:
        """Creates or replaces a resource from its JSON document, parsed or as bytes.

        `user` None is the control plane itself: role and access do not apply. BadRequest where the document cannot be
        read, InvalidResource with all violations, AccessDenied, MethodNotAllowed, NotFound without the mesh.
        """
        if user is not None:
            self.role.require_writable(kind)
        await self.require_mesh(kind, mesh)
        with errors.titled("Could not process a resource"):
            desired, parsed = _read(kind, mesh, document)
            labelling.require_none(self._meta_violations(mesh, name, desired, parsed.get("type", "")))
        if user is not None:
            self._access.require_resource(user, kind)
        self._require_workload_label(desired)
        outcome = await self._write(desired, overtakes=user is None)
        return dataclasses.replace(outcome, warnings=(*unknown.warnings(kind, parsed), *_warnings(outcome.resource)))

    def _meta_violations(
        self, mesh: str, name: str, desired: AnyResource, claimed: object
    ) -> Iterator[errors.Violation]:
        """How URL and document (which says it is a `claimed`) differ, then what is wrong with its metadata itself."""
        kind, meta = desired.kind, desired.meta
        if meta.name != name:
            yield errors.Violation("name", "name from the URL has to be the same as in body")
        if self.role.federated and len(f"{self.role.zone}.{meta.name}") >= _LONGEST_SYNCED_NAME:
            yield errors.Violation("name", "the length of the name must be shorter")
        if claimed != kind.name:
            yield errors.Violation("type", "type from the URL has to be the same as in body")
        if kind.scope is kinds.Scope.MESH and meta.mesh != mesh:
            yield errors.Violation("mesh", "mesh from the URL has to be the same as in body")
        yield from metas.violations(meta, kind.scope)
        if self.role.origin_label_checked:
            yield from metas.check_origin(
                meta.labels,
                mesh=mesh,
                zone=self.role.zone,
                is_global=self.role.is_global,
                is_federated=self.role.federated,
                new_style=kind.envelope is kinds.Envelope.SPEC,
            )

    def _require_workload_label(self, desired: AnyResource) -> None:
        problem = labelling.workload_problem(desired, self.role)
        if problem:
            raise errors.BadRequest(f"bad request: {problem}")

    async def _write(self, desired: AnyResource, *, overtakes: bool) -> PutOutcome:
        """Labels, checks against other resources, and stores a resource that is valid in itself.

        Of two users who write at once one wins: the other gets Conflict or AlreadyExists, because what it was to replace
        is not there any more. Another status is no reason; then, and always for who `overtakes`, the steps are repeated.
        """
        before = await self._find(desired.key)
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._write_once(desired)
            except (errors.Conflict, errors.AlreadyExists):
                now = await self._find(desired.key)
                if not overtakes and not _says_same(before, now):
                    raise
        return await self._write_once(desired)

    async def _write_once(self, desired: AnyResource) -> PutOutcome:
        """One try: Conflict or AlreadyExists where another writer came between reading and storing."""
        current = await self._find(desired.key)
        kind, meta = desired.kind, desired.meta
        labels = labelling.computed(kind, meta.mesh, meta.labels, desired.spec, self.role)
        if current is not None:
            with errors.titled("Could not update a resource"):
                labelling.require_none(metas.check_label_change(current.meta.labels, labels))
        labelled = dataclasses.replace(desired, meta=dataclasses.replace(meta, labels=labels))
        rules = self._rules.get(kind.name)
        with errors.titled("Failed to create a resource" if current is None else "Failed to update a resource"):
            admitted = await rules.admit(labelled, current) if rules else labelled
            if current is None:
                stored = await self._create(admitted)
            else:
                stored = await self._update(admitted, current)
            if rules:
                await rules.settle(stored, current is None)
        return PutOutcome(current is None, stored)

    async def _create(self, desired: AnyResource) -> AnyResource:
        try:
            return await self.store.create(desired, owner_of(desired))
        except errors.NotFound:
            mesh = desired.meta.mesh
            missing = errors.Violation("mesh", f"mesh of name {mesh} is not found")
            raise errors.InvalidResource([missing], summary="Mesh is not found") from None

    async def _update(self, desired: AnyResource, current: AnyResource) -> AnyResource:
        """Stores the new labels and spec; the status stays. A write that changes nothing is none, and wakes nobody."""
        if desired.spec == current.spec and desired.meta.labels == current.meta.labels:
            return current
        meta = dataclasses.replace(desired.meta, version=current.meta.version)
        return await self.store.update(dataclasses.replace(desired, meta=meta, status=current.status))

    async def delete(self, kind: AnyKind, mesh: str, name: str, user: users.User | None) -> None:
        """Removes a resource and all it owns; NotFound, MethodNotAllowed, AccessDenied or InvalidResource.

        `user` None is the control plane itself, as in `put`.
        """
        if user is not None:
            self.role.require_writable(kind)
        await self.require_mesh(kind, mesh)
        with errors.titled("Could not delete a resource"):
            current = await self.store.get(res.Key(kind.name, mesh, name))
            if user is not None:
                labelling.require_none(labelling.origin_violations(kind, current.meta.labels, self.role))
                self._access.require_resource(user, kind)
            rules = self._rules.get(kind.name)
            if rules:
                await rules.release(current)
            await self.store.delete(current.key)

    async def _find(self, key: res.Key) -> AnyResource | None:
        try:
            return await self.store.get(key)
        except errors.NotFound:
            return None


def _read(kind: AnyKind, mesh: str, document: Mapping[str, Any] | bytes) -> tuple[AnyResource, Mapping[str, Any]]:
    """The valid resource that a document spells, and the document itself. What users may not set is dropped.

    New kinds get their defaults before their rules are checked, old ones after. A new kind may leave out its mesh.
    """
    parsed = json_documents.parse(kind.name, document) if isinstance(document, bytes) else document
    found = codec.decode(kind, parsed)
    meta = res.Meta(found.meta.mesh, found.meta.name, found.meta.labels)
    if kind.envelope is kinds.Envelope.SPEC and kind.scope is kinds.Scope.MESH and not meta.mesh:
        meta = dataclasses.replace(meta, mesh=mesh)
    spec = found.spec
    if kind.envelope is kinds.Envelope.SPEC and kind.defaults is not None:
        spec = kind.defaults(spec)
    labelling.require_none(kind.validate(res.Resource(kind, meta, spec)))
    if kind.envelope is kinds.Envelope.ROOT and kind.defaults is not None:
        spec = kind.defaults(spec)
    return res.Resource(kind, meta, spec), parsed


def mesh_key(mesh: str) -> res.Key:
    """Where the Mesh of that name lives."""
    return res.Key("Mesh", "", mesh)


def owner_of(resource: AnyResource) -> res.Key | None:
    """Who takes a resource along when it goes: mesh-scoped ones belong to their Mesh."""
    return mesh_key(resource.meta.mesh) if resource.kind.scope is kinds.Scope.MESH else None


def _warnings(resource: AnyResource) -> Iterator[str]:
    """What is accepted today and deprecated: names that DNS would refuse, and the kind's own notes."""
    yield from metas.name_warnings(resource.kind.name, resource.meta.name)
    yield from _sni_warnings(resource)
    if resource.kind.deprecations is not None:
        yield from resource.kind.deprecations(resource)


def _sni_warnings(resource: AnyResource) -> Iterator[str]:
    """Ports of a destination that no proxy can ask for, because their server name would be none."""
    own, sections = resource.kri, resource.kind.sections
    if own is None or sections is None:
        return
    for _, section in sections(resource.spec):
        problems = names.sni_problems(own.with_section(section))
        if problems:
            yield (
                f"Invalid {resource.kind.name} SNI (port {gotext.quote(section)}): {'; '.join(problems)}. "
                "This is deprecated."
            )


def _says_same(before: AnyResource | None, now: AnyResource | None) -> bool:
    """Whether users see the same resource, its status aside."""
    if before is None or now is None:
        return before is now
    return before.spec == now.spec and before.meta.labels == now.meta.labels
