"""What a user writes in a FaultInjection. Light: the command line imports it."""

from kuma.legacy_policies.faultinjection import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class Delay(kinds.Spec, frozen=True):
    """Lets `percentage` of the requests wait for `value`."""

    percentage: float | None = None
    value: values.ProtoDuration | None = None


class Abort(kinds.Spec, frozen=True):
    """Answers `percentage` of the requests with `http_status`."""

    percentage: float | None = None
    http_status: values.UInt32 | None = None


class ResponseBandwidth(kinds.Spec, frozen=True):
    """Slows `percentage` of the answers down to `limit`, such as `50 mbps`."""

    percentage: float | None = None
    limit: str | None = None


class Conf(kinds.Spec, frozen=True):
    """The faults; each is optional, one is needed."""

    delay: Delay | None = None
    abort: Abort | None = None
    response_bandwidth: ResponseBandwidth | None = None


class FaultInjection(connections.Connections, frozen=True):
    """Faults in what inbounds that fit `destinations` answer to clients that fit `sources`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="FaultInjection",
    plural="fault-injections",
    scope=kinds.Scope.MESH,
    spec=FaultInjection,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="fault-injection",
    singular_display="Fault Injection",
    plural_display="Fault Injections",
)
