"""MeshMetric as listeners that Prometheus reads, sockets that the agent sends metrics through, and the agent's document.

The agent gathers metrics (`kuma-dp`); Envoy only carries them: scrapes come in on a port of the proxy, exports go out
through Envoy to the collector. Source: Kuma's documentation, "MeshMetric".
"""

from kuma.base import sockets
from kuma.envoy import api, clusters, http, names, tls
from kuma.envoy import sockets as addresses
from kuma.plan import nodes, proxy
from kuma.policies.meshmetric import document, model
from kuma.policy_engine import collectors, policy
from kuma.policy_engine.merging import rules

ORDER = 1500
DOCUMENT = "meshmetric"
PROMETHEUS_ORIGIN, EXPORT_ORIGIN = "prometheus", "open-telemetry"
DEFAULT_CLIENT = "default-backend"
DEFAULT_PORT = 5670
DEFAULT_PATH = "/metrics"
AGENT_PATH = "/meshmetric"


class MeshMetric(policy.Policy):
    """The metrics of a proxy and of the applications behind it."""

    kind = model.KIND
    order = ORDER

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Adds what readers of metrics need; nothing without a backend."""
        if found.single is None or not found.single.conf.backends:
            return
        conf: model.Conf = found.single.conf
        _replace_backend_of_mesh(plan)
        before = len(plan.listeners), len(plan.clusters)
        sent = []
        for backend in conf.backends or ():
            if backend.prometheus is not None:
                _add_endpoint(backend.prometheus, plan, context)
            wanted = backend.open_telemetry
            collector = collectors.resolve(collectors.reference(wanted), context.collectors) if wanted else None
            if wanted is None or collector is None:
                continue
            if collectors.reach_of(plan.proxy).way(collector).pipe:
                interval = str(wanted.refresh_interval) if wanted.refresh_interval is not None else ""
                collectors.tell_agent(plan, collector, "metrics", interval)
            else:
                sent.append((wanted, collector))
                _add_export(collector, plan, context)
        told = plan.documents.pop(collectors.DOCUMENT, None)
        plan.documents[DOCUMENT] = document.render(conf, plan.proxy, sent, unified=context.unified)
        if told is not None:
            plan.documents[collectors.DOCUMENT] = told
        for listener in plan.listeners[before[0] :]:
            nodes.add_authors(listener, found.single.origins)
        for cluster in plan.clusters[before[1] :]:
            nodes.add_authors(cluster, found.single.origins)


POLICY = MeshMetric()


def _replace_backend_of_mesh(plan: nodes.ProxyPlan) -> None:
    """Both would answer the same readers; the policy is the more specific one."""
    plan.listeners[:] = [each for each in plan.listeners if each.name != names.PROMETHEUS_LISTENER]
    plan.clusters[:] = [each for each in plan.clusters if each.name != names.METRICS_HIJACKER]


def _cluster(name: str, message: api.Message, options: api.Message | None, origin: str) -> nodes.ClusterNode:
    """A cluster of metrics alone: MeshCircuitBreaker, which edits clusters before, leaves it as it is."""
    message.ClearField("circuit_breakers")
    return nodes.ClusterNode(name, message, http=options, origin=origin)


def _add_endpoint(wanted: model.Prometheus, plan: nodes.ProxyPlan, context: policy.Context) -> None:
    """A listener on which one Prometheus reads what the agent answers."""
    subject, client = plan.proxy, wanted.client_id if wanted.client_id is not None else DEFAULT_CLIENT
    meta = subject.resource.meta
    name, behind = names.metrics_listener(client, context.unified), names.metrics_hijacker(client, context.unified)
    if all(each.name != behind for each in plan.clusters):
        socket = sockets.metrics(subject.workdir, meta.mesh, meta.name)
        plan.clusters.append(_cluster(behind, clusters.piped(behind, socket), None, PROMETHEUS_ORIGIN))
    message = api.Listener(name=name, traffic_direction=api.INBOUND)
    message.address.CopyFrom(addresses.socket_address(subject.address, wanted.port or DEFAULT_PORT))
    if subject.has(proxy.REUSE_PORT):
        message.enable_reuse_port.value = True
    if context.unified:
        message.stat_prefix = name

    def chain() -> nodes.ChainNode:
        manager = http.connection_manager(names.sanitize_stat(name), local_only=True, ipv6=subject.ipv6)
        host = http.routes(manager.route_config, "", name)
        http.prefix_route(host, wanted.path or DEFAULT_PATH, behind, rewrite=AGENT_PATH)
        return nodes.ChainNode(http=manager)

    chains = [chain()]
    mode = wanted.tls.mode if wanted.tls is not None else ""
    if mode == model.TlsMode.PROVIDED and all(subject.metrics_pair):
        secured = chain()
        secured.match = api.FilterChainMatch(transport_protocol="tls")
        secured.tls = tls.file_downstream(*subject.metrics_pair)
        tls.inspect(message)
        chains.append(secured)
    plan.listeners.append(nodes.ListenerNode(name, message, chains, origin=PROMETHEUS_ORIGIN))


def _add_export(collector: collectors.Collector, plan: nodes.ProxyPlan, context: policy.Context) -> None:
    """A socket on which Envoy takes the agent's metrics, and the collector behind it."""
    subject, name = plan.proxy, names.metrics_export(collector.name, context.unified)
    if any(each.name == name for each in plan.clusters):
        return
    way = collectors.reach_of(subject).way(collector)
    made = collectors.cluster(name, way, subject, EXPORT_ORIGIN, ())
    made.message.ClearField("circuit_breakers")
    made.http = http.upstream_options(http2=True)
    plan.clusters.append(made)
    message = api.Listener(name=name)
    message.address.CopyFrom(addresses.pipe_address(sockets.collector(subject.workdir, collector.name)))
    if context.unified:
        message.stat_prefix = name
    manager = http.connection_manager(names.sanitize_stat(name), local_only=True, ipv6=subject.ipv6)
    http.prefix_route(http.routes(manager.route_config, "", name), "/", name)
    stats = nodes.FilterNode(nodes.Stage.STATISTICS, http.GRPC_STATS, http.grpc_stats())
    plan.listeners.append(
        nodes.ListenerNode(name, message, [nodes.ChainNode(http=manager, http_filters=[stats])], origin=EXPORT_ORIGIN)
    )
