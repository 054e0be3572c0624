"""How resources belong together: the proxies a policy, a service or a gateway is about, and the hostnames of services.

Answers follow from selectors alone; what policies make of a proxy's configuration is not looked at. Source: Kuma's
HTTP API, "Inspection".
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from kuma.base import errors, labels
from kuma.mesh import selectors
from kuma.policy_engine.matching import reach
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, hostnamegenerator, meshgateway, meshservice
from kuma.servers.rest.messages import calls, replies
from kuma.servers.rest.messages import parameters as params
from kuma.services import queries, resources, service_hostnames

AnyKind = kinds.Kind[Any]
AnyResource = res.Resource[Any]

_NO_POLICY = "Could not retrieve policy"
_NO_SERVICE = "could not retrieve service"
_NO_GATEWAY = "Could not find MeshGateway"
_NO_MESH_CONTEXT = "Could not build mesh context"
_WITH_HOSTNAMES = ("meshservices", "meshexternalservices", "meshmultizoneservices")


class RelationEndpoints:
    """Answers about what selects what."""

    def __init__(self, manager: resources.ResourceManager) -> None:
        self._manager = manager

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints of the kinds that the catalog has."""
        for kind in self._manager.catalog:
            base = f"/meshes/{{mesh}}/{kind.plural}/{{name}}"
            if kind.policy is not None and kind.exposed:
                answer = self._bound(self._of_policy, kind)
                routes.add("GET", f"{base}/_resources/dataplanes", calls.Endpoint(answer, _NO_POLICY))
            if kind.name == meshservice.KIND.name:
                for view in ("_resources/dataplanes", "_dataplanes"):
                    routes.add("GET", f"{base}/{view}", calls.Endpoint(self._bound(self._of_service, kind), _NO_POLICY))
            if kind.name == meshgateway.KIND.name:
                answer = self._bound(self._of_gateway, kind)
                routes.add("GET", f"{base}/dataplanes", calls.Endpoint(answer, _NO_GATEWAY))
            if kind.name == "MeshGatewayRoute":
                answer = self._bound(self._of_gateway_route, kind)
                routes.add("GET", f"{base}/dataplanes", calls.Endpoint(answer, "Could not find MeshGatewayRoute"))
        hostnames = calls.Endpoint(self._hostnames, _NO_SERVICE)
        routes.add("GET", "/meshes/{mesh}/{services}/{name}/_hostnames", hostnames)

    def _bound(self, answer: Callable[[AnyKind, calls.Call], Awaitable[replies.Reply]], kind: AnyKind) -> calls.Answer:
        async def bound(call: calls.Call) -> replies.Reply:
            return await answer(kind, call)

        return bound

    # Proxies

    async def _of_policy(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        policy = await self._named(kind, call, _NO_POLICY)
        around = await self._surroundings(call.path["mesh"])
        return await self._matching(call, lambda each: reach.is_about(policy, each, around))

    async def _of_service(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        service = await self._named(kind, call, _NO_POLICY)
        return await self._matching(call, lambda each: serves(service, each))

    async def _matching(self, call: calls.Call, is_wanted: Callable[[reach.Proxy], bool]) -> replies.Reply:
        """One page of the proxies that fit, as references."""
        size = params.page_size(call.query)
        query = queries.Query(name=call.query.first("name"))
        offset = params.page_offset(call.query)
        found = queries.matching(await self._dataplanes(call.path["mesh"]), query)
        page = queries.page_of([each for each in found if is_wanted(each)], size, offset)
        document: dict[str, Any] = {"items": [reference(each) for each in page.items]}
        following = params.next_url(call.url, call.query, page.next_offset)
        if following is not None:
            document["next"] = following
        return replies.json_reply(document | {"total": page.total})

    async def _of_gateway(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        """Gateway proxies that serve a MeshGateway, in the form of older clients."""
        gateway = await self._named(kind, call, _NO_GATEWAY, mesh_title=_NO_MESH_CONTEXT)
        gateways = await self._stored(meshgateway.KIND.name, call.path["mesh"])
        found = await self._dataplanes(call.path["mesh"])
        return _legacy_list(each for each in found if reach.gateway_of(each, gateways) == gateway)

    async def _of_gateway_route(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        route = await self._named(kind, call, "Could not find MeshGatewayRoute", mesh_title=_NO_MESH_CONTEXT)
        around = await self._surroundings(call.path["mesh"])
        found = await self._dataplanes(call.path["mesh"])
        return _legacy_list(each for each in found if reach.is_about(route, each, around))

    async def _named(
        self, kind: AnyKind, call: calls.Call, title: str, mesh_title: str = "Failed to retrieve Mesh"
    ) -> AnyResource:
        """The resource of the URL; NotFound, titled, where it or its mesh is missing."""
        mesh = call.path["mesh"]
        with errors.titled(mesh_title):
            await self._manager.store.get(resources.mesh_key(mesh))
        with errors.titled(title):
            return await self._manager.store.get(res.Key(kind.name, mesh, call.path["name"]))

    async def _surroundings(self, mesh: str) -> reach.Surroundings:
        return reach.Surroundings(
            routes=await self._stored("MeshHTTPRoute", mesh), gateways=await self._stored(meshgateway.KIND.name, mesh)
        )

    async def _dataplanes(self, mesh: str) -> Iterable[reach.Proxy]:
        return await self._stored(dataplane.KIND.name, mesh)

    async def _stored(self, kind_name: str, mesh: str | None) -> list[AnyResource]:
        kind = self._manager.catalog.find(kind_name)
        return [] if kind is None else list(await self._manager.store.list(kind, mesh))

    # Hostnames

    async def _hostnames(self, call: calls.Call) -> replies.Reply:
        kind = self._manager.catalog.at_path(call.path["services"])
        if kind is None or kind.name not in service_hostnames.SERVICES:
            title = f'only "{",".join(_WITH_HOSTNAMES)}" are available for inspection'
            return replies.error_document(400, title, "Resource is not valid")
        service = await self._manager.store.get(res.Key(kind.name, call.path["mesh"], call.path["name"]))
        generators = await self._stored(hostnamegenerator.KIND.name, None)
        found = service_hostnames.hostnames_of(service, generators, self._manager.role)
        shown = [
            {"hostname": hostname, "zones": [{"name": zone} for zone in sorted(zones)]}
            for hostname, zones in found.items()
        ]
        return replies.json_reply({"items": shown or None, "total": len(shown)})


def serves(service: res.Resource[meshservice.MeshService], proxy: reach.Proxy) -> bool:
    """Whether a proxy stands behind a MeshService; those of another zone do not."""
    zone, own = service.meta.labels.get(labels.ZONE), proxy.meta.labels.get(labels.ZONE)
    networking = proxy.spec.networking
    if networking is None or (zone and own and zone != own):
        return False
    sets = selectors.tag_sets(networking.inbound, networking.gateway.tags if networking.gateway else None)
    return selectors.selects(service.spec.selector, proxy.meta.name, proxy.meta.labels, sets)


def reference(resource: AnyResource) -> Mapping[str, Any]:
    """A resource as views name it."""
    meta = resource.meta
    shown = {key: meta.labels[key] for key in sorted(meta.labels)}
    return {"labels": shown, "mesh": meta.mesh, "name": meta.name, "type": resource.kind.name}


def _legacy_list(found: Iterator[reach.Proxy]) -> replies.Reply:
    shown = [{"dataplane": {"mesh": each.meta.mesh, "name": each.meta.name}} for each in found]
    return replies.json_reply({"total": len(shown), "items": shown})
