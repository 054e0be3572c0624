"""What a proxy is given: its compiled configuration.

Where it comes from is the wiring's business: see `Inspector`. Paths, parameters and texts: Kuma's HTTP API,
"Inspection". What Envoy says itself is in `envoy_admin`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from kuma.base import errors
from kuma.resources.kinds import mesh
from kuma.servers.rest import calls, json_diff, replies
from kuma.services import resources

_NO_INSIGHT = "Failed to fetch dataplane insight"


class Inspector(Protocol):
    """Knows the configuration of proxies."""

    def config_of(self, mesh: str, name: str, shadow: bool) -> Mapping[str, Any] | None:
        """Envoy resources by type URL, then name; None for a proxy that never connected or does not exist.

        `shadow`: as it would be with the policies that are marked as shadow.
        """
        ...


class InspectionEndpoints:
    """Answers about single Dataplanes."""

    def __init__(self, manager: resources.ResourceManager, inspector: Inspector) -> None:
        self._manager = manager
        self._inspector = inspector

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        base = "/meshes/{mesh}/dataplanes/{name}"
        routes.add("GET", f"{base}/_config", calls.Endpoint(self._config, _NO_INSIGHT))
        for path in ("_layout", "_policies"):
            routes.add(
                "GET", f"{base}/{path}", calls.Endpoint(self._needs_mesh_services, "Failed to retrieve Dataplane")
            )

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


def _flag(call: calls.Call, name: str) -> bool:
    text = call.query.first(name)
    if text not in ("", "true", "false"):
        raise errors.BadRequest(f"bad request: unsupported value for query parameter '{name}'")
    return text == "true"
