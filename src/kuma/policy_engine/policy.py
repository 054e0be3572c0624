"""What a policy is to the engine: a kind, a place in the order, and hooks for the nodes it cares about.

The engine finds the confs that apply to a node and hands them over with the node; a hook edits the node's Envoy
messages in place and never searches. Every hook does nothing unless a policy overrides it. A hook is called for every
node of its sort, with None where no conf applies: some policies have defaults.

Nodes of outbounds, routes, clusters and endpoints are shared by all proxies for which the same confs apply. A policy
that writes something of the proxy itself into them says what in `personal` and finds it in `Context.own`.
"""

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kuma.base import kri
from kuma.envoy import api
from kuma.plan import nodes, proxy
from kuma.policy_engine import collectors as telemetry
from kuma.policy_engine import modifications
from kuma.policy_engine.matching import matcher, matching, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import kind as kinds
from kuma.resources import resource as res


@dataclass(frozen=True, slots=True)
class Context:
    """The few facts of mesh and proxy that translations need.

    `mtls`: the proxy speaks mutual TLS. `identified`: its identity comes from a MeshIdentity, so that clients are known by
    SPIFFE ID and not by tags. `zone` is where the proxy lives, `egress`: whatever leaves the zone goes through its egress;
    `own`: what the policy's `personal` returned. `collectors` are the mesh's MeshOpenTelemetryBackends, the oldest first.
    """

    mesh: str
    mtls: bool
    zone: str = ""
    unified: bool = False
    ipv6: bool = True
    transparent: bool = False
    egress: bool = False
    identified: bool = False
    collectors: tuple[telemetry.Collector, ...] = ()
    own: Hashable = None
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = (self.mesh, self.zone, self.mtls, self.unified, self.transparent, self.identified, self.own)
        object.__setattr__(self, "_hash", hash(known))

    def __hash__(self) -> int:
        """Kept: every shared node is looked for by the context of those who edit it."""
        return self._hash


Conf = rules.Merged[Any] | None
"""The conf of one policy for one node, with the policies that it comes from."""


class Policy:
    """One kind of policy. `order` decides which policy edits first; it can be seen in the result, so it is explicit."""

    kind: kinds.Kind[Any]
    order: int
    origin: str = ""
    """The origin of what it adds, as patches may name it."""
    at_egress: tuple[str, ...] = ()
    """The hooks at which a zone egress hears of it: `inbound` about ExternalServices, the others about
    MeshExternalServices."""

    hears_egress_as_outbound: bool = False
    """At a proxy that is the egress of its mesh, inbound rules about a destination edit what leads there."""

    def match(
        self,
        memory: matcher.Matcher,
        policies: tuple[res.Resource[Any], ...],
        subject: proxy.ProxyFacts,
        around: surroundings.Surroundings,
        with_shadow: bool = False,
    ) -> rules.ProxyRules:
        """What `policies`, all of this kind in the proxy's mesh, say of one proxy."""
        return memory.match(self.kind, policies, subject, around, with_shadow)

    def said_of_outside(self, policies: tuple[res.Resource[Any], ...], tags: Mapping[str, str]) -> rules.InboundRules:
        """What `policies` say at a zone egress of the clients of an ExternalService with these tags."""
        return matching.match_external_service(self.kind, policies, tags)

    def conf_for(self, found: rules.ProxyRules, destination: nodes.ClusterFacts) -> Conf:
        """The conf for a destination: of `to[]`, or the one that the whole proxy has."""
        if found.single is not None:
            return found.single
        if destination.target is not None:
            return found.to.of(destination.target)
        return found.to.of_service(destination.service, dict(destination.tags))

    def conf_for_route(
        self, found: rules.ProxyRules, destination: nodes.ClusterFacts, matches: str, rule: kri.Kri | None
    ) -> Conf:
        """The conf for one route of an outbound to `destination`."""
        if found.single is not None:
            return found.single
        if destination.target is not None:
            return found.to.of_route(rule, destination.target)
        return found.to.of_service(destination.service, dict(destination.tags), matches)

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """What of the proxy itself goes into nodes; proxies of another value share none that a conf applies to."""
        return None

    def takes_plaintext(self, found: rules.InboundRules, otherwise: bool) -> bool:
        """Whether an inbound takes plaintext beside mutual TLS; asked before it is built, `otherwise` is the mesh's way."""
        return otherwise

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: Context) -> None:
        """Edits an inbound."""

    def outbound(self, conf: Conf, node: nodes.OutboundNode, context: Context) -> None:
        """Edits the listener of an outbound; its routes are edited one by one."""

    def route(self, conf: Conf, node: nodes.RouteNode, outbound: nodes.OutboundFacts, context: Context) -> None:
        """Edits one route of an outbound."""

    def cluster(self, conf: Conf, node: nodes.DestinationNode, context: Context) -> None:
        """Edits the cluster of a destination."""

    def endpoints(self, conf: Conf, node: nodes.EndpointsNode, context: Context) -> None:
        """Edits the endpoints of a destination."""

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: Context) -> None:
        """Edits, or adds to, what is personal to a proxy; its inbounds have been edited already."""

    def patch(self, conf: Conf, kind: str, message: api.Message, origin: str) -> modifications.Modified:
        """The last word on one Envoy resource of a type: a changed copy or `message` itself, nothing to remove it."""
        return modifications.Modified(message)

    def changes(self, resource: res.Resource[Any]) -> tuple[modifications.Modification, ...]:
        """What one resource of this kind would do at `patch`, in its order."""
        return ()


class LegacyPolicy(Policy):
    """A policy whose selectors say everything: what else is around a proxy does not matter, and there are no shadows."""

    def match(
        self,
        memory: matcher.Matcher,
        policies: tuple[res.Resource[Any], ...],
        subject: proxy.ProxyFacts,
        around: surroundings.Surroundings,
        with_shadow: bool = False,
    ) -> rules.ProxyRules:
        """As `select`."""
        return self.select(policies, subject)

    def select(self, policies: tuple[res.Resource[Any], ...], subject: proxy.ProxyFacts) -> rules.ProxyRules:
        """What `policies`, all of this kind in the proxy's mesh, say of one proxy."""
        return rules.ProxyRules(self.kind.name, (), rules.NO_DESTINATIONS)


@functools.cache
def overrides(policy: Policy, hook: str) -> bool:
    """Whether a policy does anything at a hook."""
    return getattr(type(policy), hook) is not getattr(Policy, hook)
