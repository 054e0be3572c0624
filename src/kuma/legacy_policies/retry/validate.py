"""Rules of a Retry."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections, http_methods
from kuma.resources import resource as res
from kuma.resources import values

if TYPE_CHECKING:
    from kuma.legacy_policies.retry import model

_ABOVE_ZERO = "has to be greater than 0"
_ABOVE_ZERO_IF_SET = "has to be greater than 0 when defined"
_EMPTY = "field cannot be empty"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a Retry."""
    spec: model.Retry = resource.spec
    yield from connections.check_outbound(spec)
    conf = spec.conf
    if conf is None:
        yield Violation("conf", "has to be defined")
        return
    if conf.http is None and conf.tcp is None and conf.grpc is None:
        yield Violation("conf", "missing protocol [grpc|http|tcp] configuration")
    if conf.http is not None:
        yield from _check_http("conf.http", conf.http)
    if conf.grpc is not None:
        yield from _check_grpc("conf.grpc", conf.grpc)
    if conf.tcp is not None and not conf.tcp.max_connect_attempts:
        yield Violation("conf.tcp.maxConnectAttempts", _ABOVE_ZERO)


def _check_http(path: str, http: "model.Http") -> Iterator[Violation]:
    if http == type(http)():
        yield Violation(path, _EMPTY)
        return
    yield from _check_tries(path, http)
    for index, method in enumerate(http.retriable_methods):
        if method == http_methods.HttpMethod.NONE:
            yield Violation(f"{path}.retriableMethods[{index}]", _EMPTY)
    for index, reason in enumerate(http.retry_on):
        if reason == "retriable_status_codes" and not http.retriable_status_codes:
            text = "retriableStatusCodes cannot be empty when this option is specified"
            yield Violation(f"{path}.retryOn[{index}]", text)


def _check_grpc(path: str, grpc: "model.Grpc") -> Iterator[Violation]:
    if grpc == type(grpc)():
        yield Violation(path, _EMPTY)
        return
    for reason in sorted(set(grpc.retry_on)):
        places = [index for index, each in enumerate(grpc.retry_on) if each == reason]
        if len(places) > 1:
            yield Violation(f"{path}.retryOn", f"repeated value {gotext.quote(reason)} at indexes {places}")
    yield from _check_tries(path, grpc)


def _check_tries(path: str, section: "model.Http | model.Grpc") -> Iterator[Violation]:
    """What both protocols have: how often, how long, after which pause."""
    if section.num_retries == 0:
        yield Violation(f"{path}.numRetries", _ABOVE_ZERO_IF_SET)
    yield from _check_duration(f"{path}.perTryTimeout", section.per_try_timeout, _ABOVE_ZERO_IF_SET)
    if section.back_off is not None:
        if section.back_off.base_interval is None:
            yield Violation(f"{path}.backOff.baseInterval", "has to be defined")
        yield from _check_duration(f"{path}.backOff.baseInterval", section.back_off.base_interval, _ABOVE_ZERO)
        yield from _check_duration(f"{path}.backOff.maxInterval", section.back_off.max_interval, _ABOVE_ZERO_IF_SET)


def _check_duration(path: str, duration: values.ProtoDuration | None, message: str) -> Iterator[Violation]:
    if duration is not None and duration.nanoseconds <= 0:
        yield Violation(path, message)
