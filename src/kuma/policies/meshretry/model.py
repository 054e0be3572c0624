"""What a user writes in a MeshRetry. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshretry import validate
from kuma.policy_engine.writing import headers as http_headers
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Tcp(kinds.Spec, frozen=True):
    """Retries of connections."""

    max_connect_attempt: values.UInt32 | None = None


class BackOff(kinds.Spec, frozen=True):
    """Pauses between retries; they grow from one to the other."""

    base_interval: values.GoDuration | None = None
    max_interval: values.GoDuration | None = None


class ResetHeader(kinds.Spec, frozen=True):
    """A header by which an overloaded server says when to come back, and how it says it."""

    name: http_headers.HeaderName = ""
    format: Annotated[str, values.Required, values.one_of("Seconds", "UnixTimestamp")] = ""


class RateLimitedBackOff(kinds.Spec, frozen=True):
    """Pauses that the server asks for; the first header that can be read counts."""

    reset_headers: tuple[ResetHeader, ...] | None = None
    max_interval: values.GoDuration | None = None


class HostPredicate(kinds.Spec, frozen=True):
    """Which hosts a retry leaves out. `tags` and `update_frequency` belong to one predicate each."""

    predicate: Annotated[str, values.Required, values.one_of(*validate.PREDICATES)] = ""
    tags: dict[str, str] | None = None
    update_frequency: Annotated[values.Int32, values.defaults_to(2)] = 0


class Http(kinds.Spec, frozen=True):
    """Retries of HTTP requests."""

    num_retries: values.UInt32 | None = None
    per_try_timeout: values.GoDuration | None = None
    back_off: BackOff | None = None
    rate_limited_back_off: RateLimitedBackOff | None = None
    retry_on: tuple[str, ...] | None = None
    retriable_response_headers: tuple[http_headers.HeaderMatch, ...] | None = None
    retriable_request_headers: tuple[http_headers.HeaderMatch, ...] | None = None
    host_selection: tuple[HostPredicate, ...] | None = None
    host_selection_max_attempts: int | None = None


class Grpc(kinds.Spec, frozen=True):
    """Retries of gRPC calls."""

    num_retries: values.UInt32 | None = None
    per_try_timeout: values.GoDuration | None = None
    back_off: BackOff | None = None
    rate_limited_back_off: RateLimitedBackOff | None = None
    retry_on: tuple[Annotated[str, values.one_of(*validate.GRPC_CONDITIONS)], ...] | None = None


class Conf(kinds.Spec, frozen=True):
    """Retries by protocol of the destination."""

    tcp: Annotated[Tcp | None, values.spoken_by("tcp")] = None
    http: Annotated[Http | None, values.spoken_by("http")] = None
    grpc: Annotated[Grpc | None, values.spoken_by("grpc")] = None


class To(kinds.Spec, frozen=True):
    """A destination, and the retries of traffic to it."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class MeshRetry(kinds.Spec, frozen=True):
    """Retries by the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    to: tuple[To, ...] | None = None


KIND = kinds.Kind(
    name="MeshRetry",
    plural="meshretries",
    scope=kinds.Scope.MESH,
    spec=MeshRetry,
    short="mr",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True),
    argument="meshretry",
    singular_display="Mesh Retry",
    plural_display="Mesh Retries",
)
