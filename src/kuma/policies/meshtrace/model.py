"""What a user writes in a MeshTrace. Light: the command line imports it."""

import enum
from typing import Annotated

import msgspec

from kuma.policies.meshtrace import validate
from kuma.policy_engine.writing import otel
from kuma.resources import conditions, targetref, values
from kuma.resources import kind as kinds


class BackendType(enum.StrEnum):
    """The protocol of a collector."""

    ZIPKIN = "Zipkin"
    DATADOG = "Datadog"
    OPEN_TELEMETRY = "OpenTelemetry"


class Zipkin(kinds.Spec, frozen=True):
    """A collector that speaks Zipkin's protocol. `shared_span_context`: client and server share one span."""

    url: Annotated[str, values.Required] = ""
    trace_id_128bit: Annotated[bool, values.defaults_to(False)] | None = msgspec.field(
        default=None, name="traceId128bit"
    )
    api_version: Annotated[str, values.one_of("httpJson", "httpProto"), values.defaults_to("httpJson")] = ""
    shared_span_context: Annotated[bool, values.defaults_to(True)] | None = None


class Datadog(kinds.Spec, frozen=True):
    """A Datadog agent at `http://host:port`. `split_service`: inbounds and outbounds get service names of their own."""

    url: Annotated[str, values.Required] = ""
    split_service: Annotated[bool, values.defaults_to(False)] | None = None


class OpenTelemetry(otel.Backend, frozen=True):
    """A collector that speaks OTLP."""


class Backend(kinds.Spec, frozen=True):
    """Where spans go; the member that `type` names says how."""

    type: Annotated[str, values.Required, values.one_of(*BackendType)] = ""
    zipkin: Zipkin | None = None
    datadog: Datadog | None = None
    open_telemetry: OpenTelemetry | None = None


class Sampling(kinds.Spec, frozen=True):
    """Percentages of requests that are traced (absent: 100).

    `random` of all requests; `client` of those whose caller asks for it (`x-client-trace-id`); `overall` caps both.
    """

    overall: values.IntOrString | None = None
    client: values.IntOrString | None = None
    random: values.IntOrString | None = None


class HeaderTag(kinds.Spec, frozen=True):
    """The value of a request header, or `default` where the request has none."""

    name: Annotated[str, values.Required] = ""
    default: str | None = None


class Tag(kinds.Spec, frozen=True):
    """A tag of every span: a fixed text or the value of a header."""

    name: Annotated[str, values.Required] = ""
    literal: str | None = None
    header: HeaderTag | None = None


class Conf(kinds.Spec, frozen=True):
    """How requests are traced. `backends`: None was not written; an empty list turns tracing off."""

    backends: Annotated[tuple[Backend, ...], values.sized(most=1)] | None = None
    sampling: Sampling | None = None
    tags: tuple[Tag, ...] | None = None


class MeshTrace(kinds.Spec, frozen=True):
    """The tracing of the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    default: Conf = msgspec.field(default_factory=Conf)


KIND = kinds.Kind(
    name="MeshTrace",
    plural="meshtraces",
    scope=kinds.Scope.MESH,
    spec=MeshTrace,
    status=conditions.Status,
    short="mtr",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True),
    argument="meshtrace",
    singular_display="Mesh Trace",
    plural_display="Mesh Traces",
)
