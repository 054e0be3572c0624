"""What the control plane counted: services of a mesh one by one, and sums over all meshes.

A mesh's services are stored as one ServiceInsight; REST shows an item for each. Source: Kuma's HTTP API.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from kuma.base import errors, gotext
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import meshinsight, serviceinsight
from kuma.security import users
from kuma.servers.rest import items
from kuma.servers.rest.messages import calls, replies
from kuma.servers.rest.messages import parameters as params
from kuma.services import queries, resources

_PAGE = "Could not paginate resources"
_STATES = ("online", "offline", "partially_degraded", "total")


class InsightEndpoints:
    """Answers from insights. `clock` stamps the sums, which are stored nowhere."""

    def __init__(
        self, manager: resources.ResourceManager, clock: Callable[[], datetime], dns_domain: str, vip_port: int
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._address = f"{{}}.{dns_domain}:{vip_port}"

    def add_to(self, routes: calls.Routes) -> None:
        """Serves insights of the kinds that the catalog has."""
        if self._manager.catalog.find(serviceinsight.KIND.name) is not None:
            for listed in ("/meshes/{mesh}/service-insights", "/service-insights"):
                routes.add("GET", listed, calls.Endpoint(self._list_services, "Could not list resources"))
            single = "/meshes/{mesh}/service-insights/{name}"
            routes.add("GET", single, calls.Endpoint(self._read_service, "Could not retrieve a resource"))
        routes.add("GET", "/global-insight", calls.Endpoint(self._sums, "Could not retrieve insights"))
        routes.add("GET", "/global-insights", calls.Endpoint(self._legacy_sums, "Could not retrieve insights"))

    # Services

    async def _list_services(self, call: calls.Call) -> replies.Reply:
        wanted_types = _service_types(call.query.first("type"))
        name = call.query.first("name")
        found = await self._manager.list(serviceinsight.KIND, call.path.get("mesh"), call.user)
        shown = [
            (each, service, stats)
            for each in found
            for service, stats in sorted(each.spec.services.items())
            if name in service and (not wanted_types or stats.service_type in wanted_types)
        ]
        with errors.titled(_PAGE):
            page = queries.page_of(shown, params.page_size(call.query), params.page_offset(call.query, prefix=""))
        rendered = (
            replies.json_bytes(self._service(insight, service, stats)).replace(b"\n", b"\n  ")
            for insight, service, stats in page.items
        )
        return items.list_reply(page.total, rendered, params.next_url(call.url, call.query, page.next_offset))

    async def _read_service(self, call: calls.Call) -> replies.Reply:
        mesh, service = call.path["mesh"], call.path["name"]
        found = await self._manager.get(serviceinsight.KIND, mesh, f"all-services-{mesh}", call.user)
        stats = found.spec.services.get(service)
        if stats is None:
            return replies.json_reply(self._service(found, service, serviceinsight.Service()))
        return replies.json_reply(self._service(found, service, stats))

    def _service(self, insight: res.Resource[Any], service: str, stats: serviceinsight.Service) -> dict[str, Any]:
        """One service as an item; zeros are left out."""
        document: dict[str, Any] = {
            "type": serviceinsight.KIND.name,
            "mesh": insight.meta.mesh,
            "name": service,
            "creationTime": gotext.format_time(insight.meta.creation_time),
            "modificationTime": gotext.format_time(insight.meta.modification_time),
        }
        if stats.status is not serviceinsight.ServiceStatus.NONE:
            document["status"] = stats.status.value
        proxies = stats.dataplanes or serviceinsight.DataplaneStat()
        counts = {"total": proxies.online + proxies.offline, "online": proxies.online, "offline": proxies.offline}
        document["dataplanes"] = {key: count for key, count in counts.items() if count}
        if stats.issued_backends:
            document["issuedBackends"] = stats.issued_backends
        if stats.service_type is not serviceinsight.ServiceType.INTERNAL:
            document["serviceType"] = stats.service_type.value
            address = stats.address_port
        else:
            address = stats.address_port or self._address.format(service)
        if address:
            document["addressPort"] = address
        if stats.zones:
            document["zones"] = list(stats.zones)
        return document

    # Sums

    async def _sums(self, call: calls.Call) -> replies.Reply:
        meshes = [each.spec for each in await self._stored(meshinsight.KIND)]
        services = [
            service for each in await self._stored(serviceinsight.KIND) for service in each.spec.services.values()
        ]
        document = {
            "createdAt": gotext.format_time(self._clock()),
            "services": _sum_services(services),
            "zones": {
                "controlPlanes": await self._zones("Zone"),
                "zoneEgresses": await self._zones("ZoneEgress"),
                "zoneIngresses": await self._zones("ZoneIngress"),
            },
            "dataplanes": _sum_proxies(meshes),
            "policies": {"total": sum(stat.total for each in meshes for stat in each.policies.values())},
            "meshes": {"total": await self._count("Mesh")},
            "resources": await self._sum_resources(meshes),
        }
        return replies.json_reply(document)

    async def _stored(self, kind: kinds.Kind[Any]) -> Iterable[res.Resource[Any]]:
        return await self._manager.list(kind, None, users.CONTROL_PLANE)

    async def _count(self, kind_name: str) -> int:
        kind = self._manager.catalog.find(kind_name)
        return 0 if kind is None else len(await self._manager.store.list(kind))

    async def _zones(self, kind_name: str) -> dict[str, int]:
        """How many zones, or proxies of zones, ever connected, and how many of them are connected now."""
        kind = self._manager.catalog.find(kind_name)
        insight_kind = self._manager.catalog.find(kind.insight) if kind is not None else None
        if insight_kind is None:
            return {"online": 0, "total": 0}
        found = [each.spec.is_online for each in await self._stored(insight_kind)]
        return {"online": sum(found), "total": len(found)}

    async def _sum_resources(self, meshes: Iterable[meshinsight.MeshInsight]) -> dict[str, dict[str, int]]:
        totals: dict[str, int] = {}
        for each in meshes:
            for kind, stat in each.resources.items():
                totals[kind] = totals.get(kind, 0) + stat.total
        generators = await self._count("HostnameGenerator")
        if generators:
            totals["HostnameGenerator"] = generators
        return {kind: {"total": totals[kind]} for kind in sorted(totals)}

    async def _legacy_sums(self, call: calls.Call) -> replies.Reply:
        counts = {
            kind.name: {"total": await self._count(kind.name)}
            for kind in self._manager.catalog
            if kind.scope is kinds.Scope.GLOBAL and kind.exposed and not kind.read_only
        }
        now = gotext.format_time(self._clock())
        return replies.json_reply({"type": "GlobalInsights", "creationTime": now, "resources": counts})


def _service_types(text: str) -> set[serviceinsight.ServiceType]:
    try:
        return {serviceinsight.ServiceType(each) for each in text.split(",")} if text else set()
    except ValueError:
        raise errors.BadRequest("bad request: unsupported service type") from None


def _sum_services(services: Iterable[serviceinsight.Service]) -> dict[str, dict[str, int]]:
    names = {
        serviceinsight.ServiceType.INTERNAL: "internal",
        serviceinsight.ServiceType.GATEWAY_BUILTIN: "gatewayBuiltin",
        serviceinsight.ServiceType.GATEWAY_DELEGATED: "gatewayDelegated",
        serviceinsight.ServiceType.EXTERNAL: "external",
    }
    counted = {name: {_camel(state): 0 for state in sorted(_STATES)} for name in names.values()}
    for each in services:
        of_type = counted[names[each.service_type]]
        of_type["total"] += 1
        state = _camel(each.status.value)
        if state in of_type:
            of_type[state] += 1
    counted["external"] = {"total": counted["external"]["total"]}
    return counted


def _sum_proxies(meshes: Iterable[meshinsight.MeshInsight]) -> dict[str, dict[str, int]]:
    counted = {
        name: {_camel(state): 0 for state in sorted(_STATES)}
        for name in ("standard", "gatewayBuiltin", "gatewayDelegated")
    }
    for by_type in (each.dataplanes_by_type for each in meshes):
        if by_type is None:
            continue
        for name, stat in _stats(by_type):
            for state in _STATES:
                counted[name][_camel(state)] += getattr(stat, state)
    return counted


def _stats(by_type: meshinsight.DataplanesByType) -> Iterator[tuple[str, meshinsight.DataplaneStat]]:
    empty = meshinsight.DataplaneStat()
    yield "standard", by_type.standard or empty
    yield "gatewayBuiltin", by_type.gateway_builtin or empty
    yield "gatewayDelegated", by_type.gateway_delegated or empty


def _camel(state: str) -> str:
    return "partiallyDegraded" if state == "partially_degraded" else state
