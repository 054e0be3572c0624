"""Rules of a HealthCheck."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.legacy_policies.healthcheck import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a HealthCheck."""
    spec: model.HealthCheck = resource.spec
    yield from connections.check_outbound(spec)
    if spec.conf is None:
        yield Violation("conf", "has to be defined")
    else:
        yield from _check_conf(spec.conf)


def _check_conf(conf: "model.Conf") -> Iterator[Violation]:
    for name, needed in (("interval", conf.interval), ("timeout", conf.timeout)):
        if needed is None:
            yield Violation(f"conf.{name}", numbers.POSITIVE)
        yield from numbers.check_positive(f"conf.{name}", needed)
    thresholds = (("unhealthyThreshold", conf.unhealthy_threshold), ("healthyThreshold", conf.healthy_threshold))
    for name, threshold in thresholds:
        if not threshold:
            yield Violation(f"conf.{name}", numbers.POSITIVE)
    yield from numbers.check_positive("conf.initialJitter", conf.initial_jitter)
    yield from numbers.check_positive("conf.intervalJitter", conf.interval_jitter)
    yield from numbers.check_positive("conf.noTrafficInterval", conf.no_traffic_interval)
    if conf.healthy_panic_threshold is not None and not 0.0 <= conf.healthy_panic_threshold <= 100.0:
        yield Violation("conf.healthyPanicThreshold", "must be in range [0.0 - 100.0]")
    if conf.http is not None:
        yield from _check_http("conf.http", conf.http)
        if conf.tcp is not None:
            yield Violation("conf", "http and tcp cannot be defined at the same time")


def _check_http(path: str, http: "model.Http") -> Iterator[Violation]:
    if not http.path:
        yield Violation(f"{path}.path", "has to be defined and cannot be empty")
    for index, status in enumerate(http.expected_statuses):
        if not 100 <= status < 600:
            yield Violation(f"{path}.expectedStatuses[{index}]", "must be in range [100, 600)")
    for index, option in enumerate(http.request_headers_to_add):
        place = f"{path}.requestHeadersToAdd[{index}].header"
        if option.header is None:
            yield Violation(place, "has to be defined")
        elif not option.header.key:
            yield Violation(f"{place}.key", "cannot be empty")
