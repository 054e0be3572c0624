"""ProxyTemplate: changes to finished clusters and listeners, after those of every other policy.

The most specific template counts. Whatever it imports, the resources that Kuma makes by itself are there. Source: Kuma's
documentation, "Proxy Template".
"""

import weakref
from collections.abc import Iterator
from typing import Any

from kuma.envoy import api
from kuma.legacy_policies.proxytemplate import model
from kuma.plan import nodes, proxy
from kuma.policy_engine import modifications, policy
from kuma.policy_engine.matching import sources
from kuma.policy_engine.merging import rules
from kuma.policy_engine.writing import envoy_yaml
from kuma.resources import resource as res

ORDER = 10000


class ProxyTemplate(policy.LegacyPolicy):
    """Adds, removes and patches resources of the proxies that a template selects."""

    kind = model.KIND
    order = ORDER

    def __init__(self) -> None:
        self._confs: weakref.WeakValueDictionary[int, rules.Merged[model.Conf]] = weakref.WeakValueDictionary()

    def select(self, policies: tuple[res.Resource[Any], ...], subject: proxy.ProxyFacts) -> rules.ProxyRules:
        """The conf of the template that fits the proxy best."""
        best = sources.best_by_selectors(policies, subject)
        if best is None or best.spec.conf is None:
            return super().select(policies, subject)
        return rules.ProxyRules(self.kind.name, (best,), rules.NO_DESTINATIONS, single=self._alone(best))

    def _alone(self, template: res.Resource[Any]) -> rules.Merged[model.Conf]:
        """The conf of a template, one object for all proxies that it is about."""
        found = self._confs.get(id(template.spec))
        if found is None or found.conf is not template.spec.conf:
            found = self._confs[id(template.spec)] = rules.Merged(template.spec.conf, (res.ref_to(template),))
        return found

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Adds what the template brings."""
        if found.single is not None:
            changed = changes(found.single.conf)
            modifications.add_to(plan, changed, modifications.PROXY_TEMPLATE, found.single.origins)

    def patch(self, conf: policy.Conf, kind: str, message: api.Message, origin: str) -> modifications.Modified:
        """One resource after all changes; those that were added have gone through theirs."""
        if conf is None or origin == modifications.PROXY_TEMPLATE:
            return modifications.Modified(message)
        return modifications.modified(changes(conf.conf), kind, message, origin)


POLICY = ProxyTemplate()

_TARGETS = {
    "cluster": modifications.Target.CLUSTER,
    "listener": modifications.Target.LISTENER,
    "network_filter": modifications.Target.NETWORK_FILTER,
    "http_filter": modifications.Target.HTTP_FILTER,
    "virtual_host": modifications.Target.VIRTUAL_HOST,
}


def changes(conf: model.Conf) -> tuple[modifications.Modification, ...]:
    """What a conf says, in order: first its own resources."""
    return (*_resources(conf), *_modifications(conf))


def _resources(conf: model.Conf) -> Iterator[modifications.Modification]:
    """The clusters and listeners among the resources; the others are of no use without them."""
    for at, raw in enumerate(conf.resources):
        for target in (modifications.Target.CLUSTER, modifications.Target.LISTENER):
            if envoy_yaml.type_of(raw.resource) == modifications.TYPES[target]:
                yield modifications.Modification(
                    target, modifications.Operation.ADD, value=raw.resource, path=f"conf.resources[{at}]"
                )


def _modifications(conf: model.Conf) -> Iterator[modifications.Modification]:
    for at, entry in enumerate(conf.modifications):
        for member, target in _TARGETS.items():
            written = getattr(entry, member)
            if written is not None:
                yield modifications.Modification(
                    target,
                    modifications.Operation(written.operation.lower()),
                    _match(written.match),
                    written.value,
                    path=f"conf.modifications[{at}].{target.value}",
                )


_Match = model.ClusterMatch | model.ListenerMatch | model.FilterMatch | model.VirtualHostMatch


def _match(written: _Match | None) -> modifications.Match:
    """In a ProxyTemplate, what is empty fits everything."""
    if written is None:
        return modifications.Match()
    tags = getattr(written, "tags", None) or getattr(written, "listener_tags", None) or {}
    return modifications.Match(
        name=written.name or None,
        origin=written.origin or None,
        tags=tuple(sorted(tags.items())),
        listener=getattr(written, "listener_name", "") or None,
        route_configuration=getattr(written, "route_configuration_name", "") or None,
    )
