"""Picture and proxy in, resources out: the whole compile, in two halves.

What proxies share (outbounds) is a `shapes.Shape`, built once for all that list the same outbounds and patched when one of
its services changes. What is personal (inbounds, admin, identity) is an `Own`. `snapshot` puts both together.
"""

import functools
from collections.abc import Callable, Collection, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kuma.base import kri
from kuma.compiler import (
    admin,
    credentials,
    destinations,
    direct_access,
    dns,
    dynamic_config,
    inbounds,
    matched,
    outbounds,
    probes,
    prometheus,
    render,
    shapes,
    transparent,
    zone_listeners,
)
from kuma.compiler import shared as sharing
from kuma.discovery import resources as xds
from kuma.envoy import api, names, tls
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy
from kuma.resources import resource as res

Authors = tuple[res.ResourceRef, ...]
Sets = Mapping[str, Mapping[str, xds.Rendered]]

SPIRE_SOCKET = "/tmp/spire-agent/public/api.sock"
"""Where a SPIRE agent listens unless it is told otherwise (SPIRE's documentation, "socket_path")."""


@dataclass(frozen=True, slots=True)
class Identity:
    """PEMs of one proxy in a mesh with mutual TLS: its chain and key, and the roots of who signed it."""

    certificate: bytes
    key: bytes = field(repr=False)
    roots: bytes


@dataclass(frozen=True, slots=True)
class Issued:
    """What a proxy got from the CA of its mesh, and because of its MeshIdentity; None where it has no such thing."""

    by_mesh: Identity | None = None
    by_identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What is personal to one proxy. `secrets` are those of its certificate, kept while that stays.

    `problems`: what policies ask for and could not be done. `documents` are those for the proxy's agent, by name.
    """

    sets: Sets
    authors: Mapping[tuple[str, str], Authors]
    secrets: tuple[sharing.Built, ...] = ()
    problems: tuple[str, ...] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Basis:
    """What both halves of a configuration have to agree about: the Mesh, and who proves to be whom."""

    mesh: res.Resource[Any]
    held: credentials.Held

    def is_same(self, other: "Basis | None") -> bool:
        """Whether halves with these two fit together."""
        return other is not None and self.mesh is other.mesh and self.held == other.held


class MissingIdentity(Exception):
    """The proxy has to prove who it is and has no certificate yet; nothing may be sent in its place."""


class _Same:
    """One object, not its likes: proxies that list the same outbounds share the list, and comparing it would be long."""

    __slots__ = ("it",)

    def __init__(self, it: object) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


def shape_key(picture: view.MeshView, subject: proxy.ProxyFacts, said: matched.Matched) -> Hashable:
    """Equal for proxies that share a shape, whatever the mesh looks like at the moment."""
    return (
        picture.name,
        subject.has(proxy.UNIFIED_NAMING),
        subject.has(proxy.BIND_OUTBOUNDS),
        _is_ipv6(subject),
        subject.knows_kafka,
        _Same(outbounds.listed(picture, subject)),
        said.shared_key,
        credentials.held(picture, subject, unified=inbounds.is_unified(picture, subject)),
    )


def _is_ipv6(subject: proxy.ProxyFacts) -> bool:
    networking = subject.spec.networking
    return networking is not None and ":" in networking.address


def snapshot(own: Own, shape: shapes.Shape) -> xds.Snapshot:
    """Both halves as one proxy's snapshot."""
    kinds = own.sets.keys() | shape.sets.keys()
    none = xds.NO_MEMBERS
    return xds.Snapshot({kind: xds.ResourceSet(shape.sets.get(kind, none), own.sets.get(kind, none)) for kind in kinds})


class Compiler:
    """Compiles proxies; holds nothing but memos, so equal inputs give equal outputs whatever came before."""

    def __init__(
        self, policies: Sequence[policy.Policy], with_shadow: bool = False, spire_socket: str = SPIRE_SOCKET
    ) -> None:
        """`with_shadow`: shadow policies take part, for those who want to see what they would do.

        `spire_socket` is where SPIRE agents listen, beside proxies whose agent does not say.
        """
        self._spire_socket = spire_socket
        self._policies = sorted(policies, key=lambda each: each.order)
        self._matcher = matched.Matcher(self._policies, with_shadow)
        self._shared = sharing.SharedNodes()
        self._shapes = shapes.Shapes(self._shared)
        self._clients: dict[str, tuple[view.MeshView, dict[Hashable, destinations.Clients]]] = {}

    @property
    def policy_kinds(self) -> frozenset[str]:
        """The kinds whose resources can change a proxy's configuration."""
        return frozenset(each.kind.name for each in self._policies)

    @property
    def nodes_built(self) -> int:
        """How many shared nodes were made so far: a change should make those it concerns, and no other."""
        return self._shared.built

    def held(self, picture: view.MeshView, subject: proxy.ProxyFacts) -> credentials.Held:
        """What a proxy shows to its peers and whom it trusts, in both halves."""
        return credentials.held(picture, subject, unified=inbounds.is_unified(picture, subject))

    def basis(self, picture: view.MeshView, subject: proxy.ProxyFacts) -> Basis:
        """What both halves are made for."""
        return Basis(picture.resource, self.held(picture, subject))

    def match(self, picture: view.MeshView, subject: proxy.ProxyFacts) -> matched.Matched:
        """What all policies say of a proxy."""
        unified = inbounds.is_unified(picture, subject)
        return self._matcher.match(picture, subject, matched.context_of(picture, subject, unified=unified))

    def match_again(
        self, picture: view.MeshView, subject: proxy.ProxyFacts, before: matched.Matched, changed: Collection[str]
    ) -> matched.Matched:
        """As `match`, after nothing but policies of the kinds `changed` did; `before` itself where that says the same."""
        return self._matcher.again(picture, subject, before, changed)

    def forget_all_but(self, meshes: Container[str]) -> None:
        """Lets go of what is remembered of meshes that are gone."""
        self._clients = {name: known for name, known in self._clients.items() if name in meshes}
        self._matcher.forget_all_but(meshes)
        self._shapes.forget_all_but(meshes)

    def own(
        self,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        said: matched.Matched,
        issued: Issued,
        admin_certificate: admin.AdminCertificate | None,
    ) -> Own:
        """The personal half; MissingIdentity where the proxy has to prove who it is and `issued` lacks the means."""
        held = self.held(picture, subject)
        secrets = self._secrets(picture, subject, held, issued)
        plan = nodes.ProxyPlan(subject)
        strict = False
        for facts in inbounds.facts(subject):
            plaintext = _takes_plaintext(picture, said, facts, held)
            strict = strict or not plaintext
            node = inbounds.node(picture, subject, facts, plaintext=plaintext)
            for voice in said.editing("inbound"):
                found = voice.found.inbound(facts.address, facts.port)
                voice.speaker.inbound(found, node, voice.context)
            plan.inbounds.append(node)
        zone_listeners.add_listeners(plan, picture, said, held)
        for made, behind in (
            admin.admin_nodes(subject, admin_certificate),
            prometheus.prometheus_nodes(picture, subject),
            transparent.passthrough_nodes(picture, subject, strict=strict),
            direct_access.direct_nodes(picture, subject),
        ):
            plan.listeners += made
            plan.clusters += behind
        plan.listeners += probes.probe_listeners(picture, subject)
        if held.chosen is not None and held.is_external:
            plan.clusters.append(credentials.spire_agent(held.chosen, subject.spire_socket or self._spire_socket))
        if subject.redirect.enabled:
            dns.add_names(plan, outbounds.listed(picture, subject), unified=inbounds.is_unified(picture, subject))
        for voice in said.editing("proxy"):
            voice.speaker.proxy(voice.found, plan, voice.context)
        told = dynamic_config.listener(
            plan.documents, subject.workdir, unified=inbounds.is_unified(picture, subject), ipv6=subject.ipv6
        )
        if told is not None:
            plan.listeners.append(told)
        return _rendered(plan, said, secrets)

    def _secrets(
        self, picture: view.MeshView, subject: proxy.ProxyFacts, held: credentials.Held, issued: Issued
    ) -> tuple[sharing.Built, ...]:
        """Certificates and roots. The roots of a mesh are one object for all its proxies."""
        own = held.of_identity
        lacks_own = own is not None and not (own.identity if held.is_external else issued.by_identity)
        if lacks_own or (held.of_mesh is not None and issued.by_mesh is None):
            raise MissingIdentity(f"no certificate for {subject.resource.meta.name} in mesh {picture.name}")
        author = res.ref_to(picture.resource)
        found: list[sharing.Built] = []
        by_mesh = issued.by_mesh if held.of_mesh is not None else None
        by_identity = issued.by_identity
        if held.of_mesh is not None and by_mesh is not None:
            pair = functools.partial(tls.identity_secret, certificate=by_mesh.certificate, key=by_mesh.key)
            found.append(self._secret(held.of_mesh.identity, by_mesh, pair, (author,)))
            if held.of_mesh.roots != names.TRUST_BUNDLE:
                roots = functools.partial(tls.ca_secret, roots=by_mesh.roots)
                found.append(self._secret(held.of_mesh.roots, by_mesh.roots, roots, (author,)))
        if held.of_identity is not None and held.chosen is not None and by_identity is not None:
            pair = functools.partial(tls.identity_secret, certificate=by_identity.certificate, key=by_identity.key)
            chosen = (res.ref_to(held.chosen.resource),)
            found.append(self._secret(held.of_identity.identity, by_identity, pair, chosen))
        if held.trusts_bundle:
            trusts, who = picture.trusts, tuple(res.ref_to(each) for each in picture.of_kind("MeshTrust"))
            if by_mesh is not None:
                trusts, who = trusts.with_roots(picture.name, by_mesh.roots.decode()), (author, *who)
            bundle = functools.partial(tls.trust_secret, domains=trusts.domains)
            found.append(self._secret(names.TRUST_BUNDLE, trusts, bundle, who))
        return tuple(found)

    def _secret(self, name: str, key: Hashable, build: Callable[[str], api.Message], authors: Authors) -> sharing.Built:
        """The secret of a name with what `key` stands for; built only where it is not there yet."""
        known = ("secret", name, key)
        made = self._shared.get(known)
        return made or self._shared.keep(known, sharing.Built(render.rendered(xds.SECRET, build(name)), authors))

    def shape(
        self,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        said: matched.Matched,
        before: shapes.Shape | None = None,
    ) -> shapes.Shape:
        """The shared half for `subject` and all proxies of its shape; maps of `before` are kept where they are equal."""
        clients = self._clients_of(picture, subject)
        return self._shapes.build(picture, clients, outbounds.facts(subject, clients, said.source_tags), said, before)

    def with_endpoints(
        self,
        picture: view.MeshView,
        subject: proxy.ProxyFacts,
        shape: shapes.Shape,
        services: Collection[str],
        targets: Collection[kri.Kri],
    ) -> shapes.Shape | None:
        """As `shapes.Shapes.with_endpoints`, for the picture as it is now."""
        return self._shapes.with_endpoints(self._clients_of(picture, subject), shape, services, targets)

    def _clients_of(self, picture: view.MeshView, subject: proxy.ProxyFacts) -> destinations.Clients:
        """Those of one picture, kept for its other shapes and for pictures with other policies."""
        known = self._clients.get(picture.name)
        if known is None or not picture.differs_in_policies_alone(known[0]):
            known = self._clients[picture.name] = (picture, {})
        seen = inbounds.is_unified(picture, subject), self.held(picture, subject), _is_ipv6(subject)
        return known[1].get(seen) or known[1].setdefault(seen, destinations.Clients(picture, *seen))


def _takes_plaintext(
    picture: view.MeshView, said: matched.Matched, inbound: nodes.InboundFacts, held: credentials.Held
) -> bool:
    """Whether an inbound takes plaintext: where nothing else is spoken, or beside mutual TLS.

    The mode of the mesh's CA says nothing about MeshIdentities.
    """
    out = picture.is_permissive and held.of_identity is None
    for voice in said.editing("takes_plaintext"):
        out = voice.speaker.takes_plaintext(voice.found.inbound(inbound.address, inbound.port), out)
    return out or held.shown is None


def _rendered(plan: nodes.ProxyPlan, said: matched.Matched, secrets: tuple[sharing.Built, ...]) -> Own:
    sets: dict[str, dict[str, xds.Rendered]] = {}
    authors: dict[tuple[str, str], Authors] = {}

    def put(rendered: xds.Rendered, who: Authors) -> None:
        sets.setdefault(rendered.type_url, {})[rendered.name] = rendered
        authors[rendered.type_url, rendered.name] = who

    def finish(kind: str, message: api.Message, node: nodes.ListenerNode | nodes.ClusterNode) -> None:
        left = matched.patched(said, kind, message, node.origin)
        nodes.add_authors(node, left.authors)
        plan.problems.extend(left.problems)
        if left.message is not None:
            put(render.rendered(kind, left.message), tuple(node.authors))

    listeners = [*zone_listeners.merged(each.listener for each in plan.inbounds), *plan.listeners]
    clusters = [*(each.cluster for each in plan.inbounds), *plan.clusters]
    for listener in listeners:
        finish(xds.LISTENER, render.listener(listener), listener)
    for cluster in clusters:
        finish(xds.CLUSTER, render.cluster(cluster), cluster)
    for assignment in plan.assignments:
        put(render.rendered(xds.ENDPOINT, assignment), ())
    for secret in secrets:
        if secret.rendered is not None:
            put(secret.rendered, secret.authors)
    return Own(sets, authors, secrets, tuple(plan.problems), plan.documents)
