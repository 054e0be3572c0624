"""What a user writes in a Retry. Light: the command line imports it."""

from kuma.legacy_policies.retry import validate
from kuma.policy_engine.writing import connections, http_methods
from kuma.resources import kind as kinds
from kuma.resources import values


class HttpRetryOn(values.ProtoEnum):
    """Why an HTTP request is tried again."""

    __proto_name__ = "kuma.mesh.v1alpha1.HttpRetryOn"
    ALL_5XX = "all_5xx"
    GATEWAY_ERROR = "gateway_error"
    RESET = "reset"
    CONNECT_FAILURE = "connect_failure"
    ENVOY_RATELIMITED = "envoy_ratelimited"
    RETRIABLE_4XX = "retriable_4xx"
    REFUSED_STREAM = "refused_stream"
    RETRIABLE_STATUS_CODES = "retriable_status_codes"
    RETRIABLE_HEADERS = "retriable_headers"
    HTTP3_POST_CONNECT_FAILURE = "http3_post_connect_failure"


class GrpcRetryOn(values.ProtoEnum):
    """The status of a gRPC answer after which the call is tried again."""

    __proto_name__ = "kuma.mesh.v1alpha1.Retry.Conf.Grpc.RetryOn"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNAVAILABLE = "unavailable"


class BackOff(kinds.Spec, frozen=True):
    """The pause before a retry doubles from `base_interval` up to `max_interval`; absent: ten times the base."""

    base_interval: values.ProtoDuration | None = None
    max_interval: values.ProtoDuration | None = None


class Http(kinds.Spec, frozen=True):
    """Retries of HTTP requests."""

    num_retries: values.UInt32 | None = None
    per_try_timeout: values.ProtoDuration | None = None
    back_off: BackOff | None = None
    retriable_status_codes: tuple[values.UInt32, ...] = ()
    retriable_methods: tuple[http_methods.HttpMethod, ...] = ()
    retry_on: tuple[HttpRetryOn, ...] = ()


class Tcp(kinds.Spec, frozen=True):
    """How often a connection is tried in all."""

    max_connect_attempts: values.UInt32 = 0


class Grpc(kinds.Spec, frozen=True):
    """Retries of gRPC calls."""

    retry_on: tuple[GrpcRetryOn, ...] = ()
    num_retries: values.UInt32 | None = None
    per_try_timeout: values.ProtoDuration | None = None
    back_off: BackOff | None = None


class Conf(kinds.Spec, frozen=True):
    """Retries by protocol."""

    http: Http | None = None
    tcp: Tcp | None = None
    grpc: Grpc | None = None


class Retry(connections.Connections, frozen=True):
    """What clients that fit `sources` try again when they call `destinations`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="Retry",
    plural="retries",
    scope=kinds.Scope.MESH,
    spec=Retry,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="retry",
    singular_display="Retry",
    plural_display="Retries",
)
