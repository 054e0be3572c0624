"""Rules of a MeshCircuitBreaker and warnings about its older half."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshcircuitbreaker import model

_TO = targetref.Allowed(("Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService"))
_FROM = targetref.Allowed(("Mesh",))


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshCircuitBreaker. Those of `rules` are reported under `from`, as Kuma does."""
    spec: model.MeshCircuitBreaker = resource.spec
    yield from entries.check_top(resource, spec.target_ref, inbound=bool(spec.from_ or spec.rules))
    yield from entries.check_rules_alone(spec.to, spec.from_, spec.rules)
    yield from entries.check_some(spec.to, spec.from_, spec.rules)
    for index, client in enumerate(spec.from_ or ()):
        yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _FROM)
        yield from _check_conf(f"spec.from[{index}].default", client.default)
    for index, entry in enumerate(spec.to or ()):
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, _TO)
        yield from _check_conf(f"spec.to[{index}].default", entry.default)
    for index, rule in enumerate(spec.rules or ()):
        yield from _check_conf(f"spec.from[{index}].default", rule.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    if conf.connection_limits is None and conf.outlier_detection is None:
        yield Violation(path, "at least one of: 'connectionLimits' or 'outlierDetection' should be configured")
    if conf.connection_limits is not None:
        limits, place = conf.connection_limits, f"{path}.connectionLimits"
        yield from bounds.check_positive(f"{place}.maxConnections", limits.max_connections)
        yield from bounds.check_positive(f"{place}.maxConnectionPools", limits.max_connection_pools)
        yield from bounds.check_positive(f"{place}.maxPendingRequests", limits.max_pending_requests)
        yield from bounds.check_positive(f"{place}.maxRetries", limits.max_retries)
        yield from bounds.check_positive(f"{place}.maxRequests", limits.max_requests)
    if conf.outlier_detection is not None:
        yield from _check_detection(f"{path}.outlierDetection", conf.outlier_detection)


def _check_detection(path: str, detection: "model.OutlierDetection") -> Iterator[Violation]:
    """Detectors are demanded even where the detection is turned off."""
    yield from bounds.check_positive_duration(f"{path}.interval", detection.interval)
    yield from bounds.check_positive_duration(f"{path}.baseEjectionTime", detection.base_ejection_time)
    yield from bounds.check_range(f"{path}.maxEjectionPercent", detection.max_ejection_percent, 0, 100)
    yield from bounds.check_percentage(f"{path}.healthyPanicThreshold", detection.healthy_panic_threshold)
    if detection.detectors is None:
        yield Violation(f"{path}.detectors", "must be defined")
    else:
        yield from _check_detectors(f"{path}.detectors", detection.detectors)


def _check_detectors(path: str, detectors: "model.Detectors") -> Iterator[Violation]:
    in_a_row = (
        ("totalFailures", detectors.total_failures),
        ("gatewayFailures", detectors.gateway_failures),
        ("localOriginFailures", detectors.local_origin_failures),
    )
    rate, share = detectors.success_rate, detectors.failure_percentage
    if rate is None and share is None and all(each is None for _, each in in_a_row):
        names = [*(name for name, _ in in_a_row), "successRate", "failurePercentage"]
        yield Violation(path, f"must have at least one defined: {', '.join(names)}")
    for name, detector in in_a_row:
        if detector is not None:
            yield from bounds.check_positive(f"{path}.{name}.consecutive", detector.consecutive)
    if rate is not None:
        yield from bounds.check_positive(f"{path}.successRate.minimumHosts", rate.minimum_hosts)
        yield from bounds.check_positive(f"{path}.successRate.requestVolume", rate.request_volume)
        yield from _check_factor(f"{path}.successRate.standardDeviationFactor", rate.standard_deviation_factor)
    if share is not None:
        yield from bounds.check_positive(f"{path}.failurePercentage.minimumHosts", share.minimum_hosts)
        yield from bounds.check_positive(f"{path}.failurePercentage.requestVolume", share.request_volume)
        yield from bounds.check_range(f"{path}.failurePercentage.threshold", share.threshold, 0, 100)


def _check_factor(path: str, factor: int | str | None) -> Iterator[Violation]:
    if factor is None:
        return
    found = bounds.decimal_of(factor)
    if found is None:
        yield Violation(path, "invalid number")
    elif found <= 0:
        yield Violation(path, "must be greater than 0")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshCircuitBreaker = resource.spec
    yield from entries.deprecations(spec.target_ref, spec.from_)
