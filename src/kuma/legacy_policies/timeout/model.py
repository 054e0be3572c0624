"""What a user writes in a Timeout. Light: the command line imports it."""

from kuma.legacy_policies.timeout import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class Tcp(kinds.Spec, frozen=True):
    """How long a connection without bytes stays open."""

    idle_timeout: values.ProtoDuration | None = None


class Http(kinds.Spec, frozen=True):
    """Timeouts of requests, of connections without requests, and of streams."""

    request_timeout: values.ProtoDuration | None = None
    idle_timeout: values.ProtoDuration | None = None
    stream_idle_timeout: values.ProtoDuration | None = None
    max_stream_duration: values.ProtoDuration | None = None


class Grpc(kinds.Spec, frozen=True):
    """Timeouts of gRPC streams; the fields of `http` replace it."""

    stream_idle_timeout: values.ProtoDuration | None = None
    max_stream_duration: values.ProtoDuration | None = None


class Conf(kinds.Spec, frozen=True):
    """The timeout of connecting, and those by protocol."""

    connect_timeout: values.ProtoDuration | None = None
    tcp: Tcp | None = None
    http: Http | None = None
    grpc: Grpc | None = None


class Timeout(connections.Connections, frozen=True):
    """How long clients that fit `sources` wait for `destinations`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="Timeout",
    plural="timeouts",
    scope=kinds.Scope.MESH,
    spec=Timeout,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="timeout",
    singular_display="Timeout",
    plural_display="Timeouts",
)
