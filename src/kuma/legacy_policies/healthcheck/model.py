"""What a user writes in a HealthCheck. Light: the command line imports it."""

from kuma.legacy_policies.healthcheck import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class Tcp(kinds.Spec, frozen=True):
    """Bytes to send, and blocks of bytes that have to come back in order. Nothing to send: connecting is enough."""

    send: bytes | None = None
    receive: tuple[bytes, ...] = ()


class HeaderValue(kinds.Spec, frozen=True):
    """A header and its value."""

    key: str = ""
    value: str = ""


class HeaderValueOption(kinds.Spec, frozen=True):
    """A header to add; `append` to what is there (absent: true), or instead of it."""

    header: HeaderValue | None = None
    append: bool | None = None


class Http(kinds.Spec, frozen=True):
    """A request for `path` that has to be answered with one of `expected_statuses`; none: 200."""

    path: str = ""
    request_headers_to_add: tuple[HeaderValueOption, ...] = ()
    expected_statuses: tuple[values.UInt32, ...] = ()


class Conf(kinds.Spec, frozen=True):
    """Probes every `interval`, given up after `timeout`. Thresholds are counts in a row.

    Below `healthy_panic_threshold` percent of healthy endpoints all are used, or none with `fail_traffic_on_panic`.
    """

    interval: values.ProtoDuration | None = None
    timeout: values.ProtoDuration | None = None
    unhealthy_threshold: values.UInt32 = 0
    healthy_threshold: values.UInt32 = 0
    initial_jitter: values.ProtoDuration | None = None
    interval_jitter: values.ProtoDuration | None = None
    interval_jitter_percent: values.UInt32 = 0
    healthy_panic_threshold: float | None = None
    fail_traffic_on_panic: bool | None = None
    event_log_path: str = ""
    always_log_health_check_failures: bool | None = None
    no_traffic_interval: values.ProtoDuration | None = None
    tcp: Tcp | None = None
    http: Http | None = None
    reuse_connection: bool | None = None


class HealthCheck(connections.Connections, frozen=True):
    """How clients that fit `sources` probe the endpoints of `destinations`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="HealthCheck",
    plural="health-checks",
    scope=kinds.Scope.MESH,
    spec=HealthCheck,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="healthcheck",
    singular_display="Health Check",
    plural_display="Health Checks",
)
