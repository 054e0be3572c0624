"""What a user writes in a MeshHealthCheck. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshhealthcheck import validate
from kuma.policy_engine.writing import headers as http_headers
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class TcpCheck(kinds.Spec, frozen=True):
    """A connection, with texts to send and to expect back where they are given."""

    disabled: bool | None = None
    send: str | None = None
    receive: tuple[str, ...] | None = None


class HttpCheck(kinds.Spec, frozen=True):
    """A GET of `path` that has to answer with one of the statuses."""

    disabled: bool | None = None
    path: str | None = None
    request_headers_to_add: http_headers.HeaderChanges | None = None
    expected_statuses: tuple[values.Int32, ...] | None = None


class GrpcCheck(kinds.Spec, frozen=True):
    """A call of `grpc.health.v1.Health` (gRPC's documentation, "Health Checking")."""

    disabled: bool | None = None
    service_name: str | None = None
    authority: str | None = None


class Conf(kinds.Spec, frozen=True):
    """How often and how patiently to ask, and how; the protocol of the destination picks the check."""

    interval: values.GoDuration | None = None
    timeout: values.GoDuration | None = None
    unhealthy_threshold: values.Int32 | None = None
    healthy_threshold: values.Int32 | None = None
    initial_jitter: values.GoDuration | None = None
    interval_jitter: values.GoDuration | None = None
    interval_jitter_percent: values.Int32 | None = None
    healthy_panic_threshold: values.IntOrString | None = None
    fail_traffic_on_panic: bool | None = None
    no_traffic_interval: values.GoDuration | None = None
    event_log_path: str | None = None
    always_log_health_check_failures: bool | None = None
    reuse_connection: bool | None = None
    tcp: Annotated[TcpCheck | None, values.spoken_by("tcp")] = None
    http: Annotated[HttpCheck | None, values.spoken_by("http", "http2")] = None
    grpc: Annotated[GrpcCheck | None, values.spoken_by("grpc")] = None


class To(kinds.Spec, frozen=True):
    """A destination, and the health check of its endpoints."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class MeshHealthCheck(kinds.Spec, frozen=True):
    """Health checks by the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    to: tuple[To, ...] | None = None


KIND = kinds.Kind(
    name="MeshHealthCheck",
    plural="meshhealthchecks",
    scope=kinds.Scope.MESH,
    spec=MeshHealthCheck,
    short="mhc",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True),
    argument="meshhealthcheck",
    singular_display="Mesh Health Check",
    plural_display="Mesh Health Checks",
)
