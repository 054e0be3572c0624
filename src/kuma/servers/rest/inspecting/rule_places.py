"""The view of older clients on targetRef policies: the rules of a proxy by the place where they hold.

A place is the whole proxy, an outbound that its Dataplane lists with tags, or an inbound and clients of it. Destinations
of other sorts are in the view `_rules`. Source: Kuma's HTTP API, "Inspection".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kuma.base import errors, labels
from kuma.envoy import names
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.servers.rest.inspecting.rules import Json, conf_of
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources
from kuma.services.policies import matches as policy_matches

_NO_POLICIES = "Could not get MatchedPolicies"
_TYPES = ("SingleItem", "DestinationSubset", "ClientSubset")
_LOOPBACK = "127.0.0.1"


class RulePlaceEndpoints:
    """Answers where rules hold."""

    def __init__(self, manager: resources.ResourceManager, matches: policy_matches.PolicyMatches) -> None:
        self._manager = manager
        self._matches = matches

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoint."""
        routes.add("GET", "/meshes/{mesh}/dataplanes/{name}/rules", calls.Endpoint(self._of_proxy, _NO_POLICIES))

    async def _of_proxy(self, call: calls.Call) -> replies.Reply:
        mesh = call.path["mesh"]
        with errors.titled(_NO_POLICIES):
            around = await self._matches.around(mesh)
            proxy = await self._manager.store.get(res.Key(dataplane.KIND.name, mesh, call.path["name"]))
        items = [item for found in await self._matches.of_proxy(proxy, around) for item in items_of(proxy, found)]
        items.sort(key=lambda each: (_TYPES.index(each["type"]), each.get("name", ""), each["policyType"]))
        return replies.json_reply({"total": len(items), "items": items})


def items_of(proxy: res.Resource[dataplane.Dataplane], found: rules.ProxyRules) -> Iterator[Json]:
    """The rules of one kind."""
    networking = proxy.spec.networking or dataplane.Networking()
    if found.single is not None:
        yield {"type": "SingleItem"} | _rule(found.kind, (), found.single)
    for tags, addresses in _called(networking):
        service = tags[labels.SERVICE_TAG]
        merged = found.to.of_service(service, _others(tags))
        subset = next((each.subset for each in found.to.tag_rules.all() if each.merged is merged), ())
        if merged is not None:
            yield {"type": "DestinationSubset"} | _place(tags, addresses) | _rule(found.kind, subset, merged)
    for inbound in networking.inbound:
        address = inbound.address or networking.address
        for each in found.inbound(address, inbound.port).clients:
            place = _place(inbound.tags, [f"{address}:{inbound.port}"])
            yield {"type": "ClientSubset"} | place | _rule(found.kind, each.subset, each.merged)


def _called(networking: dataplane.Networking) -> Iterator[tuple[Mapping[str, str], list[str]]]:
    """The tags of outbounds, each with the addresses that lead there."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for each in networking.outbound:
        if labels.SERVICE_TAG in each.tags:
            at = tuple(sorted(each.tags.items()))
            found.setdefault(at, []).append(f"{each.address or _LOOPBACK}:{each.port}")
    for tags, addresses in found.items():
        yield dict(tags), addresses


def _others(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != labels.SERVICE_TAG}


def _place(tags: Mapping[str, str], addresses: list[str]) -> Json:
    service = tags.get(labels.SERVICE_TAG, "")
    name = names.service_cluster(service, _others(tags))
    return {"name": name, "addresses": addresses, "service": service, "tags": dict(tags)}


def _rule(kind: str, subset: Iterable[rules.Tag], merged: rules.Merged[Any]) -> Json:
    return {
        "policyType": kind,
        "subset": {tag.key: f"!{tag.value}" if tag.negated else tag.value for tag in subset},
        "conf": conf_of(merged.conf),
        "origins": [{"mesh": each.mesh, "name": each.name} for each in merged.policies],
    }
