"""What a user writes in a CircuitBreaker. Light: the command line imports it."""

from kuma.legacy_policies.circuitbreaker import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class Errors(kinds.Spec, frozen=True):
    """`consecutive` errors in a row eject an endpoint; absent: 5."""

    consecutive: values.UInt32 | None = None


class StandardDeviation(kinds.Spec, frozen=True):
    """Ejects endpoints whose success rate lies `factor` standard deviations below the average."""

    request_volume: values.UInt32 | None = None
    minimum_hosts: values.UInt32 | None = None
    factor: float | None = None


class Failure(kinds.Spec, frozen=True):
    """Ejects endpoints that fail more than `threshold` percent of their requests."""

    request_volume: values.UInt32 | None = None
    minimum_hosts: values.UInt32 | None = None
    threshold: values.UInt32 | None = None


class Detectors(kinds.Spec, frozen=True):
    """What counts as a reason to eject an endpoint; those present are on."""

    total_errors: Errors | None = None
    gateway_errors: Errors | None = None
    local_errors: Errors | None = None
    standard_deviation: StandardDeviation | None = None
    failure: Failure | None = None


class Thresholds(kinds.Spec, frozen=True):
    """How much may be open at once towards one service; absent: Envoy's 1024, and 3 retries."""

    max_connections: values.UInt32 | None = None
    max_pending_requests: values.UInt32 | None = None
    max_retries: values.UInt32 | None = None
    max_requests: values.UInt32 | None = None


class Conf(kinds.Spec, frozen=True):
    """Detection every `interval`; an ejection lasts `base_ejection_time` times the number of ejections."""

    interval: values.ProtoDuration | None = None
    base_ejection_time: values.ProtoDuration | None = None
    max_ejection_percent: values.UInt32 | None = None
    split_external_and_local_errors: bool = False
    detectors: Detectors | None = None
    thresholds: Thresholds | None = None


class CircuitBreaker(connections.Connections, frozen=True):
    """How clients that fit `sources` treat the endpoints of `destinations`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="CircuitBreaker",
    plural="circuit-breakers",
    scope=kinds.Scope.MESH,
    spec=CircuitBreaker,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="circuit-breaker",
    singular_display="Circuit Breaker",
    plural_display="Circuit Breakers",
)
