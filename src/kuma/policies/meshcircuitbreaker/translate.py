"""MeshCircuitBreaker as the thresholds and the outlier detection of clusters.

Limits hold for the whole proxy, not for each of Envoy's threads. Source: Kuma's documentation, "MeshCircuitBreaker";
Envoy's API, "Circuit breakers" and "Outlier detection".
"""

from decimal import Decimal

from kuma.envoy import api
from kuma.plan import nodes
from kuma.policies.meshcircuitbreaker import model
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules
from kuma.resources import values

ORDER = 1300

_LIMITS = ("max_connection_pools", "max_connections", "max_pending_requests", "max_retries", "max_requests")


class MeshCircuitBreaker(policy.Policy):
    """The cluster of the application by `rules` and `from`, those of destinations by `to`."""

    kind = model.KIND
    order = ORDER
    at_egress = ("cluster",)

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """Limits what the proxy demands of its application."""
        if found.base is not None:
            _apply(node.cluster.message, found.base.conf)
            nodes.add_authors(node.cluster, found.base.origins)

    def cluster(self, conf: policy.Conf, node: nodes.DestinationNode, context: policy.Context) -> None:
        """Limits what the proxy demands of a destination, and leaves its bad endpoints out."""
        if conf is not None:
            _apply(node.cluster.message, conf.conf)


POLICY = MeshCircuitBreaker()


def _apply(cluster: api.Message, conf: model.Conf) -> None:
    if conf.connection_limits is not None:
        threshold = cluster.circuit_breakers.thresholds[0]  # every cluster has one, which tracks what remains
        for name in _LIMITS:
            _set(threshold, name, getattr(conf.connection_limits, name))
    outliers = conf.outlier_detection
    if outliers is None or outliers.disabled:
        return
    if outliers.healthy_panic_threshold is not None:
        cluster.common_lb_config.healthy_panic_threshold.value = float(Decimal(outliers.healthy_panic_threshold))
    out = cluster.outlier_detection
    out.SetInParent()
    _set_duration(out, "interval", outliers.interval)
    _set_duration(out, "base_ejection_time", outliers.base_ejection_time)
    _set(out, "max_ejection_percent", outliers.max_ejection_percent)
    if outliers.split_external_and_local_errors is not None:
        out.split_external_local_origin_errors = outliers.split_external_and_local_errors
    _set_consecutive(out, outliers.detectors or model.Detectors())
    if outliers.detectors is not None:
        _set_statistical(out, outliers.detectors)


def _set_consecutive(out: api.Message, detectors: model.Detectors) -> None:
    """Envoy has some detectors on by itself: those that nobody gave a count are turned off."""
    for written, field, enforcing in (
        (detectors.total_failures, "consecutive_5xx", "enforcing_consecutive_5xx"),
        (detectors.gateway_failures, "consecutive_gateway_failure", "enforcing_consecutive_gateway_failure"),
        (
            detectors.local_origin_failures,
            "consecutive_local_origin_failure",
            "enforcing_consecutive_local_origin_failure",
        ),
    ):
        count = written.consecutive if written is not None else None
        _set(out, field, count)
        _set(out, enforcing, 0 if count is None else 100)


def _set_statistical(out: api.Message, detectors: model.Detectors) -> None:
    rate, share = detectors.success_rate, detectors.failure_percentage
    for enforcing in ("enforcing_success_rate", "enforcing_local_origin_success_rate"):
        _set(out, enforcing, 100 if rate is not None else 0)
    for enforcing in ("enforcing_failure_percentage", "enforcing_failure_percentage_local_origin"):
        _set(out, enforcing, 100 if share is not None else 0)
    if rate is not None:
        _set(out, "success_rate_minimum_hosts", rate.minimum_hosts)
        _set(out, "success_rate_request_volume", rate.request_volume)
        if rate.standard_deviation_factor is not None:
            thousandths = int(Decimal(rate.standard_deviation_factor) * 1000)
            out.success_rate_stdev_factor.value = min(thousandths, values.UINT32_MAX)
    if share is not None:
        _set(out, "failure_percentage_minimum_hosts", share.minimum_hosts)
        _set(out, "failure_percentage_request_volume", share.request_volume)
        _set(out, "failure_percentage_threshold", share.threshold)


def _set(message: api.Message, field: str, value: int | None) -> None:
    if value is not None:
        getattr(message, field).value = value


def _set_duration(message: api.Message, field: str, value: values.GoDuration | None) -> None:
    if value is not None:
        getattr(message, field).CopyFrom(api.nanoseconds(value.nanoseconds))
