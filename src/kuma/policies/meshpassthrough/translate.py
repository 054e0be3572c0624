"""MeshPassthrough as the chains of the listeners that take redirected traffic to destinations outside the mesh.

They send it on to where it was going; what no chain takes is closed. Source: Kuma's documentation, "MeshPassthrough";
Envoy's documentation, "Original destination".
"""

from collections.abc import Iterable, Sequence

from kuma.envoy import api, clusters, http, names, tls
from kuma.plan import nodes
from kuma.policies.meshpassthrough import chains, model
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules

ORDER = 500
ORIGIN = "meshpassthrough"
ORIGINAL_DST = "envoy.filters.listener.original_dst"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
NO_MATCH = (
    "This response comes from Kuma Sidecar. No routes matched this domain - check configuration of your "
    "MeshPassthrough policy.\n"
)


class MeshPassthrough(policy.Policy):
    """What may leave a proxy under transparent proxying."""

    kind = model.KIND
    order = ORDER

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Opens, narrows or closes the passthrough of outgoing traffic."""
        if found.single is None:
            return
        conf: model.Conf = found.single.conf
        own = {names.passthrough("outbound", family, context.unified): family for family in chains.FAMILIES}
        listeners = {own[each.name]: each for each in plan.listeners if each.name in own}
        for listener in listeners.values():
            nodes.add_authors(listener, found.single.origins)
        if conf.passthrough_mode == model.Mode.ALL:
            _open(plan, listeners.values())
            return
        plan.clusters = [each for each in plan.clusters if each.name not in own]
        if conf.passthrough_mode != model.Mode.NONE and conf.append_match:
            for cluster in _narrow(listeners, conf.append_match, context):
                nodes.add_authors(cluster, found.single.origins)
                plan.clusters.append(cluster)


POLICY = MeshPassthrough()


def _open(plan: nodes.ProxyPlan, listeners: Iterable[nodes.ListenerNode]) -> None:
    """Lets everything through, also where the mesh does not."""
    present = {each.name for each in plan.clusters}
    for each in listeners:
        if each.name not in present:
            made = nodes.ClusterNode(each.name, clusters.cluster(each.name, "ORIGINAL_DST"), origin=each.origin)
            made.authors.update(each.authors)
            plan.clusters.append(made)


def _narrow(
    listeners: dict[str, nodes.ListenerNode], matches: Sequence[model.Match], context: policy.Context
) -> list[nodes.ClusterNode]:
    """Lets through what matches and returns the clusters that this takes."""
    wanted = chains.in_order(matches)
    made: dict[str, nodes.ClusterNode] = {}
    for family, listener in listeners.items():
        own = [each for each in wanted if each.sort in chains.FAMILIES[family]]
        if not own:
            continue  # its only chain leads to a cluster that is gone
        listener.chains = [_chain(each, context) for each in own]
        _add_listener_filters(listener.message, chains.mysql_ports(matches))
        for each in own:
            for value in each.domains or (each.value,):
                name = chains.cluster_name(each.protocol, value, each.port)
                made.setdefault(name, _cluster(name, each.protocol))
    return list(made.values())


def _cluster(name: str, protocol: str) -> nodes.ClusterNode:
    options = http.upstream_options(http2=True) if protocol in ("http2", "grpc") else None
    return nodes.ClusterNode(name, clusters.cluster(name, "ORIGINAL_DST"), http=options, origin=ORIGIN)


def _chain(wanted: chains.Chain, context: policy.Context) -> nodes.ChainNode:
    match = api.FilterChainMatch(transport_protocol="tls" if wanted.protocol == "tls" else "raw_buffer")
    if wanted.port:
        match.destination_port.value = wanted.port
    network = wanted.network
    if network is not None:
        prefix = match.prefix_ranges.add(address_prefix=str(network.network_address))
        prefix.prefix_len.value = network.prefixlen
    elif wanted.protocol == "tls":
        match.server_names.append(wanted.value)
    stat = names.sanitize_stat(wanted.name)
    if wanted.protocol not in chains.HTTP:
        return nodes.ChainNode(name=wanted.name, match=match, tcp=api.TcpProxy(stat_prefix=stat, cluster=wanted.name))
    match.application_protocols.extend(("http/1.1", "h2c"))
    manager = http.connection_manager(stat, ipv6=context.ipv6)
    manager.route_config.name = wanted.name
    if wanted.domains:
        for domain in wanted.domains:
            cluster = chains.cluster_name(wanted.protocol, domain, wanted.port)
            _add_host(manager.route_config, domain, _hosts(domain, wanted.port)).route.cluster = cluster
        answer = _add_host(manager.route_config, "no_match", ["*"]).direct_response
        answer.status, answer.body.inline_string = 503, NO_MATCH
    else:
        _add_host(manager.route_config, wanted.value, ["*"]).route.cluster = wanted.name
    return nodes.ChainNode(name=wanted.name, match=match, http=manager)


def _hosts(domain: str, port: int) -> list[str]:
    """The Host headers that mean a domain: some clients append the port. Of a wildcard Envoy cannot take every port."""
    if port:
        return [domain, f"{domain}:{port}"]
    return [domain] if domain.startswith("*") else [domain, f"{domain}:*"]


def _add_host(config: api.Message, name: str, domains: Iterable[str]) -> api.Message:
    """Adds a virtual host and returns its only route."""
    route = config.virtual_hosts.add(name=name, domains=domains).routes.add()
    route.match.prefix = "/"
    return route


def _add_listener_filters(message: api.Message, silent: Sequence[int]) -> None:
    """Filters that find out where a connection was going and what it speaks; not on ports where the client is silent."""
    message.listener_filters.add(name=ORIGINAL_DST).typed_config.CopyFrom(api.pack(api.OriginalDst()))
    message.listener_filters.add(name=tls.INSPECTOR).typed_config.CopyFrom(api.pack(api.TlsInspector()))
    message.listener_filters.add(name=HTTP_INSPECTOR).typed_config.CopyFrom(api.pack(api.HttpInspector()))
    for each in message.listener_filters[1:]:
        if len(silent) == 1:
            _add_port(each.filter_disabled, silent[0])
        for port in silent if len(silent) > 1 else ():
            _add_port(each.filter_disabled.or_match.rules.add(), port)


def _add_port(predicate: api.Message, port: int) -> None:
    predicate.destination_port_range.start = port
    predicate.destination_port_range.end = port + 1
