"""MeshLoadBalancingStrategy as the algorithm of clusters, hashes of routes, and the order of endpoints.

Source: Kuma's documentation, "MeshLoadBalancingStrategy" and "Locality-aware load balancing"; Envoy's API, "Cluster"
and "RouteAction.HashPolicy". Endpoints: `localities`.
"""

from collections.abc import Hashable, Iterable

from kuma.envoy import api
from kuma.plan import nodes, proxy
from kuma.policies.meshloadbalancingstrategy import localities, model
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules

ORDER = 400

_ALGORITHMS = {
    "RoundRobin": "ROUND_ROBIN",
    "LeastRequest": "LEAST_REQUEST",
    "RingHash": "RING_HASH",
    "Random": "RANDOM",
    "Maglev": "MAGLEV",
}
_HASH_FUNCTIONS = {"": "XX_HASH", "XXHash": "XX_HASH", "MurmurHash2": "MURMUR_HASH_2"}


class MeshLoadBalancingStrategy(policy.Policy):
    """How the endpoints of destinations are chosen, by `to`."""

    kind = model.KIND
    order = ORDER
    at_egress = ("cluster", "route")

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """The values that the proxy has of the tags by which endpoints are preferred."""
        return localities.values_of(_affinity_keys(found), subject)

    def route(
        self, conf: policy.Conf, node: nodes.RouteNode, outbound: nodes.OutboundFacts, context: policy.Context
    ) -> None:
        """What the hash of a request is taken of."""
        if conf is not None and node.message.HasField("route"):
            for each in _hash_policies(conf.conf):
                _add_hash_policy(node.message.route.hash_policy.add(), each)

    def cluster(self, conf: policy.Conf, node: nodes.DestinationNode, context: policy.Context) -> None:
        """The algorithm."""
        message = node.cluster.message
        if message.HasField("load_assignment"):
            localities.arrange(message.load_assignment, _awareness(conf, node.facts), context)
        if conf is None:
            return
        wanted: model.Conf = conf.conf
        if localities.is_weighted(wanted.locality_awareness):
            message.common_lb_config.locality_weighted_lb_config.SetInParent()
        if wanted.load_balancer is not None:
            _set_algorithm(message, wanted.load_balancer)

    def endpoints(self, conf: policy.Conf, node: nodes.EndpointsNode, context: policy.Context) -> None:
        """Which endpoints come first."""
        localities.arrange(node.message, _awareness(conf, node.facts), context)


POLICY = MeshLoadBalancingStrategy()


def _affinity_keys(found: rules.ProxyRules) -> Iterable[str]:
    """The tags by which any of the policies prefers endpoints."""
    for each in found.policies:
        for entry in each.spec.to or ():
            awareness = entry.default.locality_awareness
            for tag in localities.affinity_tags(awareness):
                yield tag.key


def _awareness(conf: policy.Conf, facts: nodes.ClusterFacts) -> localities.Wanted | None:
    """What is wanted of zones. A `kuma.io/service` that no policy is about stays as it is."""
    is_real = facts.target is not None
    if conf is None:
        return localities.Wanted(None, is_real) if is_real else None
    return localities.Wanted(conf.conf.locality_awareness, is_real)


def _hash_policies(conf: model.Conf) -> tuple[model.HashPolicy, ...]:
    if conf.hash_policies is not None or conf.load_balancer is None:
        return conf.hash_policies or ()
    balancer = conf.load_balancer
    settings = {"RingHash": balancer.ring_hash, "Maglev": balancer.maglev}.get(balancer.type)
    return settings.hash_policies or () if settings is not None else ()


def _add_hash_policy(out: api.Message, wanted: model.HashPolicy) -> None:
    out.terminal = wanted.terminal or False
    if wanted.type == "Header" and wanted.header is not None:
        out.header.header_name = wanted.header.name
    elif wanted.type == "Cookie" and wanted.cookie is not None:
        out.cookie.name, out.cookie.path = wanted.cookie.name, wanted.cookie.path or ""
        if wanted.cookie.ttl is not None:
            out.cookie.ttl.CopyFrom(api.nanoseconds(wanted.cookie.ttl.nanoseconds))
    elif wanted.type == "QueryParameter" and wanted.query_parameter is not None:
        out.query_parameter.name = wanted.query_parameter.name
    elif wanted.type == "FilterState" and wanted.filter_state is not None:
        out.filter_state.key = wanted.filter_state.key
    elif wanted.type == "Connection" and wanted.connection is not None:
        out.connection_properties.source_ip = wanted.connection.source_ip or False
    else:
        out.connection_properties.source_ip = True  # the older type SourceIP, which has no member


def _set_algorithm(message: api.Message, wanted: model.LoadBalancer) -> None:
    message.lb_policy = api.Cluster.LbPolicy.Value(_ALGORITHMS[wanted.type])
    if wanted.type == "LeastRequest" and wanted.least_request is not None:
        least = message.least_request_lb_config
        least.SetInParent()
        if wanted.least_request.choice_count is not None:
            least.choice_count.value = wanted.least_request.choice_count
        if wanted.least_request.active_request_bias is not None:
            least.active_request_bias.default_value = float(wanted.least_request.active_request_bias)
    elif wanted.type == "RingHash" and wanted.ring_hash is not None:
        ring = message.ring_hash_lb_config
        ring.hash_function = api.Cluster.RingHashLbConfig.HashFunction.Value(
            _HASH_FUNCTIONS[wanted.ring_hash.hash_function]
        )
        ring.SetInParent()
        if wanted.ring_hash.min_ring_size is not None:
            ring.minimum_ring_size.value = wanted.ring_hash.min_ring_size
        if wanted.ring_hash.max_ring_size is not None:
            ring.maximum_ring_size.value = wanted.ring_hash.max_ring_size
    elif wanted.type == "Maglev" and wanted.maglev is not None:
        message.maglev_lb_config.SetInParent()
        if wanted.maglev.table_size is not None:
            message.maglev_lb_config.table_size.value = wanted.maglev.table_size
