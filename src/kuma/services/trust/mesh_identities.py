"""Makes MeshIdentities work: their authorities, the MeshTrusts that go with them, and the conditions of their status.

A MeshIdentity in a mesh whose proxies have other certificates already is first trusted, and named in MeshServices; a
little later it is ready, and proxies get its certificates. So nobody meets a certificate that it does not know. Once
ready an identity stays so: without it its proxies would have to go back to plaintext. One control plane on a store does
this. Source: Kuma's documentation, "MeshIdentity" and "MeshTrust".
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from kuma.base import errors, gotemplate
from kuma.mesh import spiffe_ids
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import mesh, meshidentity, meshtrust, secret
from kuma.security import authorities
from kuma.services import following
from kuma.services.trust import identity_cas
from kuma.store import protocol

_KINDS = frozenset(each.name for each in (mesh.KIND, meshidentity.KIND, meshtrust.KIND, secret.KIND))
_GATHER = 0.01
"""Seconds for which changes are gathered."""

_PROVIDER, _TRUST, _SPIFFE_ID = "Provider", "MeshTrustCreated", "SpiffeIDProvider"
_LOG = structlog.get_logger("mesh_identities")

Conditions = tuple[conditions.Condition, ...]


class _Failed(Exception):
    """A step that did not work; `condition` says so."""

    def __init__(self, kind: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.condition = conditions.Condition(kind, conditions.FALSE, reason, message)


class IdentityLoop:
    """Follows the store and writes what is missing. Runs when this control plane leads.

    `interval` is how long a new identity is trusted before it is used, and after which failures are looked at again.
    """

    def __init__(
        self,
        store: protocol.Store,
        zone: str,
        clock: Callable[[], datetime],
        interval: timedelta = identity_cas.TRUSTED_FIRST,
    ) -> None:
        self._store = store
        self._zone = zone
        self._clock = clock
        self._interval = interval
        self._cas = identity_cas.IdentityAuthorities(store)
        self._again = False

    async def run(self) -> None:
        """Runs until cancelled, or until the store is closed."""
        again = self._interval.total_seconds()
        await following.answer(self._store, self._concerns, self.write_all, gather=_GATHER, again=again)

    def _concerns(self, change: protocol.Change) -> bool:
        if change.resource.kind is meshidentity.KIND and change.op is protocol.Op.DELETED:
            self._cas.forget(change.resource.key)
        return change.resource.kind.name in _KINDS

    async def write_all(self) -> bool:
        """Writes what is missing or out of date now, once, without following changes. Whether something is left."""
        self._again = False
        meshes = {each.meta.name: each for each in await self._store.list(mesh.KIND)}
        identities = await self._store.list(meshidentity.KIND)
        for each in identities:
            owner = meshes.get(each.meta.mesh)
            if owner is not None and spiffe_ids.is_of(each, self._zone):
                await self._write(each, owner, identities)
        return self._again

    async def _write(
        self,
        identity: identity_cas.MeshIdentity,
        owner: res.Resource[mesh.Mesh],
        known: Sequence[identity_cas.MeshIdentity],
    ) -> None:
        try:
            found = await self._conditions(identity, owner, known)
            status = conditions.Status(found)
            if status != identity.status:
                await self._store.update(dataclasses.replace(identity, status=status))
        except (errors.Conflict, errors.Unavailable):
            self._again = True  # somebody else wrote in between, or the store is away for now
        except errors.NotFound:
            return  # it, or its mesh, went away meanwhile
        except Exception as failure:
            self._again = True
            _LOG.error("no status", mesh=identity.meta.mesh, name=identity.meta.name, error=str(failure))

    async def _conditions(
        self,
        identity: identity_cas.MeshIdentity,
        owner: res.Resource[mesh.Mesh],
        known: Sequence[identity_cas.MeshIdentity],
    ) -> Conditions:
        done: list[conditions.Condition] = []
        try:
            _require_services(owner.spec)
            provider = identity.spec.provider
            if provider is None:
                done.append(_true(_SPIFFE_ID, "SpiffeIDProvided", "Providing only SpiffeIDs for services."))
                return (*done, _partially("Running in SpiffeID providing only mode."))
            if provider.type == spiffe_ids.SPIRE:
                done.append(_PROVIDED)
                return (*done, _READY)
            if provider.type != spiffe_ids.BUNDLED:
                raise _Failed(_PROVIDER, "ProviderNotFoundError", f"provider: {provider.type} not found")
            domain, authority = await self._authority(identity)
            done.append(_PROVIDED)
            trusted = await self._trusted_since(identity, domain, authority, owner)
            if trusted is not None:
                done.append(_true(_TRUST, "MeshTrustCreated", "MeshTrust has been successfully created"))
        except _Failed as failure:
            self._again = True
            if _is_ready(identity):
                return (*done, failure.condition, _READY)
            message = "One of initialization steps failed"
            return (*done, failure.condition, conditions.Condition("Ready", conditions.FALSE, "Failure", message))
        return (*done, _READY if self._is_time(identity, trusted, owner, known) else self._wait())

    def _wait(self) -> conditions.Condition:
        self._again = True
        return _partially("Waiting until all proxies trust the new identity.")

    async def _authority(self, identity: identity_cas.MeshIdentity) -> tuple[str, authorities.Authority]:
        """Trust domain and CA of a MeshIdentity; the CA is made where the control plane keeps it."""
        try:
            domain = spiffe_ids.trust_domain_of(identity, self._zone)
            await identity_cas.ensure(self._store, identity, domain, self._clock)
        except (gotemplate.TemplateError, errors.BadRequest) as failure:
            raise _Failed(_PROVIDER, "ProviderInitializationError", str(failure)) from None
        try:
            return domain, await self._cas.check(identity)
        except (errors.BadRequest, errors.Unavailable) as failure:
            raise _Failed(_PROVIDER, "ProviderValidationError", str(failure)) from None

    async def _trusted_since(
        self,
        identity: identity_cas.MeshIdentity,
        domain: str,
        authority: authorities.Authority,
        owner: res.Resource[mesh.Mesh],
    ) -> datetime | None:
        """When the MeshTrust of an identity was last written, now included; None where it is left to the user."""
        if identity_cas.bundled(identity).mesh_trust_creation == "Disabled":
            return None
        bundle = meshtrust.CaBundle("Pem", meshtrust.Pem(authority.bundle_pem.decode()))
        key = res.Key(meshtrust.KIND.name, identity.meta.mesh, identity.meta.name)
        try:
            held: res.Resource[meshtrust.MeshTrust] = await self._store.get(key)
        except errors.NotFound:
            origin = meshtrust.MeshTrustStatus(meshtrust.Origin(str(identity.kri)))
            spec = meshtrust.MeshTrust(trust_domain=domain, ca_bundles=(bundle,))
            made = res.Resource(meshtrust.KIND, res.Meta(key.mesh, key.name), spec, origin)
            return (await self._store.create(made, owner.key)).meta.modification_time
        if held.spec.trust_domain != domain:
            message = f'MeshTrust "{key.name}" is for trust domain "{held.spec.trust_domain}" and not for "{domain}"'
            raise _Failed(_TRUST, "MeshTrustCreationError", message)
        if any(each.pem is not None and _is_same(each.pem.value, bundle.pem) for each in held.spec.ca_bundles):
            return held.meta.modification_time
        spec = msgspec.structs.replace(held.spec, ca_bundles=(*held.spec.ca_bundles, bundle))
        return (await self._store.update(dataclasses.replace(held, spec=spec))).meta.modification_time

    def _is_time(
        self,
        identity: identity_cas.MeshIdentity,
        trusted: datetime | None,
        owner: res.Resource[mesh.Mesh],
        known: Sequence[identity_cas.MeshIdentity],
    ) -> bool:
        """Whether certificates of an identity may be given out: at once where proxies have none of another one."""
        if trusted is None or _is_ready(identity):
            return True
        others = any(_is_ready(each) for each in known if each.meta.mesh == owner.meta.name)
        return not (others or owner.spec.enabled_ca) or self._clock() - trusted >= self._interval


def _require_services(own: mesh.Mesh) -> None:
    services = own.mesh_services
    if services is None or services.mode is not mesh.MeshServicesMode.EXCLUSIVE:
        message = (
            "MeshIdentity requires MeshServices to be enabled on the mesh. "
            "To enable, set `spec.meshServices.mode: Exclusive` on the mesh."
        )
        raise _Failed(_PROVIDER, "MeshServicesDisabled", message)


def _is_ready(identity: identity_cas.MeshIdentity) -> bool:
    found = identity.status.conditions if isinstance(identity.status, conditions.Status) else ()
    return any(each.type == "Ready" and each.status == conditions.TRUE for each in found)


def _is_same(text: str, pem: meshtrust.Pem | None) -> bool:
    return pem is not None and text.split() == pem.value.split()


def _true(kind: str, reason: str, message: str) -> conditions.Condition:
    return conditions.Condition(kind, conditions.TRUE, reason, message)


def _partially(message: str) -> conditions.Condition:
    return conditions.Condition("Ready", conditions.FALSE, spiffe_ids.PARTIALLY_READY, message)


_READY = _true("Ready", "Ready", "Successfully initialized")
_PROVIDED = _true(_PROVIDER, "ProviderInitialized", "Provider successfully initialized")
