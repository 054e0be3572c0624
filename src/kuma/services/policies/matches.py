"""What the policies in force say of a proxy or of a MeshGateway, for those who ask about it.

Everything is read from the store, so an answer holds whatever was written before it was asked for; the matching is
the one that proxies are configured with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kuma.policy_engine.matching import matching, places, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import catalog as catalogs
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as meshes
from kuma.store import protocol as stores

AnyResource = res.Resource[Any]

_LAST = 1 << 16
"""The place of kinds that shape no proxy."""


class PolicyMatches:
    """Asks the policies of every targetRef kind, in the order in which they shape proxies."""

    def __init__(self, store: stores.Store, catalog: catalogs.Catalog, orders: Mapping[str, int]) -> None:
        """`orders` is the place of each kind that shapes proxies."""
        self._store = store
        self._catalog = catalog
        targeting = [each for each in catalog if each.policy is not None and each.policy.target_ref]
        self._kinds = sorted(targeting, key=lambda each: (orders.get(each.name, _LAST), each.name))

    async def around(self, mesh: str) -> surroundings.Surroundings:
        """What targetRefs may lead over in a mesh; NotFound where there is no such mesh."""
        return surroundings.Surroundings(
            routes=await self._stored("MeshHTTPRoute", mesh),
            gateways=await self._stored("MeshGateway", mesh),
            services=await self._stored("MeshService", mesh),
            external_services=await self._stored("MeshExternalService", mesh),
            multizone_services=await self._stored("MeshMultiZoneService", mesh),
            mesh=await self._store.get(res.Key(meshes.KIND.name, "", mesh)),
        )

    async def identities(self, mesh: str) -> Sequence[AnyResource]:
        """The MeshIdentities of a mesh."""
        return await self._stored("MeshIdentity", mesh)

    async def of_proxy(self, proxy: AnyResource, around: surroundings.Surroundings) -> Sequence[rules.ProxyRules]:
        """What each kind says of a Dataplane."""
        return await self._of(proxy.meta.mesh, places.places_of(proxy, around.gateways), around)

    async def of_gateway(self, gateway: AnyResource, around: surroundings.Surroundings) -> Sequence[rules.ProxyRules]:
        """What each kind says of the proxies that serve a MeshGateway."""
        return await self._of(gateway.meta.mesh, places.places_of_gateway(gateway), around)

    async def _of(
        self, mesh: str, asked: places.Places, around: surroundings.Surroundings
    ) -> Sequence[rules.ProxyRules]:
        return [
            matching.match_places(kind, policies, asked, around)
            for kind in self._kinds
            if (policies := await self._store.list(kind, mesh))
        ]

    async def _stored(self, name: str, mesh: str) -> Sequence[AnyResource]:
        kind: kinds.Kind[Any] | None = self._catalog.find(name)
        return () if kind is None else await self._store.list(kind, mesh)
