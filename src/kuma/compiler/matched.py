"""What all policies say of one proxy, and the contexts in which they say it.

Proxies that policies cannot tell apart hold the same rules, so that `shared_key` is equal for them and their outbounds
are built once.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kuma.compiler import credentials
from kuma.envoy import api
from kuma.mesh import destinations, view
from kuma.plan import nodes, proxy
from kuma.policy_engine import collectors, matcher, modifications, policy, routing, rules, surroundings
from kuma.resources import resource as res

TOLD_TAGS = ("FaultInjection", "RateLimit", "MeshFaultInjection")
"""Kinds for which servers are told the tags of their clients; wherever in the mesh one of them is."""
SHARED_HOOKS = ("outbound", "route", "cluster", "endpoints", "patch")
"""Hooks whose nodes proxies share."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One policy kind, what its resources say of a proxy, and the context to say it in."""

    speaker: policy.Policy
    found: rules.ProxyRules
    context: policy.Context

    @property
    def has_to(self) -> bool:
        """Whether it speaks of each destination by itself."""
        traits = self.speaker.kind.policy
        return traits is not None and traits.has_to


@dataclass(frozen=True, slots=True)
class Matched:
    """All kinds in the order of their edits; `shared` are those that edit outbounds, `routers` say where these lead.

    `context` is what all voices know of the proxy, beside their own. With an equal `shared_key` the shared voices say the
    same in equal contexts. That key compares resources by identity: it is good for as long as this object lives.
    `source_tags` is the header with the proxy's tags, where servers are told them.
    """

    voices: tuple[Voice, ...]
    shared: tuple[Voice, ...]
    routers: tuple[tuple[routing.Router, rules.ProxyRules], ...]
    context: policy.Context
    shared_key: Hashable
    around: surroundings.Surroundings
    source_tags: str = ""

    def is_same(self, other: "Matched") -> bool:
        """Whether the same policies speak, in equal contexts."""
        if self.around is not other.around or self.source_tags != other.source_tags:
            return False
        return all(
            mine.context == its.context
            and len(mine.found.policies) == len(its.found.policies)
            and all(a is b for a, b in zip(mine.found.policies, its.found.policies, strict=True))
            for mine, its in zip(self.voices, other.voices, strict=True)
        )

    def of_kind(self, kind: str) -> rules.ProxyRules | None:
        """The rules of one kind; None where no such policy shapes proxies."""
        return next((each.found for each in self.voices if each.speaker.kind.name == kind), None)


class Matcher:
    """Asks every policy about a proxy; what was found for proxies alike is kept."""

    def __init__(self, policies: Sequence[policy.Policy], with_shadow: bool = False) -> None:
        """`with_shadow`: shadow policies speak, too, as if they were in force."""
        self._policies = tuple(policies)
        self._with_shadow = with_shadow
        self._has_shared = {id(each): any(policy.overrides(each, hook) for hook in SHARED_HOOKS) for each in policies}
        self._matcher = matcher.Matcher()
        self._around: dict[str, tuple[tuple[Any, ...], surroundings.Surroundings]] = {}

    def match(self, picture: view.MeshView, subject: proxy.ProxyFacts, context: policy.Context) -> Matched:
        """What all policies of its mesh say of a proxy."""
        around = self.surroundings(picture)
        voices = []
        for each in self._policies:
            policies = picture.of_kind(each.kind.name)
            found = each.match(self._matcher, policies, subject, around, self._with_shadow)
            own = each.personal(found, subject) if found.policies else None
            voices.append(Voice(each, found, context if own is None else replace(context, own=own)))
        shared = tuple(voice for voice in voices if self._has_shared[id(voice.speaker)])
        routers = tuple((each.speaker, each.found) for each in voices if isinstance(each.speaker, routing.Router))
        contexts = (context, *(each.context.own for each in shared))
        heard = (*(found for _, found in routers), *(each.found for each in shared))
        said = tuple(tuple(map(id, each.policies)) for each in heard)
        told = subject.tags_header if any(picture.of_kind(kind) for kind in TOLD_TAGS) else ""
        return Matched(tuple(voices), shared, routers, context, (contexts, id(around), said, told), around, told)

    def surroundings(self, picture: view.MeshView) -> surroundings.Surroundings:
        """What targetRefs may lead over in this mesh; the same object while none of it changes."""
        routes, gateways = picture.of_kind("MeshHTTPRoute"), picture.of_kind("MeshGateway")
        services, external, multizone = (picture.destinations.resources(kind) for kind in destinations.KINDS)
        parts = (routes, gateways, services, external, multizone, picture.resource)
        held = self._around.get(picture.name)
        if held is None or any(a is not b for a, b in zip(held[0], parts, strict=True)):
            held = self._around[picture.name] = (parts, surroundings.Surroundings(*parts))
        return held[1]


def context_of(picture: view.MeshView, subject: proxy.ProxyFacts, *, unified: bool) -> policy.Context:
    """The facts of mesh and proxy that policies may look at."""
    held = credentials.held(picture, subject, unified=unified)
    return policy.Context(
        mesh=picture.name,
        mtls=held.shown is not None,
        identified=held.of_identity is not None,
        zone=subject.zone,
        unified=unified,
        ipv6=subject.ipv6,
        transparent=subject.redirect.enabled,
        permissive=picture.is_permissive,
        egress=picture.routing.through is not None,
        collectors=collectors.known(picture.of_kind("MeshOpenTelemetryBackend")),
    )


Spoken = tuple[tuple[Voice, policy.Conf], ...]
"""Those who have a word on a node, in the order of their edits, each with the conf that applies."""


class Hearing:
    """What is said to the proxies of one shape; each kind is asked once for a destination, whatever leads there."""

    def __init__(self, said: Matched) -> None:
        self.said = said
        self._confs: dict[nodes.ClusterFacts, tuple[policy.Conf, ...]] = {}
        self._editors: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._loud = [(at, each) for at, each in enumerate(said.shared) if each.found.policies]
        self._knows_routes = any(_knows_routes(each) for _, each in self._loud)

    def spoken(self, destination: nodes.ClusterFacts, *hooks: str) -> Spoken:
        """Those of `Matched.shared` who edit nodes at one of some hooks, with the conf of each for a destination."""
        confs, shared = self._confs_for(destination), self.said.shared
        return tuple((shared[at], confs[at]) for at in self._editing(hooks))

    def spoken_of_route(self, destination: nodes.ClusterFacts, route: nodes.RouteFacts) -> Spoken:
        """As `spoken`, of one route of an outbound to `destination`."""
        if route.rule is None and not self._knows_routes:
            return self.spoken(destination, "route")
        return tuple(
            (each, each.speaker.conf_for_route(each.found, destination, route.matches, route.rule))
            if each.found.policies
            else (each, None)
            for each in (self.said.shared[at] for at in self._editing(("route",)))
        )

    def _confs_for(self, destination: nodes.ClusterFacts) -> tuple[policy.Conf, ...]:
        found = self._confs.get(destination)
        if found is None:
            made: list[policy.Conf] = [None] * len(self.said.shared)
            for at, voice in self._loud:
                made[at] = voice.speaker.conf_for(voice.found, destination)
            found = self._confs[destination] = tuple(made)
        return found

    def _editing(self, hooks: tuple[str, ...]) -> tuple[int, ...]:
        """The places in `Matched.shared` of those who do something at one of some hooks."""
        found = self._editors.get(hooks)
        if found is None:
            found = self._editors[hooks] = tuple(
                at
                for at, each in enumerate(self.said.shared)
                if any(policy.overrides(each.speaker, hook) for hook in hooks)
            )
        return found


def _knows_routes(voice: Voice) -> bool:
    """Whether what is said of a destination may differ from what is said of the route that is there without any rule."""
    targets = (getattr(each.spec, "target_ref", None) for each in voice.found.policies)
    return policy.overrides(voice.speaker, "conf_for_route") or any(
        each is not None and each.kind == "MeshHTTPRoute" for each in targets
    )


def key_of(said: Spoken) -> Hashable:
    """Equal where the same is said, with the same of the proxy itself in it.

    Who speaks by `to` and says nothing of a destination writes nothing of the proxy there either.
    """
    return tuple((conf, each.context.own if conf is not None or not each.has_to else None) for each, conf in said)


def origins(said: Spoken) -> tuple[res.ResourceRef, ...]:
    """The entries that the confs come from. Whether patches change anything is known only when they did: `patched`."""
    return tuple(
        who
        for each, conf in said
        if conf is not None and not policy.overrides(each.speaker, "patch")
        for who in conf.origins
    )


def patched(matched: Matched, type_url: str, message: api.Message, origin: str) -> modifications.Modified:
    """A message after the policies that have the last word on whole resources."""
    problems: list[str] = []
    authors: list[res.ResourceRef] = []
    for each in matched.shared:
        if each.found.single is not None and policy.overrides(each.speaker, "patch"):
            made = each.speaker.patch(each.found.single, type_url, message, origin)
            problems += made.problems
            if made.message is None:
                return modifications.Modified(None, tuple(problems))
            if made.message is not message:
                message = made.message
                authors += each.found.single.origins
    return modifications.Modified(message, tuple(problems), tuple(authors))
