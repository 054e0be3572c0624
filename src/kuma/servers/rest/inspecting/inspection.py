"""What a proxy is given: its compiled configuration.

Where it comes from is the wiring's business: see `Inspector`. Paths, parameters and texts: Kuma's HTTP API,
"Inspection". What Envoy says itself is in `envoy_admin`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from kuma.base import errors
from kuma.servers.rest.inspecting import json_diff
from kuma.servers.rest.messages import calls, replies

_NO_INSIGHT = "Failed to fetch dataplane insight"


class Inspector(Protocol):
    """Knows the configuration of proxies."""

    async def config_of(self, mesh: str, name: str, shadow: bool) -> Mapping[str, Any]:
        """Envoy resources by type URL, then name; NotFound for a proxy that never connected or does not exist.

        `shadow`: as it would be with the policies that are marked as shadow.
        """
        ...


class InspectionEndpoints:
    """Answers about single proxies."""

    def __init__(self, inspector: Inspector | None) -> None:
        """None where the control plane configures no proxies, as a global one."""
        self._inspector = inspector

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints. Asked about a MeshGateway, too, Kuma answers for the proxy of that name."""
        for plural in ("dataplanes", "meshgateways"):
            path = f"/meshes/{{mesh}}/{plural}/{{name}}/_config"
            routes.add("GET", path, calls.Endpoint(self._config, _NO_INSIGHT))

    async def _config(self, call: calls.Call) -> replies.Reply:
        shadow = _flag(call, "shadow")
        include = call.query.all("include")
        if any(each != "diff" for each in include):
            raise errors.BadRequest("bad request: unsupported value for query parameter 'include'")
        inspector = self._inspector
        if inspector is None:
            raise errors.MethodNotAllowed("Not allowed on global CP")
        name, mesh_name = call.path["name"], call.path["mesh"]
        wanted = await inspector.config_of(mesh_name, name, shadow)
        document: dict[str, Any] = {"xds": wanted}
        if include:
            current = await inspector.config_of(mesh_name, name, False) if shadow else wanted
            document["diff"] = json_diff.patch(current, wanted)
        return replies.json_reply(document)


def _flag(call: calls.Call, name: str) -> bool:
    text = call.query.first(name)
    if text not in ("", "true", "false"):
        raise errors.BadRequest(f"bad request: unsupported value for query parameter '{name}'")
    return text == "true"
