"""What a proxy is given and what it says of itself: its compiled configuration, and Envoy's own admin answers.

Where the answers come from is the wiring's business: see `Inspector` and `EnvoyAdmin`. Paths, parameters and texts:
Kuma's HTTP API, "Inspection".
"""

from collections.abc import Mapping
from typing import Any, Protocol

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh
from kuma.security import access
from kuma.servers.rest import calls, json_diff, replies
from kuma.services import overviews, resources

Proxy = res.Resource[dataplane.Dataplane]

_ADMIN = "Could not execute admin operation"
_NO_INSIGHT = "Failed to fetch dataplane insight"
_NO_DATAPLANE = "Could not get dataplane resource"


class Inspector(Protocol):
    """Knows the configuration of proxies."""

    def config_of(self, mesh: str, name: str, shadow: bool) -> Mapping[str, Any] | None:
        """Envoy resources by type URL, then name; None for a proxy that never connected or does not exist.

        `shadow`: as it would be with the policies that are marked as shadow.
        """
        ...


class EnvoyAdmin(Protocol):
    """Asks the admin interface of a proxy's Envoy; Unavailable, saying why, where it cannot be reached.

    `port` is the one that the proxy says its admin interface has, 0 where it does not say.
    """

    async def config_dump(self, dataplane: Proxy, include_eds: bool = False, port: int = 0) -> bytes:
        """The configuration that Envoy runs, as JSON without private keys."""
        ...

    async def stats(self, dataplane: Proxy, as_json: bool = False, port: int = 0, used_only: bool = False) -> bytes:
        """Envoy's statistics, as text or JSON."""
        ...

    async def clusters(self, dataplane: Proxy, as_json: bool = False, port: int = 0) -> bytes:
        """Envoy's clusters and their endpoints, as text or JSON."""
        ...


class InspectionEndpoints:
    """Answers about single proxies."""

    def __init__(
        self,
        manager: resources.ResourceManager,
        permits: access.StaticAccess,
        insights: overviews.Insights,
        inspector: Inspector,
        admin: EnvoyAdmin,
    ) -> None:
        self._manager = manager
        self._insights = insights
        self._access = permits
        self._inspector = inspector
        self._admin = admin

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        base = "/meshes/{mesh}/dataplanes/{name}"
        routes.add("GET", f"{base}/_config", calls.Endpoint(self._config, _NO_INSIGHT))
        for path in ("_layout", "_policies"):
            routes.add(
                "GET", f"{base}/{path}", calls.Endpoint(self._needs_mesh_services, "Failed to retrieve Dataplane")
            )
        routes.add("GET", f"{base}/{{operation}}", calls.Endpoint(self._operation, _ADMIN))

    async def _config(self, call: calls.Call) -> replies.Reply:
        shadow = _flag(call, "shadow")
        include = call.query.all("include")
        if any(each != "diff" for each in include):
            raise errors.BadRequest("bad request: unsupported value for query parameter 'include'")
        if self._manager.role.is_global:
            raise errors.MethodNotAllowed("Not allowed on global CP")
        name, mesh_name = call.path["name"], call.path["mesh"]
        wanted = self._inspector.config_of(mesh_name, name, shadow)
        if wanted is None:
            raise errors.NotFound("no configuration")
        document: dict[str, Any] = {"xds": wanted}
        if include:
            current = self._inspector.config_of(mesh_name, name, False) if shadow else wanted
            document["diff"] = json_diff.patch(current or {}, wanted)
        return replies.json_reply(document)

    async def _needs_mesh_services(self, call: calls.Call) -> replies.Reply:
        """These views are made of MeshServices: in other meshes the request is refused."""
        with errors.titled("Failed to retrieve Mesh"):
            owner = await self._manager.store.get(resources.mesh_key(call.path["mesh"]))
        spec = owner.spec
        assert isinstance(spec, mesh.Mesh)
        if spec.mesh_services is None or spec.mesh_services.mode is not mesh.MeshServicesMode.EXCLUSIVE:
            view = call.template.rpartition("/")[2]
            raise errors.BadRequest(f"bad request: can't use {view} endpoint without meshService enabled")
        return replies.PAGE_NOT_FOUND

    async def _operation(self, call: calls.Call) -> replies.Reply:
        operation = call.path["operation"]
        if operation not in ("xds", "stats", "clusters"):
            raise errors.NotFound(f'there is no operation "{operation}"')
        as_json = call.query.first("format") == "json"
        if operation == "xds":
            self._access.require_config_dump(call.user)
            proxy, port = await self._proxy(call)
            include_eds = call.query.first("include_eds") == "true"
            return replies.Reply(200, replies.JSON, (await self._admin.config_dump(proxy, include_eds, port),))
        if operation == "stats":
            self._access.require_stats(call.user)
            proxy, port = await self._proxy(call)
            used_only = call.query.first("usedonly") != "false"
            found = await self._admin.stats(proxy, as_json, port, used_only)
        else:
            self._access.require_clusters(call.user)
            proxy, port = await self._proxy(call)
            found = await self._admin.clusters(proxy, as_json, port)
        return replies.Reply(200, replies.JSON if as_json else replies.TEXT, (found,))

    async def _proxy(self, call: calls.Call) -> tuple[Proxy, int]:
        """The Dataplane and its admin port; Unavailable unless the proxy is connected: others are not dialled."""
        with errors.titled(_NO_DATAPLANE):
            key = res.Key(dataplane.KIND.name, call.path["mesh"], call.path["name"])
            proxy: Proxy = await self._manager.store.get(key)
        insight = await self._insights.of(proxy)
        if insight is None or not insight.spec.is_online:
            raise errors.Unavailable(f'proxy "{proxy.meta.name}" is offline')
        port = str((insight.spec.metadata or {}).get("dataplane.admin.port", ""))
        return proxy, int(port) if port.isascii() and port.isdigit() else 0


def _flag(call: calls.Call, name: str) -> bool:
    text = call.query.first(name)
    if text not in ("", "true", "false"):
        raise errors.BadRequest(f"bad request: unsupported value for query parameter '{name}'")
    return text == "true"
