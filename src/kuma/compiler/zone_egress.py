"""The zone egress: the proxy through which proxies of all meshes of a zone reach what is outside.

Unlike a sidecar it has no halves: it serves every mesh on one listener, and each with a certificate of that mesh. The
server name of a connection says where it leads, so only meshes with mutual TLS are served. Source: Kuma's
documentation, "Zone Egress" and "MeshExternalService".
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from kuma.compiler import admin, compile, listeners, render, shared, zone_ways
from kuma.compiler import matched as matching
from kuma.discovery import resources as xds
from kuma.envoy import api, names, tls
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy
from kuma.policy_engine.matching import matching as engine
from kuma.resources import resource as res

ROUTES = frozenset({"MeshHTTPRoute", "MeshTCPRoute", "TrafficRoute"})
"""Policies that decide what an egress is asked for: they may name services together with tags."""


def meshes_of(world: view.WorldView) -> tuple[str, ...]:
    """The meshes in which an egress has to prove who it is: those with mutual TLS and something outside to reach."""
    return tuple(name for name in sorted(world.meshes) if _has_outside(world.meshes[name]))


def _has_outside(picture: view.MeshView) -> bool:
    found = picture.of_kind("ExternalService") or picture.destinations.resources("MeshExternalService")
    return picture.backend is not None and bool(found)


class ZoneEgressCompiler:
    """Compiles egresses; holds nothing but memos, so equal inputs give equal outputs whatever came before."""

    def __init__(self, policies: Sequence[policy.Policy]) -> None:
        heard = [each for each in policies if each.at_egress]
        self._policies = sorted(heard, key=lambda each: each.order)
        self._matcher = matching.Matcher(self._policies)

    @property
    def policy_kinds(self) -> frozenset[str]:
        """The kinds whose resources can change the configuration of an egress: what it hears, and routes to services."""
        return ROUTES | {each.kind.name for each in self._policies}

    def forget_all_but(self, meshes: Container[str]) -> None:
        """Lets go of what is remembered of other meshes: they are gone."""
        self._matcher.forget_all_but(meshes)

    def compile(
        self,
        world: view.WorldView,
        subject: proxy.ZoneProxyFacts,
        issued: Mapping[str, compile.Identity],
        admin_certificate: admin.AdminCertificate | None,
    ) -> compile.Own:
        """Everything that an egress gets. What is outside of a mesh without an entry in `issued` is not served yet."""
        out = _Gathered()
        listener = _listener(subject)
        for name in sorted(world.meshes):
            picture = world.meshes[name]
            if picture.backend is None:
                continue
            ways = zone_ways.Ways(picture, subject)
            for way in ways.onward():
                out.put_way(listener, way)
            if name not in issued:
                continue
            found = [
                *self._external_services(ways, picture, subject),
                *self._mesh_external_services(ways, picture, subject),
            ]
            for way in found:
                out.put_way(listener, way)
            if found:
                out.put_secrets(picture, issued[name], unified=subject.has(proxy.UNIFIED_NAMING))
            out.problems += ways.problems
        made, behind = admin.admin_nodes(subject, admin_certificate)
        for node in [*made, *([listener] if listener.chains and subject.port else [])]:
            out.put(xds.LISTENER, render.listener(node), node.authors)
        for cluster in behind:
            out.put(xds.CLUSTER, render.cluster(cluster), cluster.authors)
        return compile.Own(out.sets, out.authors, tuple(out.secrets), tuple(out.problems))

    def _external_services(
        self, ways: zone_ways.Ways, picture: view.MeshView, subject: proxy.ZoneProxyFacts
    ) -> Iterator[zone_ways.Way]:
        """The ways to ExternalServices after the policies about their clients."""
        context = _context(picture, subject)
        for way in ways.to_external_services():
            node = _as_inbound(way, subject)
            for each in self._policies:
                if "inbound" in each.at_egress:
                    found = each.said_of_outside(picture.of_kind(each.kind.name), way.tags)
                    each.inbound(found, node, context)
            nodes.add_authors(way.cluster, node.listener.authors)
            yield way

    def _mesh_external_services(
        self, ways: zone_ways.Ways, picture: view.MeshView, subject: proxy.ZoneProxyFacts
    ) -> Iterator[zone_ways.Way]:
        """The ways to MeshExternalServices after the policies about destinations."""
        context = _context(picture, subject)
        around = self._matcher.surroundings(picture)
        said = [
            (each, engine.match_mesh_external_services(each.kind, picture.of_kind(each.kind.name), around))
            for each in self._policies
            if "cluster" in each.at_egress and picture.of_kind(each.kind.name)
        ]
        for way in ways.to_mesh_external_services():
            target = way.facts.target
            for speaker, found in said:
                conf = found.of(target) if target is not None else None
                if conf is None:
                    continue
                speaker.cluster(conf, nodes.DestinationNode(way.facts, way.cluster), context)
                if "route" in speaker.at_egress:
                    outbound = nodes.OutboundFacts(
                        way.facts, subject.address, subject.port, context.unified, True, context.ipv6
                    )
                    zone_ways.edit_routes(speaker, conf, way.chains, outbound, context)
                nodes.add_authors(way.cluster, conf.origins)
            yield way


class _Gathered:
    """What was made so far."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, xds.Rendered]] = {}
        self.authors: dict[tuple[str, str], compile.Authors] = {}
        self.secrets: list[shared.Built] = []
        self.problems: list[str] = []

    def put(self, kind: str, message: api.Message, authors: Iterable[res.ResourceRef]) -> xds.Rendered:
        """Takes in a resource."""
        made = render.rendered(kind, message)
        self.sets.setdefault(kind, {})[made.name] = made
        self.authors[kind, made.name] = tuple(authors)
        return made

    def put_way(self, listener: nodes.ListenerNode, way: zone_ways.Way) -> None:
        """Takes in a destination; its chains belong to the listener."""
        listener.chains += way.chains
        nodes.add_authors(listener, way.cluster.authors)
        if way.is_discovered:
            self.put(xds.ENDPOINT, way.assignment, way.cluster.authors)
        else:
            way.cluster.message.load_assignment.CopyFrom(way.assignment)
        self.put(xds.CLUSTER, render.cluster(way.cluster), way.cluster.authors)

    def put_secrets(self, picture: view.MeshView, issued: compile.Identity, *, unified: bool) -> None:
        """The certificate of the egress in a mesh, and whom it trusts there: clients show what the mesh's CA gave them."""
        who = (res.ref_to(picture.resource),)
        pair = tls.identity_secret(names.identity_secret(picture.name, unified), issued.certificate, issued.key)
        roots = tls.ca_secret(names.ca_secret(picture.name, unified), issued.roots)
        for message in (pair, roots):
            self.secrets.append(shared.Built(self.put(xds.SECRET, message, who), who))


def _listener(subject: proxy.ZoneProxyFacts) -> nodes.ListenerNode:
    unified = subject.has(proxy.UNIFIED_NAMING)
    name = names.egress_listener(subject.address, subject.port, unified)
    message = listeners.tcp_listener(name, subject.address, subject.port, api.INBOUND)
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    if unified:
        message.stat_prefix = name
    tls.inspect(message)
    made = nodes.ListenerNode(name, message, origin=zone_ways.ORIGIN)
    nodes.add_authors(made, [res.ref_to(subject.resource)])
    return made


def _context(picture: view.MeshView, subject: proxy.ZoneProxyFacts) -> policy.Context:
    return policy.Context(
        mesh=picture.name,
        mtls=True,
        zone=picture.zones.zone,
        unified=subject.has(proxy.UNIFIED_NAMING),
        ipv6=subject.ipv6,
        egress=picture.routing.through is not None,
    )


def _as_inbound(way: zone_ways.Way, subject: proxy.ZoneProxyFacts) -> nodes.InboundNode:
    """The chains to an ExternalService as policies know them that speak of clients: statistics go by the service."""
    facts = nodes.InboundFacts(
        service=way.facts.service,
        section="",
        address=subject.address,
        port=subject.port,
        workload_address="",
        workload_port=0,
        protocol=way.facts.protocol,
        tags=tuple(sorted(way.tags.items())),
    )
    return nodes.InboundNode(facts, nodes.ListenerNode(way.title, api.Listener(), way.chains), way.cluster)
