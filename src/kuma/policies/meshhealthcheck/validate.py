"""Rules of a MeshHealthCheck, and a warning about a field that moved."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries, paths
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshhealthcheck import model

_TO = targetref.Allowed(("Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService"))
_PANIC_MOVED = (
    "healthyPanicThreshold for 'to[].default' is deprecated. The setting has been moved to MeshCircuitBreaker policy, "
    "please use MeshCircuitBreaker policy instead."
)


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshHealthCheck."""
    spec: model.MeshHealthCheck = resource.spec
    yield from entries.check_top(resource, spec.target_ref)
    for index, entry in enumerate(spec.to or ()):
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, _TO)
        yield from _check_conf(f"spec.to[{index}].default", entry.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    yield from bounds.check_positive_duration(f"{path}.interval", conf.interval)
    yield from bounds.check_positive_duration(f"{path}.timeout", conf.timeout)
    yield from _check_threshold(f"{path}.unhealthyThreshold", conf.unhealthy_threshold)
    yield from _check_threshold(f"{path}.healthyThreshold", conf.healthy_threshold)
    yield from bounds.check_positive_duration(f"{path}.initialJitter", conf.initial_jitter)
    yield from bounds.check_positive_duration(f"{path}.intervalJitter", conf.interval_jitter)
    yield from bounds.check_range(f"{path}.intervalJitterPercent", conf.interval_jitter_percent, 0, 100)
    yield from bounds.check_percentage(f"{path}.healthyPanicThreshold", conf.healthy_panic_threshold)
    yield from bounds.check_positive_duration(f"{path}.noTrafficInterval", conf.no_traffic_interval)
    if conf.event_log_path is not None and not paths.is_file_path(conf.event_log_path):
        yield Violation(f"{path}.eventLogPath", "must be a valid path when defined")
    if conf.http is not None:
        yield from _check_http(f"{path}.http", conf.http)
    if conf.http is None and conf.tcp is None and conf.grpc is None:
        yield Violation(path, "must have at least one defined: http, tcp, grpc")


def _check_threshold(path: str, count: int | None) -> Iterator[Violation]:
    if count is not None and count <= 0:
        yield Violation(path, "must be greater than zero when defined")


def _check_http(path: str, check: "model.HttpCheck") -> Iterator[Violation]:
    if check.path == "":
        yield Violation(f"{path}.path", "must be defined")
    for index, status in enumerate(check.expected_statuses or ()):
        yield from bounds.check_range(f"{path}.expectedStatuses[{index}]", status, 100, 599)


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshHealthCheck = resource.spec
    if any(entry.default.healthy_panic_threshold is not None for entry in spec.to or ()):
        yield _PANIC_MOVED
    yield from targetref.deprecations(spec.target_ref)
