"""Where a zone egress leads to: what is outside of a mesh, and the ingresses of other zones.

A way is a destination with the chains by whose server names clients ask for it. To what is outside, the egress speaks
itself: it ends the mesh's TLS, so that policies can be heard, and begins what the destination wants. What other zones
have is handed on as it comes. Source: Kuma's documentation, "Zone Egress"; server names: `envoy.names`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.base import labels
from kuma.compiler import external, listeners, origination, outbounds
from kuma.envoy import api, clusters, http, names, rbac, sockets, tls
from kuma.mesh import destinations, endpoints, view, zones
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy
from kuma.resources import resource as res
from kuma.resources.kinds import meshexternalservice

ORIGIN = "egress"
EVERY_SERVICE = "*"

Tags = Mapping[str, str]


@dataclass(slots=True)
class Way:
    """A destination, before any policy: chains of the listener, the cluster, and its endpoints.

    `tags` are those of an ExternalService, by which policies find it. The endpoints stand beside the cluster until
    policies have edited it; `is_discovered`: they stay there. `title` is what chains and their statistics are called by.
    """

    facts: nodes.ClusterFacts
    title: str
    cluster: nodes.ClusterNode
    assignment: api.Message
    chains: list[nodes.ChainNode] = field(default_factory=list)
    tags: Tags = field(default_factory=dict)
    is_discovered: bool = False


class Ways:
    """The ways of one egress in one mesh. `problems`: destinations that are left out, for the user."""

    def __init__(self, picture: view.MeshView, subject: proxy.ZoneProxyFacts) -> None:
        self._picture = picture
        self._subject = subject
        self._unified = subject.has(proxy.UNIFIED_NAMING)
        self._asked = tuple(_asked(picture))
        routing = replace(picture.routing, through=None)
        found = zones.outside(picture.zones, routing, picture.of_kind("ExternalService"))
        self._outside, self._far = (_services(found.shares.values(), is_direct=each) for each in (True, False))
        self.problems: list[str] = []

    def onward(self) -> Iterator[Way]:
        """To the services of other zones, where all that leaves the zone goes through its egress."""
        if self._picture.routing.through is None:
            return
        for name in sorted(self._far.keys() - self._outside.keys()):
            made = self._onward(self._far[name])
            if made.chains:
                yield made

    def to_external_services(self) -> Iterator[Way]:
        """To ExternalServices, in the order of their services."""
        for name in sorted(self._outside):
            yield from self._to_external_service(self._outside[name])

    def to_mesh_external_services(self) -> Iterator[Way]:
        """To MeshExternalServices, by name; what an extension answers for is not ours."""
        for resource in self._picture.destinations.resources(meshexternalservice.KIND.name):
            if resource.kri is not None:
                for found in self._picture.destinations.of_resource(resource.kri):
                    yield from self._to_mesh_external_service(resource, found)

    def _onward(self, service: endpoints.Service) -> Way:
        name = names.egress_cluster(self._picture.name, service.name)
        facts = nodes.ClusterFacts(self._picture.name, name, service.name, nodes.Protocol.named(service.protocol))
        members = self._members(service)
        made = Way(
            facts, name, self._node(clusters.cluster(name, "EDS")), _assignment(name, members), is_discovered=True
        )
        for tags in self._tag_sets(service.name):
            tcp = api.TcpProxy(stat_prefix=names.sanitize_stat(name), cluster=name)
            chosen = {
                key: value for key, value in tags.items() if any(dict(each.tags).get(key) != value for each in members)
            }
            if chosen:
                tcp.metadata_match.filter_metadata["envoy.lb"].update(chosen)
                _select_by(made.cluster.message, chosen)
            made.chains.append(nodes.ChainNode(match=self._match(service.name, tags), tcp=tcp))
        return made

    def _to_external_service(self, service: endpoints.Service) -> Iterator[Way]:
        name = names.egress_cluster(self._picture.name, service.name)
        members = replace(service, endpoints=self._members(service))
        dialled = external.dialled(self._picture, members)
        if len(dialled) < len(service.endpoints):
            self.problems.append(f"ExternalService {service.name}: its TLS asks for certificates that are not at hand")
        tag_sets = self._tag_sets(service.name)
        if not dialled or not tag_sets:
            return
        protocol = nodes.Protocol.named(service.protocol)
        facts = nodes.ClusterFacts(
            self._picture.name, name, service.name, protocol, is_external=True, is_direct=True, ipv6=self._ipv6
        )
        cluster = self._node(external.cluster(facts, external.Outside(protocol, dialled)), external.options(protocol))
        title = name if self._unified else service.name
        made = Way(facts, title, cluster, _assignment(name, (each for each, _ in dialled)), tags=self._tags_of(service))
        chain_name = names.egress_chain(self._picture.name, title)
        for tags in tag_sets:
            chain = self._chain(facts, title, chain_name, names.outbound_route(title))
            chain.match = self._match(service.name, tags)
            made.chains.append(chain)
        yield made

    def _to_mesh_external_service(self, resource: res.Resource[Any], found: destinations.Destination) -> Iterator[Way]:
        tags = {**resource.meta.labels, "mesh": self._picture.name}
        made = to_mesh_external_service(self._picture, self._subject, found, unified=self._unified, tags=tags)
        if isinstance(made, str):
            self.problems.append(made)
        elif made is not None:
            chain = self._chain(made.facts, made.title, made.title, made.title)
            chain.match = api.FilterChainMatch(transport_protocol="tls", server_names=[found.sni])
            self._permit(chain)
            made.chains.append(chain)
            yield made

    def _chain(self, facts: nodes.ClusterFacts, title: str, name: str, route: str) -> nodes.ChainNode:
        mesh = self._picture.name
        identity, roots = names.identity_secret(mesh, self._unified), names.ca_secret(mesh, self._unified)
        context = tls.downstream(identity, roots, [names.spiffe_id(mesh, "")])
        return ending_chain(facts, title, name, route, context, ipv6=self._subject.ipv6)

    def _permit(self, chain: nodes.ChainNode) -> None:
        """Everybody in the mesh may call a MeshExternalService, or nobody, as the Mesh says; policies do not count."""
        routing = self._picture.resource.spec.routing
        is_forbidden = routing is not None and routing.default_forbid_mesh_external_service_access
        said = rbac.rules({} if is_forbidden else {"MeshTrafficPermission": [api.Principal(any=True)]})
        if chain.http is not None:
            message = api.HttpRbac(rules=said)
            chain.http_filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.HTTP, message))
        else:
            stat = names.sanitize_stat(chain.name) + "."
            message = api.NetworkRbac(rules=said, stat_prefix=stat)
            chain.filters.append(nodes.FilterNode(nodes.Stage.AUTHORIZATION, rbac.NETWORK, message))

    def _match(self, service: str, tags: Tags) -> api.Message:
        sni = names.service_sni(service, self._picture.name, tags)
        return api.FilterChainMatch(transport_protocol="tls", server_names=[sni])

    def _node(self, message: api.Message, options: api.Message | None = None) -> nodes.ClusterNode:
        return _cluster(self._picture, message, options)

    @property
    def _ipv6(self) -> bool:
        return ":" in self._subject.address

    def _tag_sets(self, service: str) -> list[Tags]:
        """The sets of tags, without that of the service, that clients may ask a service for; each once."""
        own = [tags for name, tags in self._asked if name == service]
        found = [*own, *(tags for name, tags in self._asked if name == EVERY_SERVICE)]
        return [tags for at, tags in enumerate(found) if tags not in found[:at]]

    def _members(self, service: endpoints.Service) -> tuple[endpoints.Endpoint, ...]:
        """The endpoints of a service, which tell their mesh, too: an egress has those of all meshes."""
        mesh = ("mesh", self._picture.name)
        return tuple(replace(each, tags=tuple(sorted((*each.tags, mesh)))) for each in service.endpoints)

    def _tags_of(self, service: endpoints.Service) -> Tags:
        """The tags of an ExternalService, by which policies select it."""
        found = (each.spec.tags for each in self._picture.of_kind("ExternalService"))
        return next((each for each in found if each.get(labels.SERVICE_TAG) == service.name), {})


def to_mesh_external_service(
    picture: view.MeshView,
    subject: proxy.ZoneProxyFacts | proxy.ProxyFacts,
    found: destinations.Destination,
    *,
    unified: bool,
    tags: Tags,
) -> Way | str | None:
    """The way to a MeshExternalService, without chains, with `tags` on its endpoints. A text says why there is none.

    None where it has no endpoints, or an extension answers for it.
    """
    spec: meshexternalservice.MeshExternalService = found.resource.spec
    if not spec.endpoints or spec.extension is not None:
        return None
    wanted = None
    if spec.tls is not None and spec.tls.enabled:
        addresses, secrets = (each.address for each in spec.endpoints), origination.secrets_of(picture)
        wanted = origination.of_mesh_external_service(spec.tls, addresses, secrets, subject.system_roots)
        if wanted is None:
            name = found.resource.meta.name
            return f"MeshExternalService {name}: its TLS asks for certificates that are not at hand"
    name = str(found.kri) if unified else found.name
    protocol = nodes.Protocol.named(found.protocol)
    facts = nodes.ClusterFacts(
        picture.name,
        name,
        found.name,
        protocol,
        target=found.kri,
        is_external=True,
        is_direct=True,
        ipv6=":" in subject.address,
    )
    dialled = tuple((endpoints.Endpoint(each.address, each.port), None) for each in spec.endpoints)
    message = external.cluster(facts, external.Outside(protocol, dialled))
    if wanted is not None:
        match = message.transport_socket_matches.add(name=spec.endpoints[0].address)
        match.match.SetInParent()
        match.transport_socket.CopyFrom(tls.socket(origination.context(wanted)))
    cluster = _cluster(picture, message, external.options(protocol))
    nodes.add_authors(cluster, [res.ref_to(found.resource)])
    return Way(facts, name, cluster, _by_priority(name, spec.endpoints, tags))


def ending_chain(
    facts: nodes.ClusterFacts, title: str, name: str, route: str, context: api.Message, *, ipv6: bool
) -> nodes.ChainNode:
    """A chain that ends the mesh's TLS (`context`) and sends everything to one cluster."""
    stat = names.sanitize_stat(title)
    made = nodes.ChainNode(name=name, tls=context)
    if not facts.protocol.is_http:
        made.tcp = api.TcpProxy(stat_prefix=stat, cluster=facts.name)
        return made
    made.http = http.connection_manager(stat, ipv6=ipv6)
    made.http_filters += listeners.http_filters(facts.protocol)
    host = http.routes(made.http.route_config, route, title)
    action = http.prefix_route(host, "/", facts.name).route
    action.auto_host_rewrite.value = True
    action.timeout.CopyFrom(api.seconds(0))
    return made


def _cluster(picture: view.MeshView, message: api.Message, options: api.Message | None) -> nodes.ClusterNode:
    made = nodes.ClusterNode(message.name, message, http=options, origin=ORIGIN)
    nodes.add_authors(made, [res.ref_to(picture.resource)])
    return made


def _services(given: Iterable[endpoints.Shares], *, is_direct: bool) -> Mapping[str, endpoints.Service]:
    """The services of those who give endpoints, either of ExternalServices or of ingresses."""
    chosen = [
        {name: kept for name, own in each.items() if (kept := tuple(one for one in own if one.is_direct is is_direct))}
        for each in given
    ]
    return endpoints.EndpointIndex().advance({str(at): ({}, each) for at, each in enumerate(chosen)})[0].services


def _asked(picture: view.MeshView) -> Iterator[tuple[str, Tags]]:
    """The services that routes name, with the further tags that they ask for.

    Where there is no TrafficRoute, every service can be asked for by itself.
    """
    for route in picture.of_kind("TrafficRoute"):
        for tags in _destinations(route.spec.conf):
            yield tags.get(labels.SERVICE_TAG, EVERY_SERVICE), _without_service(tags)
    for kind in ("MeshHTTPRoute", "MeshTCPRoute"):
        for route in picture.of_kind(kind):
            for rule in (rule for to in route.spec.to or () for rule in to.rules or ()):
                for each in rule.default.backend_refs or ():
                    if each.kind in ("MeshService", "MeshServiceSubset") and each.name:
                        yield each.name, _without_service(each.tags or {})
    if not picture.of_kind("TrafficRoute"):
        yield EVERY_SERVICE, {}


def _destinations(conf: Any) -> Iterator[Tags]:
    """The destinations of the conf of a TrafficRoute."""
    for part in (*conf.http, conf) if conf is not None else ():
        yield from (each.destination for each in part.split)
        if part.destination:
            yield part.destination


def _without_service(tags: Tags) -> Tags:
    return {key: value for key, value in tags.items() if key != labels.SERVICE_TAG}


def _assignment(name: str, members: Iterable[endpoints.Endpoint]) -> api.Message:
    return outbounds.load_assignment(name, members)


def _by_priority(name: str, members: Iterable[meshexternalservice.Endpoint], tags: Tags) -> api.Message:
    """The endpoints of a MeshExternalService, each priority a locality of its own."""
    out = api.ClusterLoadAssignment(cluster_name=name)
    groups: dict[int, api.Message] = {}
    for each in sorted(members, key=lambda member: (member.priority or 0, member.address, member.port)):
        priority = each.priority or 0
        if priority not in groups:
            groups[priority] = out.endpoints.add(priority=priority)
            groups[priority].locality.sub_zone = f"priority-{priority}"
        one = groups[priority].lb_endpoints.add()
        one.endpoint.address.CopyFrom(sockets.socket_address(each.address, each.port))
        one.load_balancing_weight.value = 1
        for metadata in ("envoy.lb", "envoy.transport_socket_match"):
            one.metadata.filter_metadata[metadata].update(dict(sorted(tags.items())))
    return out


def _select_by(cluster: api.Message, tags: Tags) -> None:
    """Lets chains pick the endpoints that carry certain tags."""
    subsets = cluster.lb_subset_config
    subsets.fallback_policy = api.Cluster.LbSubsetConfig.ANY_ENDPOINT
    keys = sorted(tags)
    if all(list(each.keys) != keys for each in subsets.subset_selectors):
        subsets.subset_selectors.add(keys=keys, fallback_policy=api.Cluster.LbSubsetConfig.LbSubsetSelector.NO_FALLBACK)


def edit_routes(
    speaker: policy.Policy,
    conf: policy.Conf,
    chains: Iterable[nodes.ChainNode],
    outbound: nodes.OutboundFacts,
    context: policy.Context,
) -> None:
    """Lets a policy edit the routes of chains as those of an outbound to the destination."""
    facts = nodes.RouteFacts((nodes.Split(outbound.destination),))
    for chain in chains:
        for host in chain.http.route_config.virtual_hosts if chain.http is not None else ():
            for route in host.routes:
                speaker.route(conf, nodes.RouteNode(facts, route, chain), outbound, context)
