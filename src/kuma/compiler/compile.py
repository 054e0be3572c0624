"""Picture and proxy in, resources out: the whole compile, in two halves.

What proxies share (outbounds) is a `Shape`, built once for all that list the same outbounds and patched when one of
its services changes. What is personal (inbounds, admin, identity) is an `Own`. `snapshot` puts both together.
"""

import weakref
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from kuma.compiler import admin, inbounds, outbounds, render, transparent
from kuma.discovery import resources as xds
from kuma.envoy import names, tls
from kuma.mesh import endpoints, view
from kuma.plan import nodes, proxy
from kuma.policy_engine import memo, policy
from kuma.resources import resource as res

Authors = tuple[res.ResourceRef, ...]
Sets = Mapping[str, Mapping[str, xds.Rendered]]


class Built:
    """A rendered node and who shaped it. Weakly cached: it lives while some shape holds it."""

    __slots__ = ("__weakref__", "authors", "rendered")

    def __init__(self, rendered: xds.Rendered, authors: Authors) -> None:
        self.rendered = rendered
        self.authors = authors


@dataclass(frozen=True, slots=True)
class Identity:
    """PEMs of one proxy in a mesh with mutual TLS: its chain and key, and the roots it trusts."""

    certificate: bytes
    key: bytes = field(repr=False)
    roots: bytes


@dataclass(frozen=True, slots=True)
class Own:
    """What is personal to one proxy. `secrets` are those of its certificate, kept while that stays."""

    sets: Sets
    authors: Mapping[tuple[str, str], Authors]
    secrets: tuple[Built, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """The outbounds of many proxies. `sets` maps stay the same objects while their content does."""

    wanted: tuple[nodes.OutboundFacts, ...]
    sets: Sets
    built: Mapping[tuple[str, str], Built] = field(default_factory=dict)
    services: frozenset[str] = frozenset()


class MissingIdentity(Exception):
    """The mesh demands mutual TLS and the proxy has no certificate yet; nothing may be sent in its place."""


def shape_key(picture: view.MeshView, subject: proxy.ProxyFacts) -> Hashable:
    """Equal for proxies that share a shape, whatever the mesh looks like at the moment."""
    networking = subject.spec.networking
    wanted = networking.outbound if networking else ()
    return (
        picture.name,
        subject.has(proxy.UNIFIED_NAMING),
        subject.has(proxy.BIND_OUTBOUNDS),
        subject.redirect.enabled,
        subject.ipv6,
        tuple((each.address, each.port, each.tags.get("kuma.io/service")) for each in wanted),
    )


def snapshot(own: Own, shape: Shape) -> xds.Snapshot:
    """Both halves as one proxy's snapshot."""
    kinds = own.sets.keys() | shape.sets.keys()
    none = xds.NO_MEMBERS
    return xds.Snapshot({kind: xds.ResourceSet(shape.sets.get(kind, none), own.sets.get(kind, none)) for kind in kinds})


class Compiler:
    """Compiles proxies; holds nothing but memos, so equal inputs give equal outputs whatever came before."""

    def __init__(self, policies: Sequence[policy.Policy]) -> None:
        self._policies = sorted(policies, key=lambda each: each.order)
        self._matches = memo.MatchMemo()
        self._nodes: weakref.WeakValueDictionary[Hashable, Built] = weakref.WeakValueDictionary()
        self._assignments: weakref.WeakValueDictionary[tuple[str, endpoints.Service], Built]
        self._assignments = weakref.WeakValueDictionary()

    @property
    def policy_kinds(self) -> frozenset[str]:
        """The kinds whose resources can change a proxy's configuration."""
        return frozenset(each.kind.name for each in self._policies)

    def own(
        self,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        identity: Identity | None,
        admin_certificate: admin.AdminCertificate | None,
    ) -> Own:
        """The personal half; MissingIdentity where mutual TLS is on and `identity` is absent."""
        if picture.backend is not None and identity is None:
            raise MissingIdentity(f"no certificate for {subject.resource.meta.name} in mesh {picture.name}")
        plan = nodes.ProxyPlan(subject)
        context = policy.Context(picture.name, mtls=picture.backend is not None)
        for inbound in inbounds.facts(subject):
            node = inbounds.node(picture, subject, inbound)
            for each in self._policies:
                match = self._matches.match(each, picture.of_kind(each.kind.name), subject, inbound)
                each.inbound(match, node, context)
            plan.inbounds.append(node)
        for made, behind in (
            admin.admin_nodes(subject, admin_certificate),
            transparent.passthrough_nodes(picture, subject),
        ):
            plan.listeners += made
            plan.clusters += behind
        return _rendered(plan, self._secrets(picture, subject, identity))

    def _secrets(
        self, picture: view.MeshView, subject: proxy.ProxyFacts, identity: Identity | None
    ) -> tuple[Built, ...]:
        """Certificate and roots. The roots of a mesh are one object for all its proxies."""
        if identity is None or picture.backend is None:
            return ()
        unified = inbounds.is_unified(picture, subject)
        author = (res.ref_to(picture.resource),)
        at_own = ("identity", picture.name, unified, identity)
        own = self._nodes.get(at_own)
        if own is None:
            name = names.identity_secret(picture.name, unified)
            own = Built(render.secret(tls.identity_secret(name, identity.certificate, identity.key)), author)
            self._nodes[at_own] = own
        at_roots = ("roots", picture.name, unified, identity.roots)
        roots = self._nodes.get(at_roots)
        if roots is None:
            roots = Built(render.secret(tls.ca_secret(names.ca_secret(picture.name, unified), identity.roots)), author)
            self._nodes[at_roots] = roots
        return own, roots

    def shape(self, picture: view.MeshView, subject: proxy.ProxyFacts, before: Shape | None = None) -> Shape:
        """The shared half for `subject` and all proxies of its shape; maps of `before` are kept where they are equal."""
        wanted = outbounds.facts(picture, subject)
        built: dict[tuple[str, str], Built] = {}
        for outbound in wanted:
            for made in (*self._outbound(picture, outbound), self._assignment(picture, outbound)):
                built[made.rendered.type_url, made.rendered.name] = made
        sets: dict[str, dict[str, xds.Rendered]] = {}
        for (kind, name), made in built.items():
            sets.setdefault(kind, {})[name] = made.rendered
        old = before.sets if before is not None else {}
        kept = {kind: old[kind] if kind in old and _is_same(old[kind], new) else new for kind, new in sets.items()}
        return Shape(wanted, kept, built, frozenset(each.service for each in wanted))

    def _outbound(self, picture: view.MeshView, outbound: nodes.OutboundFacts) -> tuple[Built, Built]:
        at_listener = ("listener", picture.name, outbound)
        at_cluster = ("cluster", outbound.mesh, outbound.service, outbound.protocol, outbound.tls, outbound.unified)
        listener, cluster = self._nodes.get(at_listener), self._nodes.get(at_cluster)
        if listener is None or cluster is None:
            node = outbounds.node(picture, outbound)
            if listener is None:
                listener = Built(render.listener(node.listener), tuple(node.listener.authors))
                self._nodes[at_listener] = listener
            if cluster is None:
                cluster = Built(render.cluster(node.cluster), tuple(node.cluster.authors))
                self._nodes[at_cluster] = cluster
        return listener, cluster

    def _assignment(self, picture: view.MeshView, outbound: nodes.OutboundFacts) -> Built:
        service = picture.endpoints.of(outbound.service)
        found = self._assignments.get((picture.name, service))
        if found is None:
            message = outbounds.load_assignment(outbound.service, service.endpoints)
            found = Built(render.assignment(message), ())
            self._assignments[picture.name, service] = found
        return found


def _is_same(old: Mapping[str, xds.Rendered], new: Mapping[str, xds.Rendered]) -> bool:
    return len(old) == len(new) and all(old.get(name) is each for name, each in new.items())


def _rendered(plan: nodes.ProxyPlan, secrets: tuple[Built, ...]) -> Own:
    sets: dict[str, dict[str, xds.Rendered]] = {}
    authors: dict[tuple[str, str], Authors] = {}

    def put(rendered: xds.Rendered, who: Authors) -> None:
        sets.setdefault(rendered.type_url, {})[rendered.name] = rendered
        authors[rendered.type_url, rendered.name] = who

    for inbound in plan.inbounds:
        put(render.listener(inbound.listener), tuple(inbound.listener.authors))
        put(render.cluster(inbound.cluster), tuple(inbound.cluster.authors))
    for listener in plan.listeners:
        put(render.listener(listener), tuple(listener.authors))
    for cluster in plan.clusters:
        put(render.cluster(cluster), tuple(cluster.authors))
    for secret in secrets:
        put(secret.rendered, secret.authors)
    return Own(sets, authors, secrets)
