"""Rules of a FaultInjection."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import labels
from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources import selectors
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.legacy_policies.faultinjection import model

_PROTOCOLS = ("http", "http2", "grpc")
_BANDWIDTH = re.compile(r"\d*\s?[gmk]+bps")
_EMPTY = "cannot be empty"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a FaultInjection."""
    spec: model.FaultInjection = resource.spec
    yield from connections.check_inbound(spec, destination_rules=(_speaks_http,))
    conf = spec.conf
    if conf is None or not any(_is_written(each) for each in (conf.delay, conf.abort, conf.response_bandwidth)):
        yield Violation("conf", "must have at least one of the faults configured")
        return
    if conf.delay is not None:
        yield from _check_share("conf.delay", conf.delay.percentage)
        if conf.delay.value is None:
            yield Violation("conf.delay.value", _EMPTY)
    if conf.abort is not None:
        yield from _check_abort("conf.abort", conf.abort)
    if conf.response_bandwidth is not None:
        yield from _check_bandwidth("conf.responseBandwidth", conf.response_bandwidth)


def _is_written(fault: "model.Delay | model.Abort | model.ResponseBandwidth | None") -> bool:
    """Whether a section is there and says something."""
    return fault is not None and fault != type(fault)()


def _speaks_http(path: str, tags: selectors.Tags) -> Iterator[Violation]:
    """Faults are made by an HTTP filter, so destinations have to say that they speak HTTP."""
    protocol = tags.get(labels.PROTOCOL_TAG)
    if protocol is None:
        yield Violation(path, "protocol must be specified")
    elif protocol not in _PROTOCOLS:
        place = selectors.key_path(path, labels.PROTOCOL_TAG)
        yield Violation(place, f"must be one of the [{', '.join(_PROTOCOLS)}]")


def _check_share(path: str, percentage: float | None) -> Iterator[Violation]:
    if percentage is None:
        yield Violation(f"{path}.percentage", _EMPTY)
    yield from numbers.check_percentage(f"{path}.percentage", percentage)


def _check_abort(path: str, abort: "model.Abort") -> Iterator[Violation]:
    yield from _check_share(path, abort.percentage)
    if abort.http_status is None:
        yield Violation(f"{path}.httpStatus", _EMPTY)
    elif not 100 <= abort.http_status < 600:
        yield Violation(f"{path}.httpStatus", "http status code is incorrect")


def _check_bandwidth(path: str, bandwidth: "model.ResponseBandwidth") -> Iterator[Violation]:
    yield from _check_share(path, bandwidth.percentage)
    if bandwidth.limit is None:
        yield Violation(f"{path}.limit", _EMPTY)
    elif not _BANDWIDTH.fullmatch(bandwidth.limit):
        yield Violation(f"{path}.limit", "has to be in kbps/mbps/gbps units")
