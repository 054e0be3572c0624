"""Rules of a CircuitBreaker."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.legacy_policies.circuitbreaker import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a CircuitBreaker."""
    spec: model.CircuitBreaker = resource.spec
    yield from connections.check_outbound(spec)
    yield from _check_conf(spec.conf)


def _check_conf(conf: "model.Conf | None") -> Iterator[Violation]:
    """A section without any field says nothing, so both empty is as if neither were there."""
    if conf is None or (_is_blank(conf.detectors) and _is_blank(conf.thresholds)):
        yield Violation("conf", "must have at least one of the detector or threshold configured")
        return
    yield from numbers.check_percentage("conf.maxEjectionPercent", conf.max_ejection_percent)
    if conf.detectors is not None:
        if _is_blank(conf.detectors):
            yield Violation("conf.detectors", "can't be empty")
        elif conf.detectors.failure is not None:
            yield from numbers.check_percentage("conf.detectors.failure.threshold", conf.detectors.failure.threshold)
    if conf.thresholds is not None and _is_blank(conf.thresholds):
        yield Violation("conf.thresholds", "can't be empty")


def _is_blank(section: "model.Detectors | model.Thresholds | None") -> bool:
    """Whether a section is absent or says nothing."""
    return section is None or section == type(section)()
