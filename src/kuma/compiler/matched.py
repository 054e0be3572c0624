"""What all policies say of one proxy, and the contexts in which they say it.

Proxies that policies cannot tell apart hold the same rules, so that `shared_key` is equal for them and their outbounds
are built once.
"""

import functools
import operator
from collections.abc import Collection, Container, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kuma.compiler import credentials
from kuma.envoy import api
from kuma.mesh import destinations, view
from kuma.plan import proxy
from kuma.policy_engine import collectors, modifications, policy, routing
from kuma.policy_engine.matching import matcher, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res

TOLD_TAGS = ("FaultInjection", "RateLimit", "MeshFaultInjection")
"""Kinds for which servers are told the tags of their clients; wherever in the mesh one of them is."""
LARGEST_TABLE = 1024
"""Contexts that are kept; there are as many as meshes and sorts of proxies."""
SHARED_HOOKS = ("outbound", "route", "cluster", "endpoints", "patch")
"""Hooks whose nodes proxies share."""
INBOUND_HOOKS = ("inbound", "takes_plaintext")
"""Hooks that are told of the inbounds of a proxy, and of nothing else."""
WHOLE_HOOKS = ("proxy", "patch")
"""Hooks that may look at all that is said of a proxy, and edit what is its own."""


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

    def is_same(self, other: "Voice") -> bool:
        """Whether the same policies speak, in an equal context."""
        mine, its = self.found.policies, other.found.policies
        return (
            self.context == other.context
            and len(mine) == len(its)
            and all(a is b for a, b in zip(mine, its, strict=True))
        )

    def is_same_of_own(self, other: "Voice") -> bool:
        """Whether the same is said of what is the proxy's own, whatever is said of the destinations that it calls."""
        if self.found is other.found and self.context is other.context:
            return True
        if edits(self.speaker, WHOLE_HOOKS):
            return self.is_same(other)
        if not edits(self.speaker, INBOUND_HOOKS):
            return True
        return (
            self.context == other.context
            and bool(self.found.policies) == bool(other.found.policies)
            and self.found.inbounds == other.found.inbounds
        )


@dataclass(frozen=True, slots=True)
class Matched:
    """All kinds in the order of their edits; `shared` are those that edit outbounds, `routers` say where these lead.

    `context` is what all voices know of the proxy, beside their own. With an equal `shared_key` the shared voices say the
    same in equal contexts. That key compares resources by identity: it is good for as long as this object lives.
    `source_tags` is the header with the proxy's tags, where servers are told them. `is_zone_proxy`: it is an ingress or
    an egress of its mesh.
    """

    voices: tuple[Voice, ...]
    shared: tuple[Voice, ...]
    routers: tuple[tuple[routing.Router, rules.ProxyRules], ...]
    context: policy.Context
    shared_key: Hashable
    around: surroundings.Surroundings
    source_tags: str = ""
    is_zone_proxy: bool = False

    def is_same_of_own(self, other: "Matched") -> bool:
        """Whether the half of the configuration that is the proxy's own is told the same.

        To an ingress or egress of its mesh, what is said of destinations is about its own half.
        """
        if self.is_zone_proxy:
            return all(mine.is_same(its) for mine, its in zip(self.voices, other.voices, strict=True))
        return all(mine.is_same_of_own(its) for mine, its in zip(self.voices, other.voices, strict=True))

    def editing(self, hook: str) -> Iterator[Voice]:
        """Those who do something at a hook, in the order of their edits."""
        return (each for each in self.voices if policy.overrides(each.speaker, hook))


class Matcher:
    """Asks every policy about a proxy; what was found for proxies alike is kept."""

    def __init__(self, policies: Sequence[policy.Policy], with_shadow: bool = False) -> None:
        """`with_shadow`: shadow policies speak, too, as if they were in force."""
        self._policies = tuple(policies)
        self._with_shadow = with_shadow
        self._matcher = matcher.Matcher()
        self._contexts: dict[policy.Context, policy.Context] = {}
        self._silent: dict[str, Voice] = {}
        self._silent_in: policy.Context | None = None
        self._around: dict[str, tuple[tuple[Any, ...], surroundings.Surroundings]] = {}

    def match(self, picture: view.MeshView, subject: proxy.ProxyFacts, context: policy.Context) -> Matched:
        """What all policies of its mesh say of a proxy."""
        if len(self._contexts) >= LARGEST_TABLE:
            self._contexts.clear()
        context = self._contexts.setdefault(context, context)  # equal ones are the same: nodes are looked for by them
        around = self.surroundings(picture)
        voices = tuple(self._voice(each, picture, subject, around, context) for each in self._policies)
        return self._matched(picture, subject, voices, context, around)

    def again(
        self, picture: view.MeshView, subject: proxy.ProxyFacts, before: Matched, changed: Collection[str]
    ) -> Matched:
        """As `match`, after nothing but policies of the kinds `changed` did; `before` itself where that says the same."""
        around = self.surroundings(picture)
        if around is not before.around:
            return self.match(picture, subject, before.context)
        voices = list(before.voices)
        for at, each in enumerate(before.voices):
            if each.speaker.kind.name in changed:
                heard = self._voice(each.speaker, picture, subject, around, before.context)
                voices[at] = each if each.is_same(heard) else heard
        if self._told(picture, subject) == before.source_tags and all(map(operator.is_, voices, before.voices)):
            return before
        return self._matched(picture, subject, tuple(voices), before.context, around)

    def forget_all_but(self, meshes: Container[str]) -> None:
        """Lets go of what was found in meshes that are gone."""
        self._around = {name: around for name, around in self._around.items() if name in meshes}
        self._matcher.forget_all_but(meshes)

    def _voice(
        self,
        speaker: policy.Policy,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        around: surroundings.Surroundings,
        context: policy.Context,
    ) -> Voice:
        policies = picture.of_kind(speaker.kind.name)
        if not policies and not policy.overrides(speaker, "match"):
            return self._silent_voice(speaker, context)
        found = speaker.match(self._matcher, policies, subject, around, self._with_shadow)
        own = speaker.personal(found, subject) if found.policies else None
        return Voice(speaker, found, context if own is None else replace(context, own=own))

    def _silent_voice(self, speaker: policy.Policy, context: policy.Context) -> Voice:
        """That of a kind without policies: one object for all proxies, as long as they are asked about in equal contexts."""
        if self._silent_in is not context:
            if self._silent_in != context:
                self._silent.clear()
            self._silent_in = context
        found = self._silent.get(speaker.kind.name)
        if found is None:
            nothing = rules.ProxyRules(speaker.kind.name, (), rules.NO_DESTINATIONS)
            found = self._silent[speaker.kind.name] = Voice(speaker, nothing, context)
        return found

    def _matched(
        self,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        voices: tuple[Voice, ...],
        context: policy.Context,
        around: surroundings.Surroundings,
    ) -> Matched:
        shared = tuple(voice for voice in voices if edits(voice.speaker, SHARED_HOOKS))
        routers = tuple((each.speaker, each.found) for each in voices if isinstance(each.speaker, routing.Router))
        contexts = (context, *(each.context.own for each in shared))
        heard = (*(found for _, found in routers), *(each.found for each in shared))
        said = tuple(tuple(map(id, each.policies)) for each in heard)
        told = self._told(picture, subject)
        key = (contexts, id(around), said, told)
        networking = subject.spec.networking
        is_zone_proxy = networking is not None and bool(networking.listeners)
        return Matched(voices, shared, routers, context, key, around, told, is_zone_proxy)

    @staticmethod
    def _told(picture: view.MeshView, subject: proxy.ProxyFacts) -> str:
        return subject.tags_header if any(picture.of_kind(kind) for kind in TOLD_TAGS) else ""

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
        egress=picture.routing.through is not None,
        collectors=collectors.known(picture.of_kind("MeshOpenTelemetryBackend")),
    )


@functools.cache
def edits(speaker: policy.Policy, hooks: tuple[str, ...]) -> bool:
    """Whether a policy does anything at one of some hooks."""
    return any(policy.overrides(speaker, hook) for hook in hooks)


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
