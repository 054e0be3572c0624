"""Where an outbound sends its requests: the rules of routing policies, or everything to its destination.

Source: Kuma's documentation, "MeshHTTPRoute" and "MeshTCPRoute": without any rule there is a route that takes all.
"""

import weakref
from collections.abc import Hashable
from typing import NamedTuple

from kuma.compiler import destinations, hearing
from kuma.plan import nodes
from kuma.policy_engine import routing
from kuma.policy_engine.merging import rules

LARGEST_TABLE = 4096
"""Outbounds whose routes are kept: those of outbounds that are gone must not stay for ever."""


class Routed(NamedTuple):
    """The routes of an outbound, and the clusters that its rules name, those included that get nothing as they are."""

    routes: routing.Routes
    named: tuple[nodes.ClusterFacts, ...] = ()


class Routing:
    """Routes of outbounds. They are kept, because every shape asks for all of its own again."""

    def __init__(self) -> None:
        self._made: dict[Hashable, routing.Routes] = {}
        self._mentions: weakref.WeakKeyDictionary[rules.Merged[object], tuple[routing.Mention, ...]]
        self._mentions = weakref.WeakKeyDictionary()

    def routes(self, outbound: nodes.OutboundFacts, heard: hearing.Hearing, clients: destinations.Clients) -> Routed:
        """The routes of an outbound in the order of their trial."""
        routed = heard.routed(outbound)
        if routed is not None:
            return self._ruled(*routed, outbound, clients)
        return Routed(self._made.get(outbound) or self._keep(outbound, routing.default_routes(outbound)))

    def _ruled(
        self,
        router: routing.Router,
        conf: rules.Merged[object],
        outbound: nodes.OutboundFacts,
        clients: destinations.Clients,
    ) -> Routed:
        mentions = self._mentions.get(conf)
        if mentions is None:
            mentions = self._mentions[conf] = router.mentions(conf)
        known = {each: clients.of_backend(each) for each in dict.fromkeys(mentions)}
        found = tuple(known[each] for each in mentions)
        key = (outbound, conf, found)
        made = self._made.get(key)
        if made is None:
            made = self._keep(key, router.routes(conf, outbound, found))
        return Routed(made, tuple(each for each in known.values() if each is not None))

    def _keep(self, key: Hashable, made: routing.Routes) -> routing.Routes:
        if len(self._made) >= LARGEST_TABLE:
            del self._made[next(iter(self._made))]  # the oldest
        self._made[key] = made
        return made
