"""What a Mesh and its Secrets ask for beside their schema: a certificate authority that works and stays, and no
orphaned proxies.

Source: Kuma's documentation, "Mutual TLS" (changing the backend means turning mutual TLS off in between).
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.security import tokens
from kuma.services.trust import cas
from kuma.store import protocol

AnyResource = res.Resource[Any]
Furnish = Callable[[res.Resource[mesh.Mesh]], Awaitable[None]]
"""Gives a Mesh that was just created all that it needs; repeating it is harmless."""

_LONGEST_NAME = 63


class MeshRules:
    """Implements `resources.Rules` for Meshes. `unsafe_delete` lets a Mesh go while proxies are still in it."""

    def __init__(
        self, store: protocol.Store, clock: tokens.Clock, furnish: Furnish, unsafe_delete: bool = False
    ) -> None:
        self._store = store
        self._clock = clock
        self._furnish = furnish
        self._unsafe_delete = unsafe_delete

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """The Mesh as it is; the authorities of an existing one are made before anybody is told to use them."""
        found = list(_violations(desired, current))
        found += await cas.validate_backends(self._store, desired)
        if found:
            raise errors.InvalidResource(found)
        if current is not None:
            await cas.ensure_builtin_ca(self._store, desired, self._clock)
        return desired

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Gives a new Mesh its keys, authorities and default policies."""
        if created:
            await self._furnish(stored)

    async def release(self, current: AnyResource) -> None:
        """InvalidResource while proxies are in the mesh."""
        if not self._unsafe_delete and await self._store.list(dataplane.KIND, current.meta.name):
            message = "unable to delete mesh, there are still some dataplanes attached"
            raise errors.InvalidResource([errors.Violation("mesh", message)])


def _violations(desired: AnyResource, current: AnyResource | None) -> Iterator[errors.Violation]:
    if current is None:
        if len(desired.meta.name) > _LONGEST_NAME:
            yield errors.Violation("name", f"cannot be longer than {_LONGEST_NAME} characters")
        return
    was, now = _enabled(current.spec), _enabled(desired.spec)
    if was and now and was != now:
        message = "Changing CA when mTLS is enabled is forbidden. Disable mTLS first and then change the CA"
        yield errors.Violation("mtls.enabledBackend", message)


def _enabled(spec: mesh.Mesh) -> str:
    return spec.mtls.enabled_backend if spec.mtls else ""


class SecretRules:
    """Implements `resources.Rules` for Secrets: what a Mesh's certificate authority reads must stay."""

    def __init__(self, store: protocol.Store, unsafe_delete: bool = False) -> None:
        self._store = store
        self._unsafe_delete = unsafe_delete

    async def admit(self, desired: AnyResource, current: AnyResource | None) -> AnyResource:
        """Any bytes are welcome."""
        return desired

    async def settle(self, stored: AnyResource, created: bool) -> None:
        """Nothing follows from a Secret."""

    async def release(self, current: AnyResource) -> None:
        """InvalidResource while a backend of the mesh reads the Secret."""
        if not self._unsafe_delete:
            owner = await self._store.get(res.Key(mesh.KIND.name, "", current.meta.mesh))
            found = cas.deletion_violations(owner, current.meta.name)
            if found:
                raise errors.InvalidResource(found)
