"""The view `_rules`: everything that targetRef policies say of a Dataplane or a MeshGateway, kind by kind.

Paths, keys and texts: Kuma's HTTP API, "Inspection".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kuma.base import errors
from kuma.policy_engine.advice import advice
from kuma.policy_engine.matching import surroundings
from kuma.policy_engine.merging import matches_hash, rules
from kuma.resources import printer
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshgateway
from kuma.servers.rest.inspecting import relations
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources
from kuma.services.policies import matches as policy_matches

AnyResource = res.Resource[Any]
Json = dict[str, Any]
Naming = Callable[[rules.Listener], Json]
"""How the view names an inbound or a listener of a gateway."""


class RulesEndpoints:
    """Answers what policies say."""

    def __init__(self, manager: resources.ResourceManager, matches: policy_matches.PolicyMatches) -> None:
        self._manager = manager
        self._matches = matches

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        base = "/meshes/{mesh}"
        routes.add(
            "GET",
            f"{base}/dataplanes/{{name}}/_rules",
            calls.Endpoint(self._of_dataplane, "Could not retrieve Dataplane"),
        )
        routes.add(
            "GET",
            f"{base}/meshgateways/{{name}}/_rules",
            calls.Endpoint(self._of_gateway, "Could not retrieve MeshGateway"),
        )

    async def _of_dataplane(self, call: calls.Call) -> replies.Reply:
        owner = call.path["mesh"]
        with errors.titled("Could not retrieve Dataplane"):
            proxy = await self._manager.store.get(res.Key(dataplane.KIND.name, owner, call.path["name"]))
            around = await self._matches.around(owner)
        found = await self._matches.of_proxy(proxy, around)
        return replies.json_reply(document(proxy, found, inbounds_of(proxy), around))

    async def _of_gateway(self, call: calls.Call) -> replies.Reply:
        owner = call.path["mesh"]
        with errors.titled("Could not retrieve MeshGateway"):
            gateway = await self._manager.store.get(res.Key(meshgateway.KIND.name, owner, call.path["name"]))
            around = await self._matches.around(owner)
        found = await self._matches.of_gateway(gateway, around)
        selecting = gateway.spec.selectors[0].match if gateway.spec.selectors else {}
        return replies.json_reply(document(gateway, found, listeners_with(selecting), around))


def inbounds_of(proxy: res.Resource[dataplane.Dataplane]) -> Naming:
    """Names of the inbounds and zone proxy listeners of a Dataplane, or of the listeners of a gateway."""
    networking = proxy.spec.networking or dataplane.Networking()
    if networking.gateway is not None:
        return listeners_with(networking.gateway.tags)
    several: list[dataplane.Inbound | dataplane.Listener] = [*networking.inbound, *networking.listeners]
    known = {(each.address or networking.address, each.port): each for each in several}

    def name(at: rules.Listener) -> Json:
        found = known[at]
        return {"tags": getattr(found, "tags", {}), "port": found.port} | ({"name": found.name} if found.name else {})

    return name


def listeners_with(tags: Mapping[str, str]) -> Naming:
    """Names of the listeners of a gateway that has these tags."""
    return lambda at: {"tags": tags, "port": at[1]}


def document(
    resource: AnyResource,
    found: Sequence[rules.ProxyRules],
    inbounds: Naming,
    around: surroundings.Surroundings,
) -> Json:
    """The whole view. Rules of destinations by `kuma.io/service` are left out where a mesh has none."""
    by_tags = not advice.is_exclusive(around)
    shown = [made for each in found if (made := _Kind(each).document(inbounds, by_tags)) is not None]
    matches = {hash_: match for each in found for hash_, match in _http_matches(each)}
    return {
        "httpMatches": [{"hash": each, "match": matches[each]} for each in sorted(matches)],
        "resource": relations.reference(resource),
        "rules": shown,
    }


class _Kind:
    """Prints what the policies of one kind say."""

    def __init__(self, found: rules.ProxyRules) -> None:
        self._found = found
        self._authors = {res.ref_to(each): each for each in found.policies}

    def document(self, inbounds: Naming, by_tags: bool) -> Json | None:
        """None where they say nothing."""
        found = self._found
        shown: Json = {
            "fromRules": self._by_inbound(inbounds, lambda of: self._by_tags(of.clients)),
            "inboundRules": self._by_inbound(inbounds, lambda of: self._of_connections(of.rules)),
            "toResourceRules": [self._of_resource(each) for each in sorted(found.to.resource_rules.all(), key=_name)],
            "toRules": self._by_tags(found.to.tag_rules.all()) if by_tags else [],
        }
        single = found.single
        if single is not None:
            shown["proxyRule"] = {"conf": conf_of(single.conf), "origin": self._policies(single)}
        if not any(shown.values()):
            return None
        return {"type": found.kind, **shown, "warnings": list(found.warnings)}

    def _by_inbound(self, inbounds: Naming, print_rules: Callable[[rules.InboundRules], list[Json]]) -> list[Json]:
        said = {**self._found.inbounds, **self._found.gateway.inbounds}
        shown = [(inbounds(at), print_rules(said[at])) for at in sorted(said, key=lambda at: (at[1], at[0]))]
        return [{"inbound": name, "rules": each} for name, each in shown if each]

    def _by_tags(self, found: Iterable[rules.SubsetRule]) -> list[Json]:
        return [
            {
                "conf": conf_of(conf),
                "matchers": [{"key": tag.key, "not": tag.negated, "value": tag.value} for tag in each.subset],
                "origin": self._policies(each.merged),
            }
            for each in found
            for conf in each.merged.confs
        ]

    def _of_connections(self, found: Iterable[rules.InboundRule]) -> list[Json]:
        return [
            ({} if each.match is None else {"match": conf_of(each.match)})
            | {"conf": [conf_of(each.conf)], "origin": [self._entry(each.origin)]}
            for each in found
        ]

    def _of_resource(self, found: rules.ResourceRule) -> Json:
        return {
            "conf": [conf_of(each) for each in found.merged.confs],
            "origin": [self._entry(each) for each in found.merged.origins],
            "resourceMeta": relations.reference(found.resource),
            "resourceSectionName": found.target.section,
        }

    def _policies(self, merged: rules.Merged[Any]) -> list[Mapping[str, Any]]:
        return [relations.reference(self._authors[each]) for each in merged.policies]

    def _entry(self, origin: res.ResourceRef) -> Json:
        author = self._authors[res.ResourceRef(origin.kind, origin.mesh, origin.name, -1, origin.kri)]
        return {"resourceMeta": relations.reference(author), "ruleIndex": origin.rule}


def _name(found: rules.ResourceRule) -> str:
    return found.resource.meta.name


def conf_of(conf: Any) -> Json:
    """A conf as users write it."""
    return printer.to_builtins(conf)


def _http_matches(found: rules.ProxyRules) -> Iterator[tuple[str, list[Json]]]:
    """The matches of all rules of routes, by their hash."""
    if found.kind != "MeshHTTPRoute":
        return
    merged = [each.merged for each in found.to.tag_rules.all()]
    merged += [each.merged for each in found.to.resource_rules.all()]
    for conf in (conf for each in merged for conf in each.confs):
        for rule in conf.rules or ():
            yield matches_hash.matches_hash(rule.matches), [conf_of(each) for each in rule.matches]
