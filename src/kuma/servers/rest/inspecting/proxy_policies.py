"""Views of one Dataplane in a mesh whose destinations are MeshServices and their like: what its proxy is made of
(`_layout`), and the policies of the whole proxy, of an inbound, an outbound or a route of an outbound.

Paths, keys and texts: Kuma's HTTP API, "Inspection". Inbounds, outbounds and routes are named by their KRI.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kuma.base import errors, kri, labels
from kuma.mesh import destinations, endpoints, outbounds, spiffe_ids
from kuma.policy_engine.advice import advice
from kuma.policy_engine.matching import surroundings
from kuma.policy_engine.merging import matches_hash, rules
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.servers.rest.inspecting.rules import Json, conf_of
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources
from kuma.services.policies import matches as policy_matches

AnyResource = res.Resource[Any]

_HTTP_ROUTE = "MeshHTTPRoute"
_ROUTES = (_HTTP_ROUTE, "MeshTCPRoute")
_NO_DATAPLANE = "Failed to retrieve Dataplane"
_LISTENER_NAMES = {dataplane.ListenerType.ZONE_INGRESS: "zoneingress", dataplane.ListenerType.ZONE_EGRESS: "zoneegress"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A Dataplane and what surrounds it."""

    proxy: res.Resource[dataplane.Dataplane]
    around: surroundings.Surroundings


class ProxyPolicyEndpoints:
    """Answers about the parts of a proxy."""

    def __init__(self, manager: resources.ResourceManager, matches: policy_matches.PolicyMatches) -> None:
        self._manager = manager
        self._matches = matches

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        base = "/meshes/{mesh}/dataplanes/{name}"
        for path, answer in (
            ("_layout", self._layout),
            ("_policies", self._of_proxy),
            ("_inbounds/{inbound}/_policies", self._of_inbound),
            ("_outbounds/{outbound}/_policies", self._of_outbound),
            ("_outbounds/{outbound}/_routes", self._routes),
            ("_outbounds/{outbound}/_routes/{route}/_policies", self._of_route),
        ):
            routes.add("GET", f"{base}/{path}", calls.Endpoint(answer, _NO_DATAPLANE))

    async def _asked(self, call: calls.Call, view: str = "_policies") -> _Asked:
        """What is asked about; the views are made of MeshServices, so other meshes have none."""
        owner = call.path["mesh"]
        with errors.titled("Failed to retrieve Mesh"):
            around = await self._matches.around(owner)
        if not advice.is_exclusive(around):
            raise errors.BadRequest(f"bad request: can't use {view} endpoint without meshService enabled")
        with errors.titled(_NO_DATAPLANE):
            proxy = await self._manager.store.get(res.Key(dataplane.KIND.name, owner, call.path["name"]))
        return _Asked(proxy, around)

    async def _layout(self, call: calls.Call) -> replies.Reply:
        asked = await self._asked(call, "_layout")
        role, own = self._manager.role, asked.proxy.meta.labels
        identities = await self._matches.identities(call.path["mesh"])
        zone = own.get(labels.ZONE) or role.zone
        spiffe_id = spiffe_ids.expected_id(identities, own, zone, role.environment)
        shown = layout(asked.proxy, asked.around)
        return replies.json_reply(shown | ({"spiffeId": spiffe_id} if spiffe_id is not None else {}))

    async def _of_proxy(self, call: calls.Call) -> replies.Reply:
        asked = await self._asked(call)
        found = await self._matches.of_proxy(asked.proxy, asked.around)
        shown = [
            {"kind": each.kind, "conf": conf_of(each.single.conf), "origins": _origins(each.single.origins)}
            for each in found
            if each.single is not None
        ]
        return replies.json_reply({"policies": shown})

    async def _of_inbound(self, call: calls.Call) -> replies.Reply:
        section = _kri(call.path["inbound"]).section
        asked = await self._asked(call)
        places = _places(asked.proxy)
        if section not in places:
            raise errors.NotFound(f"no inbound {section}")
        found = await self._matches.of_proxy(asked.proxy, asked.around)
        said = ((each.kind, each.inbounds.get(places[section], rules.NOTHING).rules) for each in found)
        return replies.json_reply({"policies": [_of_connections(kind, several) for kind, several in said if several]})

    async def _of_outbound(self, call: calls.Call) -> replies.Reply:
        outbound = _kri(call.path["outbound"])
        asked = await self._asked(call)
        found = await self._matches.of_proxy(asked.proxy, asked.around)
        return replies.json_reply({"policies": list(_of_destination(asked.around, found, outbound))})

    async def _of_route(self, call: calls.Call) -> replies.Reply:
        outbound, route = _kri(call.path["outbound"]), _kri(call.path["route"])
        asked = await self._asked(call)
        found = await self._matches.of_proxy(asked.proxy, asked.around)
        return replies.json_reply({"policies": list(_of_destination(asked.around, found, outbound, route))})

    async def _routes(self, call: calls.Call) -> replies.Reply:
        outbound = _kri(call.path["outbound"])
        asked = await self._asked(call)
        found = await self._matches.of_proxy(asked.proxy, asked.around)
        said = (
            (each.kind, each.to.of(outbound))
            for each in found
            if each.kind in _ROUTES and asked.around.find(outbound) is not None
        )
        shown = [
            {"kind": kind, "rules": list(_route_rules(kind, merged)), "origins": _origins(merged.origins)}
            for kind, merged in said
            if merged is not None
        ]
        return replies.json_reply({"routes": shown})


# The parts of a proxy


def layout(proxy: res.Resource[dataplane.Dataplane], around: surroundings.Surroundings) -> Json:
    """Inbounds, outbounds and zone proxy listeners of a Dataplane, each with its name in Envoy."""
    own, networking = proxy.kri, proxy.spec.networking or dataplane.Networking()
    assert own is not None  # Dataplanes have one
    inbounds = [
        {
            "kri": str(own.with_section(each.section)),
            "port": each.port,
            "protocol": endpoints.protocol_of(each),
            "proxyResourceName": f"self_inbound_dp_{each.section}",
        }
        for each in networking.inbound
    ]
    listeners = [
        {
            "kri": str(own.with_section(each.section)),
            "type": str(each.type),
            "port": each.port,
            "proxyResourceName": f"self_{_LISTENER_NAMES[each.type]}_dp_{each.section}",
        }
        for each in networking.listeners
    ]
    reached = sorted(_destinations(proxy, around), key=lambda each: str(each.kri))
    return {
        "kri": str(own),
        "labels": {key: proxy.meta.labels[key] for key in sorted(proxy.meta.labels)},
        "inbounds": inbounds,
        "outbounds": [
            {
                "kri": str(each.kri),
                "port": each.port,
                "protocol": each.protocol,
                "proxyResourceName": str(each.kri),
            }
            for each in reached
        ],
        "listeners": listeners,
    }


def _destinations(
    proxy: res.Resource[dataplane.Dataplane], around: surroundings.Surroundings
) -> Iterator[destinations.Destination]:
    """The destinations within reach of a proxy; a zone proxy reaches none by itself."""
    networking = proxy.spec.networking
    if networking is None or not (networking.inbound or networking.gateway):
        return
    stored = (*around.services, *around.external_services, *around.multizone_services)
    index, _ = destinations.DestinationIndex().advance((destinations.read(each), False) for each in stored)
    selected = outbounds.reach_of(proxy).select(index)
    yield from (each for each in index.all() if selected is None or each.kri in selected)


def _places(proxy: res.Resource[dataplane.Dataplane]) -> dict[str, rules.Listener]:
    """Where inbounds and zone proxy listeners listen, by section."""
    networking = proxy.spec.networking or dataplane.Networking()
    several: list[dataplane.Inbound | dataplane.Listener] = [*networking.inbound, *networking.listeners]
    return {each.section: (each.address or networking.address, each.port) for each in several}


def _kri(text: str) -> kri.Kri:
    try:
        return kri.parse_kri(text)
    except ValueError as problem:
        raise errors.BadRequest(f"bad request: {problem}") from None


# What policies say


def _of_connections(kind: str, found: Iterable[rules.InboundRule]) -> Json:
    """The rules of an inbound."""
    several = list(found)
    shown = [
        ({} if each.match is None else {"match": conf_of(each.match)})
        | {"kri": each.origin.kri, "conf": conf_of(each.conf)}
        for each in several
    ]
    return {"kind": kind, "rules": shown, "origins": _origins(each.origin for each in several)}


def _of_destination(
    around: surroundings.Surroundings,
    found: Iterable[rules.ProxyRules],
    outbound: kri.Kri,
    route: kri.Kri | None = None,
) -> Iterator[Json]:
    """The confs of an outbound, or of a route of it; routes are not among them. Of what does not exist nothing is said."""
    if around.find(outbound) is None:
        return
    for each in found:
        merged = each.to.of_route(route, outbound) if each.kind not in _ROUTES else None
        if merged is not None:
            confs = [conf_of(conf) for conf in merged.confs]
            yield {"kind": each.kind, "conf": confs, "origins": _origins(merged.origins)}


def _route_rules(kind: str, merged: rules.Merged[Any]) -> Iterator[Json]:
    """The rules of routes of one kind; connections cannot be matched, so rules about them are nobody's in particular."""
    for conf in merged.confs:
        if kind != _HTTP_ROUTE:
            yield {"kri": "", "matches": None, "conf": conf_of(conf.default)}
            continue
        for rule in conf.rules or ():
            author = merged.by_matches.get(matches_hash.matches_hash(rule.matches))
            yield {
                "kri": author.kri if author is not None else "",
                "matches": [conf_of(each) for each in rule.matches],
                "conf": conf_of(rule.default),
            }


def _origins(found: Iterable[res.ResourceRef]) -> list[Json]:
    return [{"kri": each} for each in dict.fromkeys(each.kri for each in found)]
