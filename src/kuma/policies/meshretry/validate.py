"""Rules of a MeshRetry. Its violations carry a `conf` behind `default` that no document has: clients of Kuma know it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import bounds, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshretry import model

PREDICATES = ("OmitPreviousHosts", "OmitHostsWithTags", "OmitPreviousPriorities")
GRPC_CONDITIONS = ("Canceled", "DeadlineExceeded", "Internal", "ResourceExhausted", "Unavailable")
METHODS = tuple(
    f"HttpMethod{method}" for method in ("Connect", "Delete", "Get", "Head", "Options", "Patch", "Post", "Put", "Trace")
)
"""In a list of conditions they say which requests are tried again at all."""

HTTP_CONDITIONS = (
    "5xx",
    "GatewayError",
    "Reset",
    "Retriable4xx",
    "ConnectFailure",
    "EnvoyRatelimited",
    "RefusedStream",
    "Http3PostConnectFailure",
    *METHODS,
)
_STATUSES = (
    *range(100, 104),
    *range(200, 209),
    226,
    *range(300, 306),
    307,
    308,
    *range(400, 419),
    *range(421, 427),
    428,
    429,
    431,
    451,
    *range(500, 509),
    510,
    511,
)
"""Statuses that have a meaning (IANA, "HTTP Status Code Registry")."""

_KNOWN_TO_HTTP = frozenset(HTTP_CONDITIONS).union(map(str, _STATUSES))
_KNOWN_TO_GRPC = frozenset(GRPC_CONDITIONS)
_TO = targetref.Allowed(("Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute"))
_TO_OF_GATEWAY = targetref.Allowed(("Mesh", "MeshExternalService"))


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshRetry."""
    spec: model.MeshRetry = resource.spec
    yield from entries.check_top(resource, spec.target_ref, routes=True)
    top = (spec.target_ref or targetref.MESH).kind
    allowed = _TO_OF_GATEWAY if top in ("MeshGateway", "MeshHTTPRoute") else _TO
    for index, entry in enumerate(spec.to or ()):
        yield from targetref.check(f"spec.to[{index}].targetRef", entry.target_ref, allowed)
        yield from _check_conf(f"spec.to[{index}].default.conf", entry.default)


def _check_conf(path: str, conf: "model.Conf") -> Iterator[Violation]:
    if conf.tcp is None and conf.http is None and conf.grpc is None:
        yield Violation(path, "at least one of the 'tcp', 'http', 'grpc' must be specified")
    if conf.tcp is not None:
        if conf.tcp.max_connect_attempt is None:
            yield Violation(f"{path}.tcp", "must not be empty")
        yield from bounds.check_positive(f"{path}.tcp.maxConnectAttempt", conf.tcp.max_connect_attempt)
    if conf.http is not None:
        yield from _check_http(f"{path}.http", conf.http)
    if conf.grpc is not None:
        yield from _check_requests(f"{path}.grpc", conf.grpc)
        yield from _check_conditions(f"{path}.grpc", conf.grpc.retry_on, _KNOWN_TO_GRPC)


def _check_http(path: str, retries: "model.Http") -> Iterator[Violation]:
    headers = retries.retriable_request_headers, retries.retriable_response_headers
    yield from _check_requests(path, retries, *headers, retries.host_selection)
    yield from _check_conditions(path, retries.retry_on, _KNOWN_TO_HTTP)
    yield from _check_predicates(f"{path}.hostSelection", retries.host_selection or ())


def _check_requests(path: str, retries: "model.Http | model.Grpc", *more: object) -> Iterator[Violation]:
    """What HTTP and gRPC have alike; `more` are the members that only one of them has."""
    members = (
        retries.num_retries,
        retries.per_try_timeout,
        retries.back_off,
        retries.rate_limited_back_off,
        retries.retry_on,
        *more,
    )
    if all(each is None for each in members):
        yield Violation(path, "must not be empty")
    pauses = retries.back_off
    if pauses is not None and pauses.base_interval is None and pauses.max_interval is None:
        yield Violation(f"{path}.backOff", "must not be empty")
    if retries.rate_limited_back_off is not None:
        yield from _check_rate_limited(f"{path}.rateLimitedBackOff", retries.rate_limited_back_off)


def _check_rate_limited(path: str, pauses: "model.RateLimitedBackOff") -> Iterator[Violation]:
    if pauses.max_interval is not None and pauses.max_interval.nanoseconds <= 0:
        yield Violation(f"{path}.maxInterval", "must be defined and greater than zero")
    if pauses.reset_headers is None:
        yield Violation(f"{path}.resetHeaders", "must be defined")
    for index, header in enumerate(pauses.reset_headers or ()):
        if not header.name:
            yield Violation(f"{path}.resetHeaders[{index}].name", "must be defined")


def _check_conditions(path: str, conditions: Sequence[str] | None, known: frozenset[str]) -> Iterator[Violation]:
    for index, condition in enumerate(conditions or ()):
        if condition not in known:
            yield Violation(f"{path}.retryOn[{index}]", f"unknown item '{condition}'")


def _check_predicates(path: str, predicates: "Sequence[model.HostPredicate]") -> Iterator[Violation]:
    has_priorities = False
    for index, each in enumerate(predicates):
        place = f"{path}[{index}]"
        if each.predicate not in PREDICATES:
            yield Violation(f"{place}.predicate", f"unknown predicate type '{each.predicate}'")
        elif each.predicate == "OmitHostsWithTags" and each.tags is None:
            yield Violation(f"{place}.tags", "must be defined")
        elif each.predicate == "OmitPreviousPriorities":
            if has_priorities:
                yield Violation(f"{place}.predicate", f"{each.predicate} must only be specified once")
            if each.update_frequency <= 0:
                yield Violation(f"{place}.updateFrequency", "must be defined and greater than zero")
            has_priorities = True


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshRetry = resource.spec
    yield from targetref.deprecations(spec.target_ref)
