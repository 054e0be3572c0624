"""What the label `kuma.io/workload` of a proxy must be where it becomes part of its identity.

A proxy that registers itself without it is refused, and so is one whose token does not say which workload it is for:
whoever may register proxies could take any identity by it. Source: Kuma's documentation, "MeshIdentity" and "Data
plane proxy authentication".
"""

from kuma.base import errors, labels
from kuma.mesh import spiffe_ids
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshidentity
from kuma.store import protocol


class WorkloadRules:
    """Looks at the MeshIdentities of a mesh. `zone` and `environment` are those of this control plane."""

    def __init__(self, store: protocol.Store, zone: str, environment: str) -> None:
        self._store = store
        self._zone = zone
        self._environment = environment

    async def names(self, proxy: res.Resource[dataplane.Dataplane]) -> bool:
        """Whether the workload of a proxy becomes part of its identity."""
        return await self._path(proxy) is not None

    async def require(self, proxy: res.Resource[dataplane.Dataplane]) -> None:
        """BadRequest where a proxy that needs the label does not have it."""
        if proxy.spec.is_builtin_gateway or proxy.meta.labels.get(labels.WORKLOAD):
            return
        found = await self._path(proxy)
        if found is not None:
            name, path = found
            raise errors.BadRequest(
                f"missing required label '{labels.WORKLOAD}' - dataplane is selected by MeshIdentity '{name}' "
                f"with path template '{path}'"
            )

    async def _path(self, proxy: res.Resource[dataplane.Dataplane]) -> tuple[str, str] | None:
        """The MeshIdentity that selects a proxy, or does until a better one is ready, and its template if that names
        workloads.
        """
        found = await self._store.list(meshidentity.KIND, proxy.meta.mesh)
        known = [each for each in found if spiffe_ids.is_of(each, self._zone)]
        for several in (known, [each for each in known if self._is_in_use(each)]):
            chosen = spiffe_ids.selecting(several, proxy.meta.labels)
            path = spiffe_ids.path_of(chosen, self._environment) if chosen is not None else ""
            if chosen is not None and spiffe_ids.names_workloads(path):
                return chosen.meta.name, path
        return None

    def _is_in_use(self, identity: res.Resource[meshidentity.MeshIdentity]) -> bool:
        made = spiffe_ids.identity_of(identity, self._zone, self._environment)
        return made is not None and made.is_ready
