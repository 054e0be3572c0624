"""Endpoints that every kind of the catalog has: list, read, write, delete, and overviews where the kind has them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.servers.rest import items, kubernetes_form
from kuma.servers.rest.messages import calls, replies, turns
from kuma.servers.rest.messages import parameters as params
from kuma.services import queries, resources
from kuma.services.insights import overviews
from kuma.services.policies import advice as policy_advice

_log = structlog.get_logger("rest")

AnyKind = kinds.Kind[Any]
AnyResource = res.Resource[Any]

READ = "Could not retrieve a resource"
LIST = "Could not retrieve resources"
_LEGACY_OVERVIEWS = {
    "Dataplane": "dataplanes+insights",
    "Zone": "zones+insights",
    "ZoneIngress": "zoneingresses+insights",
    "ZoneEgress": "zoneegressoverviews",
}
_FORMATS = ("k8s", "kubernetes", "universal")
_AT_ONCE = 50
"""Items that are rendered before others have their turn: a few milliseconds."""


class ResourceEndpoints:
    """Answers for resources of any kind."""

    def __init__(
        self,
        manager: resources.ResourceManager,
        insights: overviews.Insights,
        advice: policy_advice.PolicyAdvice,
        rendered: items.Items,
        long_answers: turns.Turns,
        system_namespace: str,
    ) -> None:
        self._manager = manager
        self._insights = insights
        self._advice = advice
        self._items = rendered
        self._turns = long_answers
        self._system_namespace = system_namespace

    def add_to(self, routes: calls.Routes) -> None:
        """Serves every exposed kind. Service insights are read elsewhere: REST shows an item for each service."""
        for kind in self._manager.catalog:
            if not kind.exposed:
                continue
            for path in filter(None, (kind.plural, kind.alternative_plural)):
                self._add_kind(routes, kind, path)
            if kind.overview:
                for path in filter(None, (kind.plural, kind.alternative_plural)):
                    self._add_overviews(routes, kind, f"{path}/_overview", f"{path}/{{name}}/_overview")
                legacy = _LEGACY_OVERVIEWS.get(kind.name)
                if legacy:
                    self._add_overviews(routes, kind, legacy, f"{legacy}/{{name}}")

    def _add_kind(self, routes: calls.Routes, kind: AnyKind, path: str) -> None:
        is_read_here = kind.name != "ServiceInsight"
        base = _base(kind)
        if is_read_here:
            for collection in _collections(kind, path):
                routes.add("GET", collection, calls.Endpoint(self._bound(self._list, kind), LIST))
            routes.add("GET", f"{base}/{path}/{{name}}", calls.Endpoint(self._bound(self._read, kind), READ))
        put = calls.Endpoint(self._bound(self._put, kind), "Could not process a resource")
        delete = calls.Endpoint(self._bound(self._delete, kind), "Could not delete a resource")
        routes.add("PUT", f"{base}/{path}/{{name}}", put)
        routes.add("DELETE", f"{base}/{path}/{{name}}", delete)

    def _add_overviews(self, routes: calls.Routes, kind: AnyKind, listed: str, single: str) -> None:
        for collection in _collections(kind, listed):
            routes.add("GET", collection, calls.Endpoint(self._bound(self._list_overviews, kind), LIST))
        routes.add("GET", f"{_base(kind)}/{single}", calls.Endpoint(self._bound(self._read_overview, kind), READ))

    def _bound(self, answer: Callable[[AnyKind, calls.Call], Awaitable[replies.Reply]], kind: AnyKind) -> calls.Answer:
        async def bound(call: calls.Call) -> replies.Reply:
            return await answer(kind, call)

        return bound

    # Answers

    async def _read(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        found = await self._manager.get(kind, call.path.get("mesh", ""), call.path["name"], call.user)
        return self.shown(found, call)

    def shown(self, resource: AnyResource, call: calls.Call) -> replies.Reply:
        """One resource in the format that the request asks for; InvalidResource for a format that is none."""
        wanted = call.query.first("format") or "universal"
        if wanted not in _FORMATS:
            choices = ", ".join(f'"{each}"' for each in _FORMATS)
            raise errors.InvalidResource([errors.Violation("", f'"format" must be one of [{choices}]')])
        if wanted == "universal":
            return items.single_reply(self._items.resource(resource))
        namespace = call.query.first("namespace") or self._system_namespace
        return replies.json_reply(kubernetes_form.document(resource, namespace))

    async def _list(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        page = await self._page(kind, call)
        shown = []
        async for each in self._unhurried(page.items):
            shown.append(self._items.resource(each))
        return items.list_reply(page.total, shown, params.next_url(call.url, call.query, page.next_offset))

    async def _list_overviews(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        page = await self._page(kind, call)
        shown = []
        async for each in self._unhurried(page.items):
            shown.append(self._items.overview(each, await self._insights.of(each)))
        return items.list_reply(page.total, shown, params.next_url(call.url, call.query, page.next_offset))

    async def _page(self, kind: AnyKind, call: calls.Call) -> queries.Page[AnyResource]:
        """The wanted slice; what is wrong with the query is said in Kuma's order: mesh, size, filters, offset."""
        mesh = call.path.get("mesh")
        if mesh is not None:
            await self._manager.require_mesh(kind, mesh)
        size = params.page_size(call.query)
        query = params.narrowing(call.query, call.template, kind.name)
        offset = params.page_offset(call.query)
        return queries.page_of(await self._manager.list(kind, mesh, call.user, query), size, offset)

    async def _read_overview(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        found = await self._manager.get(kind, call.path.get("mesh", ""), call.path["name"], call.user)
        return replies.json_reply(items.overview_document(found, await self._insights.of(found), alone=True))

    async def _put(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        body = await call.body()
        outcome = await self._manager.put(kind, call.path.get("mesh", ""), call.path["name"], body, call.user)
        warnings = [*outcome.warnings, *await self._ineffective(outcome.resource)]
        return replies.json_reply({"warnings": warnings} if warnings else {}, 201 if outcome.created else 200)

    async def _ineffective(self, stored: AnyResource) -> list[str]:
        """Why a policy that was just stored, or a part of it, has no effect as the mesh is now."""
        try:
            return [f"{each.field}: {each.message}" for each in await self._advice.of(stored)]
        except errors.NotFound:
            return []  # the mesh went away meanwhile, and the policy with it
        except Exception as failure:
            # It is stored: an answer that says otherwise would be worse than one that says too little.
            _log.error("a policy could not be judged", kind=stored.kind.name, error=type(failure).__name__)
            return []

    async def _delete(self, kind: AnyKind, call: calls.Call) -> replies.Reply:
        await self._manager.delete(kind, call.path.get("mesh", ""), call.path["name"], call.user)
        return replies.json_reply({})

    async def _unhurried(self, found: Iterable[AnyResource]) -> AsyncIterator[AnyResource]:
        """The same resources, some a turn: rendering a thousand at once is felt by every proxy."""
        for index, each in enumerate(found, start=1):
            yield each
            if index % _AT_ONCE == 0:
                await self._turns.take()


def _base(kind: AnyKind) -> str:
    return "/meshes/{mesh}" if kind.scope is kinds.Scope.MESH else ""


def _collections(kind: AnyKind, path: str) -> list[str]:
    """Where a list is served: mesh-scoped kinds also over all meshes at once."""
    own = f"{_base(kind)}/{path}"
    return [own, f"/{path}"] if kind.scope is kinds.Scope.MESH else [own]
