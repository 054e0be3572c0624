"""The view `_warnings` of a targetRef policy: why it, or an entry of it, has no effect on anybody.

Our own: Kuma accepts such policies and says nothing. Each warning is about a field, as violations are.
"""

from typing import Any

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources
from kuma.services.policies import advice as policy_advice

_NO_POLICY = "Could not retrieve policy"


class PolicyWarningEndpoints:
    """Answers for one policy."""

    def __init__(self, manager: resources.ResourceManager, advice: policy_advice.PolicyAdvice) -> None:
        self._manager = manager
        self._advice = advice

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints of the kinds that the catalog has."""
        for kind in self._manager.catalog:
            if kind.policy is not None and kind.policy.target_ref and kind.exposed:
                path = f"/meshes/{{mesh}}/{kind.plural}/{{name}}/_warnings"
                routes.add("GET", path, calls.Endpoint(self._bound(kind), _NO_POLICY))

    def _bound(self, kind: kinds.Kind[Any]) -> calls.Answer:
        async def bound(call: calls.Call) -> replies.Reply:
            mesh = call.path["mesh"]
            await self._manager.require_mesh(kind, mesh)
            with errors.titled(_NO_POLICY):
                policy = await self._manager.store.get(res.Key(kind.name, mesh, call.path["name"]))
            found = await self._advice.of(policy)
            return replies.json_reply({"warnings": [{"field": one.field, "reason": one.message} for one in found]})

        return bound
