"""What exists without anybody asking: the first mesh, the own zone, keys, authorities, default policies and hostnames.

`ensure_started` runs at the start of a control plane, `furnish` for every Mesh that is created. Both may be repeated
and may be killed anywhere: the dataplane token signing key of a mesh is made last, so a mesh without one is a mesh
whose creation was cut short, and the next start finishes it. Defaults that users deleted stay deleted.
Source: Kuma's documentation, "Default resources".
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.resources.kinds import mesh, secret, zone
from kuma.security import authorities, keys, tokens
from kuma.services.defaults import hostnames as default_hostnames
from kuma.services.defaults import policies as default_policies
from kuma.services.rules import role as roles
from kuma.services.trust import cas, signing_keys
from kuma.services.trust import tokens as issuing
from kuma.store import protocol

ENVOY_ADMIN_CA = "envoy-admin-ca"
INTER_CP_CA = "inter-cp-ca"

_LOG = structlog.get_logger("defaults")

NewRoot = Callable[[datetime], keys.KeyPair]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which defaults are wanted (`defaults.*` and `apiServer.authn.*` of the configuration)."""

    skip_mesh_creation: bool = False
    skip_tenant_resources: bool = False
    skip_hostname_generators: bool = False
    create_mesh_routing_resources: bool = False
    user_tokens: bool = True
    bootstrap_admin_token: bool = True


class Defaults:
    """Creates default resources where they are missing."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        role: roles.Role,
        keys_of: signing_keys.SigningKeys,
        issuer: issuing.TokenIssuer,
        clock: tokens.Clock,
        settings: Settings,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._role = role
        self._keys = keys_of
        self._issuer = issuer
        self._clock = clock
        self._settings = settings
        self._is_done = False

    async def run(self, pause: float = 1.0) -> None:
        """As `ensure_started`, once in the life of a control plane; a store that is away is asked again after `pause`.

        For a control plane that takes over the lead: the one before may have been cut short.
        """
        while not self._is_done:
            try:
                await self.ensure_started()
            except errors.Unavailable as failure:
                _LOG.warning("defaults could not be created, trying again", error=str(failure))
                await asyncio.sleep(pause)

    async def ensure_started(self) -> None:
        """Creates what a control plane needs, and finishes Meshes whose creation was interrupted."""
        await self._ensure()
        self._is_done = True

    async def _ensure(self) -> None:
        if self._settings.skip_tenant_resources:
            return
        if not self._role.is_global:
            await self._ensure_root(ENVOY_ADMIN_CA, authorities.new_admin_root)
            await self._ensure_own_zone()
        if not self._settings.skip_mesh_creation and not self._role.federated:
            await self._ensure_default_mesh()
        for each in await self._store.list(mesh.KIND):
            await self._heal(each)
        if not self._role.federated:
            await self._keys.ensure(signing_keys.ZONE)
        if not self._settings.skip_hostname_generators and "HostnameGenerator" in self._catalog:
            for generator in default_hostnames.for_role(self._role):
                await self._create(generator)
        if self._settings.user_tokens:
            await self._keys.ensure(signing_keys.USER)
            if self._settings.bootstrap_admin_token:
                await issuing.ensure_admin_token(self._store, self._issuer)
        await self._ensure_root(INTER_CP_CA, authorities.new_inter_cp_root)

    async def furnish(self, owner: res.Resource[mesh.Mesh]) -> None:
        """Gives a new Mesh its certificate authorities, default policies and, last, its token signing key."""
        await cas.ensure_builtin_ca(self._store, owner, self._clock)
        policies = default_policies.for_mesh(
            owner, self._catalog, self._role, with_routing=self._settings.create_mesh_routing_resources
        )
        for each in policies:
            await self._create(each, owner.key)
        await self._keys.ensure(signing_keys.dataplane(owner.meta.name))

    async def _heal(self, owner: res.Resource[mesh.Mesh]) -> None:
        try:
            await self._keys.signing_key(signing_keys.dataplane(owner.meta.name))
        except errors.NotFound:
            await self.furnish(owner)
        else:
            await cas.ensure_builtin_ca(self._store, owner, self._clock)

    async def _ensure_default_mesh(self) -> None:
        await self._create(res.Resource(mesh.KIND, res.Meta(mesh="", name="default"), mesh.Mesh()))

    async def _ensure_own_zone(self) -> None:
        """A zone lists itself, and only itself: it may have had another name before."""
        for each in await self._store.list(zone.KIND):
            if each.meta.name != self._role.zone:
                with contextlib.suppress(errors.NotFound):  # another instance was faster
                    await self._store.delete(each.key)
        await self._create(res.Resource(zone.KIND, res.Meta(mesh="", name=self._role.zone), zone.Zone()))

    async def _ensure_root(self, name: str, new_root: NewRoot) -> None:
        """A GlobalSecret that holds a CA: the certificate and after it the private key, both PEM."""
        key = res.Key(secret.GLOBAL_KIND.name, "", name)
        try:
            await self._store.get(key)
        except errors.NotFound:
            pair = await asyncio.to_thread(new_root, self._clock())
            content = secret.Secret(data=pair.cert_pem + pair.key_pem)
            await self._create(res.Resource(secret.GLOBAL_KIND, res.Meta(mesh="", name=name), content))

    async def _create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> None:
        """Creates a resource unless it exists: another control plane, or an earlier run, may have been faster."""
        try:
            await self._store.create(resource, owner)
        except errors.AlreadyExists:
            return
