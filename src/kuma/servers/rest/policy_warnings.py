"""The view `_warnings` of a targetRef policy: why it, or an entry of it, has no effect on anybody.

Our own: Kuma accepts such policies and says nothing. Each warning is about a field, as violations are.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kuma.base import errors, labels
from kuma.policy_engine import advice, reach, surroundings
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, externalservice, zoneingress
from kuma.servers.rest import calls, replies
from kuma.services import policy_matches, resources

AnyResource = res.Resource[Any]

_NO_POLICY = "Could not retrieve policy"


class PolicyWarningEndpoints:
    """Answers for one policy."""

    def __init__(self, manager: resources.ResourceManager, matches: policy_matches.PolicyMatches) -> None:
        self._manager = manager
        self._matches = matches

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints of the kinds that the catalog has."""
        for kind in self._manager.catalog:
            if kind.policy is not None and kind.policy.target_ref and kind.exposed:
                path = f"/meshes/{{mesh}}/{kind.plural}/{{name}}/_warnings"
                routes.add("GET", path, calls.Endpoint(self._bound(kind), _NO_POLICY))

    def _bound(self, kind: kinds.Kind[Any]) -> calls.Answer:
        async def bound(call: calls.Call) -> replies.Reply:
            mesh = call.path["mesh"]
            with errors.titled("Failed to retrieve Mesh"):
                around = await self._matches.around(mesh)
            with errors.titled(_NO_POLICY):
                policy = await self._manager.store.get(res.Key(kind.name, mesh, call.path["name"]))
            proxies = await self._manager.store.list(dataplane.KIND, mesh)
            outside = [each.spec.tags for each in await self._manager.store.list(externalservice.KIND, mesh)]
            for ingress in await self._manager.store.list(zoneingress.KIND):
                outside += [each.tags for each in ingress.spec.available_services if each.mesh == mesh]
            found = warnings_of(policy, proxies, around, outside)
            shown = [{"field": each.field, "reason": each.message} for each in found]
            return replies.json_reply({"warnings": shown})

        return bound


def warnings_of(
    policy: AnyResource,
    proxies: Sequence[AnyResource],
    around: surroundings.Surroundings,
    outside: Sequence[Mapping[str, str]] = (),
) -> Iterator[errors.Violation]:
    """What keeps a policy from having an effect. `outside` are the tags of services that no Dataplane offers."""
    if not any(reach.is_about(policy, each, around) for each in proxies):
        yield errors.Violation("spec.targetRef", "no Dataplane of the mesh is selected")
    services = {tags.get(labels.SERVICE_TAG, "") for tags in outside}
    for each in proxies:
        inbounds = each.spec.networking.inbound if each.spec.networking is not None else ()
        services.update(inbound.tags.get(labels.SERVICE_TAG, "") for inbound in inbounds)
    yield from advice.unanswered(policy, around, services)
