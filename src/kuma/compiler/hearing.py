"""What is said to the proxies of one shape about each destination that they call.

Stands between the match of a proxy and the nodes that it shares with others: a node is looked for by the confs that
apply to it, thousands of times for each change, and built only where it is new. So a key is cheap, and who speaks in
which order is found out for the nodes that are built.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from kuma.compiler import matched
from kuma.plan import nodes
from kuma.policy_engine import policy, routing
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res

Spoken = tuple[tuple[matched.Voice, policy.Conf], ...]
"""Those who have a word on a node, in the order of their edits, each with the conf that applies."""

_Routed = tuple[routing.Router, rules.ProxyRules, dict[nodes.ClusterFacts, policy.Conf]]

LARGEST_TABLE = 4096
"""Destinations of which routing policies are remembered; services that are gone must not stay for ever."""

_Confs = tuple[policy.Conf, ...]
"""The conf of each of `Matched.shared`; None where nothing is said."""


@dataclass(frozen=True, slots=True)
class _Editors:
    """The places in `Matched.shared` of those who edit at some hooks, and of those among them with something personal."""

    places: tuple[int, ...]
    personal: tuple[int, ...]


class Hearing:
    """Each kind is asked once for a destination, whatever leads there.

    What `before`, of an earlier match of the same policies, heard from those who say the same is not asked again.
    """

    def __init__(self, said: matched.Matched, before: "Hearing | None" = None) -> None:
        self.said = said
        self.told_to: Hashable = (said.context, tuple([each.context.own for each in said.shared]))
        """The contexts in which it is said."""
        self._routed = _routed(said, before)
        self._confs: dict[nodes.ClusterFacts, _Confs] = {}
        self._editors: dict[tuple[str, ...], _Editors] = {}
        self._loud = [(at, each) for at, each in enumerate(said.shared) if each.found.policies]
        self.knows_routes = any(_knows_routes(each) for _, each in self._loud)
        self._heard = before._confs if before is not None else {}
        self._anew = self._loud
        if before is not None:
            olds = before.said.shared
            self._anew = [(at, each) for at, each in enumerate(said.shared) if not _says_the_same(each, olds[at])]

    def routed(self, outbound: nodes.OutboundFacts) -> tuple[routing.Router, rules.Merged[Any]] | None:
        """The routing policy that sends what comes to an outbound somewhere, with its conf."""
        for router, found, known in self._routed:
            if router.speaks_for(outbound):
                destination = outbound.destination
                if destination not in known:
                    known[destination] = router.conf_for(found, destination)
                conf = known[destination]
                if conf is not None:
                    return router, conf
        return None

    def key(self, destination: nodes.ClusterFacts, *hooks: str) -> Hashable:
        """Equal where the same is said at some hooks, with the same of the proxy itself in it.

        Who speaks by `to` and says nothing of a destination writes nothing of the proxy there either.
        """
        return self._key(self.confs(destination), self._editing(hooks))

    def key_of_route(self, destination: nodes.ClusterFacts, route: nodes.RouteFacts) -> Hashable:
        """What is said of one route of an outbound otherwise than of its destination; None for the same."""
        confs = self._confs_for_route(destination, route)
        same = confs is self.confs(destination) or confs == self.confs(destination)
        return None if same else self._key(confs, self._editing(("route",)))

    def spoken(self, destination: nodes.ClusterFacts, *hooks: str) -> Spoken:
        """Those of `Matched.shared` who edit nodes at one of some hooks, with the conf of each for a destination."""
        confs, shared = self.confs(destination), self.said.shared
        return tuple((shared[at], confs[at]) for at in self._editing(hooks).places)

    def spoken_of_route(self, destination: nodes.ClusterFacts, route: nodes.RouteFacts) -> Spoken:
        """As `spoken`, of one route of an outbound to `destination`."""
        confs, shared = self._confs_for_route(destination, route), self.said.shared
        return tuple((shared[at], confs[at]) for at in self._editing(("route",)).places)

    def _key(self, confs: _Confs, editing: _Editors) -> Hashable:
        shared = self.said.shared
        said = tuple([confs[at] for at in editing.places])
        if not editing.personal:
            return said
        personal = [at for at in editing.personal if confs[at] is not None or not shared[at].has_to]
        return said, tuple([(at, shared[at].context.own) for at in personal])

    def confs(self, destination: nodes.ClusterFacts) -> _Confs:
        """What each of `Matched.shared` says of a destination."""
        found = self._confs.get(destination)
        if found is None:
            heard = self._heard.get(destination)
            made: list[policy.Conf] = [None] * len(self.said.shared) if heard is None else list(heard)
            for at, voice in self._loud if heard is None else self._anew:
                made[at] = voice.speaker.conf_for(voice.found, destination) if voice.found.policies else None
            found = self._confs[destination] = tuple(made)
        return found

    def _confs_for_route(self, destination: nodes.ClusterFacts, route: nodes.RouteFacts) -> _Confs:
        if route.rule is None and not self.knows_routes:
            return self.confs(destination)
        made: list[policy.Conf] = [None] * len(self.said.shared)
        for at, voice in self._loud:
            made[at] = voice.speaker.conf_for_route(voice.found, destination, route.matches, route.rule)
        return tuple(made)

    def _editing(self, hooks: tuple[str, ...]) -> _Editors:
        found = self._editors.get(hooks)
        if found is None:
            shared = self.said.shared
            places = tuple(at for at, each in enumerate(shared) if matched.edits(each.speaker, hooks))
            personal = tuple(at for at in places if shared[at].context.own is not None)
            found = self._editors[hooks] = _Editors(places, personal)
        return found


def _routed(said: matched.Matched, before: Hearing | None) -> "list[_Routed]":
    """The routing policies that say anything, with what they were heard to say."""
    olds = {}
    if before is not None:
        olds = {id(found.to): known for _, found, known in before._routed if len(known) < LARGEST_TABLE}
    return [(router, found, olds.get(id(found.to), {})) for router, found in said.routers if found.policies]


def _says_the_same(voice: matched.Voice, other: matched.Voice) -> bool:
    """Whether two say the same of every destination; proxies that policies cannot tell apart share these objects."""
    return voice.found.to is other.found.to and voice.found.single is other.found.single


def _knows_routes(voice: matched.Voice) -> bool:
    """Whether what is said of a destination may differ from what is said of the route that is there without any rule."""
    targets = (getattr(each.spec, "target_ref", None) for each in voice.found.policies)
    return policy.overrides(voice.speaker, "conf_for_route") or any(
        each is not None and each.kind == "MeshHTTPRoute" for each in targets
    )


def origins(said: Spoken) -> tuple[res.ResourceRef, ...]:
    """The entries that the confs come from. Whether patches change anything is known only when they did: `patched`."""
    return tuple(
        who
        for each, conf in said
        if conf is not None and not policy.overrides(each.speaker, "patch")
        for who in conf.origins
    )
