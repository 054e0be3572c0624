"""What the Envoy of a proxy says of itself: its configuration dump, statistics and clusters, passed on as they are.

Who asks the Envoys is the wiring's business: see `EnvoyAdmin`. Paths, parameters and titles: Kuma's HTTP API,
"Inspection"; that an offline proxy is a 503 is ours (decision 12).
"""

import functools
from dataclasses import dataclass
from typing import Any, Protocol

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegress, zoneingress
from kuma.security import access
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources
from kuma.services.insights import overviews

Proxy = res.Resource[dataplane.Dataplane] | res.Resource[zoneingress.ZoneIngress] | res.Resource[zoneegress.ZoneEgress]

_TITLE = "Could not execute admin operation"
_OPERATIONS = ("xds", "stats", "clusters")


class EnvoyAdmin(Protocol):
    """Asks the admin interface of a proxy's Envoy; Unavailable, saying why, where it cannot be reached.

    `port` is the one that the proxy says its admin interface has, 0 where it does not say.
    """

    async def config_dump(self, proxy: Proxy, include_eds: bool = False, port: int = 0) -> bytes:
        """The configuration that Envoy runs, as JSON without private keys."""
        ...

    async def stats(self, proxy: Proxy, as_json: bool = False, port: int = 0, used_only: bool = False) -> bytes:
        """Envoy's statistics, as text or JSON."""
        ...

    async def clusters(self, proxy: Proxy, as_json: bool = False, port: int = 0) -> bytes:
        """Envoy's clusters and their endpoints, as text or JSON."""
        ...


@dataclass(frozen=True, slots=True)
class _Proxies:
    """One kind of proxy: where its resources are served, and what Kuma calls it in titles."""

    kind: kinds.Kind[Any]
    base: str
    words: str


_PROXIES = (
    _Proxies(dataplane.KIND, "/meshes/{mesh}/dataplanes", "dataplane"),
    _Proxies(zoneingress.KIND, f"/{zoneingress.KIND.plural}", "zone ingress"),
    _Proxies(zoneingress.KIND, f"/{zoneingress.KIND.alternative_plural}", "zone ingress"),
    _Proxies(zoneegress.KIND, f"/{zoneegress.KIND.plural}", "zone egress"),
)


class EnvoyAdminEndpoints:
    """Answers for Dataplanes, ZoneIngresses and ZoneEgresses."""

    def __init__(
        self,
        manager: resources.ResourceManager,
        permits: access.StaticAccess,
        insights: overviews.Insights,
        admin: EnvoyAdmin,
    ) -> None:
        self._manager = manager
        self._access = permits
        self._insights = insights
        self._admin = admin

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        for proxies in _PROXIES:
            endpoint = calls.Endpoint(functools.partial(self._answer, proxies), _TITLE)
            routes.add("GET", f"{proxies.base}/{{name}}/{{operation}}", endpoint)

    async def _answer(self, proxies: _Proxies, call: calls.Call) -> replies.Reply:
        operation = call.path["operation"]
        if operation not in _OPERATIONS:
            raise errors.NotFound(f'there is no operation "{operation}"')
        as_json = call.query.first("format") == "json"
        if operation == "xds":
            self._access.require_config_dump(call.user)
            proxy, port = await self._connected(proxies, call)
            include_eds = call.query.first("include_eds") == "true"
            return replies.Reply(200, replies.JSON, (await self._admin.config_dump(proxy, include_eds, port),))
        if operation == "stats":
            self._access.require_stats(call.user)
            proxy, port = await self._connected(proxies, call)
            used_only = call.query.first("usedonly") != "false"
            found = await self._admin.stats(proxy, as_json, port, used_only)
        else:
            self._access.require_clusters(call.user)
            proxy, port = await self._connected(proxies, call)
            found = await self._admin.clusters(proxy, as_json, port)
        return replies.Reply(200, replies.JSON if as_json else replies.TEXT, (found,))

    async def _connected(self, proxies: _Proxies, call: calls.Call) -> tuple[Proxy, int]:
        """The proxy and its admin port; Unavailable unless it is connected: others are not dialled."""
        with errors.titled(f"Could not get {proxies.words} resource"):
            key = res.Key(proxies.kind.name, call.path.get("mesh", ""), call.path["name"])
            proxy: Proxy = await self._manager.store.get(key)
        self._require_own_zone(proxies, proxy)
        insight = await self._insights.of(proxy)
        if insight is None or not insight.spec.is_online:
            raise errors.Unavailable(f'proxy "{proxy.meta.name}" is offline')
        port = str((insight.spec.metadata or {}).get("dataplane.admin.port", ""))
        return proxy, int(port) if port.isascii() and port.isdigit() else 0

    def _require_own_zone(self, proxies: _Proxies, proxy: Proxy) -> None:
        """InvalidResource for a zone proxy that belongs to another zone: its Envoy is connected elsewhere."""
        zone = "" if isinstance(proxy.spec, dataplane.Dataplane) else proxy.spec.zone
        if zone not in ("", self._manager.role.zone) and not self._manager.role.is_global:
            with errors.titled(f"Could not connect to {proxies.words} that resides in another zone"):
                raise errors.InvalidResource((), f'"{proxy.meta.name}" is a proxy of zone "{zone}"')
