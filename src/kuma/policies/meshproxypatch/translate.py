"""MeshProxyPatch: the last word on finished clusters and listeners (`policy_engine.modifications`).

What is added belongs to each proxy by itself. Source: Kuma's documentation, "MeshProxyPatch".
"""

from typing import Any

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshproxypatch import model
from kuma.policy_engine import modifications, policy
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res

ORDER = 9999
ORIGIN = "mesh-proxy-patch"
LATER = (ORIGIN, modifications.PROXY_TEMPLATE)
"""Origins of resources that are added by these patches, or after them."""

_Written = model.Cluster | model.Listener | model.NetworkFilter | model.HttpFilter | model.VirtualHost
_Match = model.ClusterMatch | model.ListenerMatch | model.FilterMatch | model.VirtualHostMatch


class MeshProxyPatch(policy.Policy):
    """Adds, removes and patches resources of a proxy."""

    kind = model.KIND
    order = ORDER
    origin = ORIGIN

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Adds what the policies bring."""
        if found.single is not None:
            modifications.add_to(plan, changes(found.single.conf), ORIGIN, found.single.origins)

    def patch(self, conf: policy.Conf, kind: str, message: api.Message, origin: str) -> modifications.Modified:
        """One resource after all changes; those that were added have gone through theirs."""
        if conf is None or origin in LATER:
            return modifications.Modified(message)
        return modifications.modified(changes(conf.conf), kind, message, origin)

    def changes(self, resource: res.Resource[Any]) -> tuple[modifications.Modification, ...]:
        """What one MeshProxyPatch says."""
        return changes(resource.spec.default)


POLICY = MeshProxyPatch()


def changes(conf: model.Conf) -> tuple[modifications.Modification, ...]:
    """The changes that a conf says, in order."""
    return tuple(
        modifications.Modification(
            target,
            modifications.Operation(written.operation.lower()),
            _match(written.match),
            written.value or "",
            written.json_patches or (),
            path=f"appendModifications[{at}].{target.value}",
        )
        for at, entry in enumerate(conf.append_modifications or ())
        for target, written in _members(entry)
        if written is not None
    )


def _members(entry: model.Entry) -> tuple[tuple[modifications.Target, _Written | None], ...]:
    target = modifications.Target
    return (
        (target.CLUSTER, entry.cluster),
        (target.LISTENER, entry.listener),
        (target.NETWORK_FILTER, entry.network_filter),
        (target.HTTP_FILTER, entry.http_filter),
        (target.VIRTUAL_HOST, entry.virtual_host),
    )


def _match(written: _Match | None) -> modifications.Match:
    if written is None:
        return modifications.Match()
    tags = getattr(written, "tags", None) or getattr(written, "listener_tags", None) or {}
    return modifications.Match(
        name=written.name,
        origin=written.origin,
        tags=tuple(sorted(tags.items())),
        listener=getattr(written, "listener_name", None),
        route_configuration=getattr(written, "route_configuration_name", None),
    )
