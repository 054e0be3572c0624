"""What a user writes in a MeshAccessLog. Light: the command line imports it."""

import enum
from typing import Annotated, Any

import msgspec

from kuma.policies.meshaccesslog import validate
from kuma.policy_engine.writing import otel
from kuma.resources import conditions, targetref, values
from kuma.resources import kind as kinds


class BackendType(enum.StrEnum):
    """Where log lines go."""

    TCP = "Tcp"
    FILE = "File"
    OPEN_TELEMETRY = "OpenTelemetry"


class FormatType(enum.StrEnum):
    """Whether a line is text or a JSON object."""

    PLAIN = "Plain"
    JSON = "Json"


class JsonField(kinds.Spec, frozen=True):
    """One member of a JSON line; `value` may hold Envoy's command operators and Kuma's placeholders."""

    key: Annotated[str, values.Required] = ""
    value: Annotated[str, values.Required] = ""


class Format(kinds.Spec, frozen=True):
    """What a line says: `plain` or `json`, as `type` tells. `omit_empty_values` leaves out members without a value."""

    type: Annotated[str, values.Required, values.one_of(*FormatType)] = ""
    plain: str | None = None
    json: tuple[JsonField, ...] | None = None
    omit_empty_values: Annotated[bool, values.defaults_to(False)] | None = None


class Tcp(kinds.Spec, frozen=True):
    """A collector that takes lines over TCP at `address` (`host:port`)."""

    format: Format | None = None
    address: Annotated[str, values.Required, values.sized(1)] = ""


class File(kinds.Spec, frozen=True):
    """A file on the machine of the proxy."""

    format: Format | None = None
    path: Annotated[str, values.Required, values.sized(1)] = ""


class Attribute(kinds.Spec, frozen=True):
    """An attribute of every OpenTelemetry record; the key is fixed, the value may hold placeholders."""

    key: Annotated[str, values.Required, values.matching(r"^[a-z]([a-z0-9]|[._][a-z0-9])*$")] = ""
    value: Annotated[str, values.Required] = msgspec.field(default_factory=str)


class OpenTelemetry(otel.Backend, frozen=True):
    """A collector that speaks OTLP. `body` is any OTLP value (absent: the default text format)."""

    attributes: tuple[Attribute, ...] | None = None
    body: Any = None


class Backend(kinds.Spec, frozen=True):
    """One place where lines go; the member that `type` names says which."""

    type: Annotated[str, values.Required, values.one_of(*BackendType)] = ""
    tcp: Tcp | None = None
    file: File | None = None
    open_telemetry: OpenTelemetry | None = None


class Conf(kinds.Spec, frozen=True):
    """Where lines go. None was not written; an empty list turns logging off."""

    backends: tuple[Backend, ...] | None = None


class To(kinds.Spec, frozen=True):
    """A destination, and where the log of traffic to it goes."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Annotated[Conf, values.Required] = msgspec.field(default_factory=Conf)


class From(kinds.Spec, frozen=True):
    """Clients, and where the log of their traffic goes. Only all of them at once."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Annotated[Conf, values.Required] = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """Connections that fit any of `matches` (all where there is none), and where their log goes."""

    matches: tuple[targetref.Match, ...] | None = None
    default: Annotated[Conf, values.Required] = msgspec.field(default_factory=Conf)


class MeshAccessLog(kinds.Spec, frozen=True):
    """Either `rules`, or `to` and `from`, for the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    to: tuple[To, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshAccessLog",
    plural="meshaccesslogs",
    scope=kinds.Scope.MESH,
    spec=MeshAccessLog,
    status=conditions.Status,
    short="mal",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True, has_from=True, has_rules=True, from_as_rules=True),
    argument="meshaccesslog",
    singular_display="Mesh Access Log",
    plural_display="Mesh Access Logs",
)
