"""The views of older clients on policies and proxies: the policies of a proxy by place, the proxies of a policy.

Routes of builtin gateways are not looked into: a gateway is answered with the policies of the whole proxy.
Source: Kuma's HTTP API, "Inspection".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kuma.base import errors
from kuma.policy_engine.matching import attachments, reach
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshgateway
from kuma.servers.rest.inspecting import relations
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources

AnyKind = kinds.Kind[Any]
AnyResource = res.Resource[Any]

_NO_POLICIES = "Could not get MatchedPolicies"
_NO_DATAPLANES = "Could not list Dataplanes"
_NOT_LISTED = frozenset({"MeshGatewayRoute", "VirtualOutbound"})
"""Old kinds whose proxies nothing asks for in this way."""


class AttachmentEndpoints:
    """Answers which policies take hold where."""

    def __init__(self, manager: resources.ResourceManager) -> None:
        self._manager = manager

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints of the kinds that the catalog has."""
        routes.add("GET", "/meshes/{mesh}/dataplanes/{name}/policies", calls.Endpoint(self._of_proxy, _NO_POLICIES))
        for kind in self._policy_kinds():
            if kind.name not in _NOT_LISTED:
                path = f"/meshes/{{mesh}}/{kind.plural}/{{name}}/dataplanes"
                routes.add("GET", path, calls.Endpoint(self._bound(kind), _NO_DATAPLANES))

    def _policy_kinds(self) -> list[AnyKind]:
        return [each for each in self._manager.catalog if each.policy is not None and each.exposed]

    def _bound(self, kind: AnyKind) -> calls.Answer:
        async def bound(call: calls.Call) -> replies.Reply:
            return await self._of_policy(kind, call)

        return bound

    async def _of_proxy(self, call: calls.Call) -> replies.Reply:
        mesh = call.path["mesh"]
        with errors.titled(_NO_POLICIES):
            await self._manager.store.get(resources.mesh_key(mesh))
            proxy = await self._manager.store.get(res.Key(dataplane.KIND.name, mesh, call.path["name"]))
        policies: list[AnyResource] = []
        for kind in self._policy_kinds():
            policies += await self._manager.store.list(kind, mesh)
        around = await self._surroundings(mesh)
        found = list(attachments.attached(proxy, policies, around))
        gateway = reach.gateway_of(proxy, around.gateways)
        if gateway is not None:
            whole = dict(found).get(attachments.Attachment("dataplane"), {})
            shown = {kind: relations.reference(several[-1]) for kind, several in whole.items()}
            return replies.json_reply(
                {"kind": "MeshGatewayDataplane", "gateway": _named(gateway), "listeners": [], "policies": shown}
            )
        items = [_place(where) | {"matchedPolicies": _by_kind(matched)} for where, matched in found]
        return replies.json_reply({"total": len(items), "kind": "SidecarDataplane", "items": items})

    async def _of_policy(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        mesh = call.path["mesh"]
        with errors.titled(_NO_DATAPLANES):
            await self._manager.store.get(resources.mesh_key(mesh))
        policies = await self._manager.store.list(kind, mesh)
        around = await self._surroundings(mesh)
        items = []
        for proxy in await self._manager.store.list(dataplane.KIND, mesh):
            found = attachments.attached(proxy, policies, around)
            places = [
                _place(where)
                for where, matched in found
                if any(each.meta.name == call.path["name"] for each in matched.get(kind.name, ()))
            ]
            if places:
                items.append({"kind": "SidecarDataplane", "dataplane": _named(proxy), "attachments": places})
        return replies.json_reply({"total": len(items), "items": items})

    async def _surroundings(self, mesh: str) -> reach.Surroundings:
        route = self._manager.catalog.find("MeshHTTPRoute")
        return reach.Surroundings(
            routes=[] if route is None else await self._manager.store.list(route, mesh),
            gateways=await self._manager.store.list(meshgateway.KIND, mesh),
        )


def _named(resource: AnyResource) -> dict[str, str]:
    return {"mesh": resource.meta.mesh, "name": resource.meta.name}


def _place(where: attachments.Attachment) -> dict[str, Any]:
    shown = {"type": where.type}
    return shown | ({"name": where.name, "service": where.service} if where.name else {})


def _by_kind(matched: Mapping[str, Sequence[AnyResource]]) -> dict[str, Any]:
    return {kind: [relations.reference(each) for each in several] for kind, several in matched.items()}
