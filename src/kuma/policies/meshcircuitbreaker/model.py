"""What a user writes in a MeshCircuitBreaker. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshcircuitbreaker import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class ConnectionLimits(kinds.Spec, frozen=True):
    """How much may be under way to one destination at once; what comes on top is refused."""

    max_connection_pools: values.UInt32 | None = None
    max_connections: values.UInt32 | None = None
    max_pending_requests: values.UInt32 | None = None
    max_retries: values.UInt32 | None = None
    max_requests: values.UInt32 | None = None


class Consecutive(kinds.Spec, frozen=True):
    """Failures in a row after which an endpoint is left out."""

    consecutive: values.UInt32 | None = None


class SuccessRate(kinds.Spec, frozen=True):
    """Endpoints that fail far more often than the others, by the standard deviation of their success rates."""

    minimum_hosts: values.UInt32 | None = None
    request_volume: values.UInt32 | None = None
    standard_deviation_factor: values.IntOrString | None = None


class FailurePercentage(kinds.Spec, frozen=True):
    """Endpoints that fail more often than a fixed share of their requests."""

    minimum_hosts: values.UInt32 | None = None
    request_volume: values.UInt32 | None = None
    threshold: values.UInt32 | None = None


class Detectors(kinds.Spec, frozen=True):
    """How a bad endpoint is recognised; any of them suffices."""

    total_failures: Consecutive | None = None
    gateway_failures: Consecutive | None = None
    local_origin_failures: Consecutive | None = None
    success_rate: SuccessRate | None = None
    failure_percentage: FailurePercentage | None = None


class OutlierDetection(kinds.Spec, frozen=True):
    """When endpoints are left out, for how long, and how many of them at most."""

    disabled: bool | None = None
    interval: values.GoDuration | None = None
    base_ejection_time: values.GoDuration | None = None
    max_ejection_percent: values.UInt32 | None = None
    split_external_and_local_errors: bool | None = None
    detectors: Detectors | None = None
    healthy_panic_threshold: values.IntOrString | None = None


class Conf(kinds.Spec, frozen=True):
    """Limits, and what becomes of bad endpoints."""

    connection_limits: ConnectionLimits | None = None
    outlier_detection: OutlierDetection | None = None


class To(kinds.Spec, frozen=True):
    """A destination, and the circuit breaker of traffic to it."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class From(kinds.Spec, frozen=True):
    """Clients, and the circuit breaker between proxy and application. Only all of them at once."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """The circuit breaker between proxy and application, for all clients."""

    default: Conf = msgspec.field(default_factory=Conf)


class MeshCircuitBreaker(kinds.Spec, frozen=True):
    """Either `rules`, or `to` and `from`, for the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    to: tuple[To, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshCircuitBreaker",
    plural="meshcircuitbreakers",
    scope=kinds.Scope.MESH,
    spec=MeshCircuitBreaker,
    short="mcb",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True, has_from=True, has_rules=True, from_as_rules=True),
    argument="meshcircuitbreaker",
    singular_display="Mesh Circuit Breaker",
    plural_display="Mesh Circuit Breakers",
)
