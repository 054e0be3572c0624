"""MeshOpenTelemetryBackend: a collector that policies about telemetry point at."""

from typing import Annotated

from kuma.resources import conditions, values
from kuma.resources import kind as kinds
from kuma.resources.rules import meshopentelemetrybackend as rules


class Endpoint(kinds.Spec, frozen=True):
    """Where the collector is; what is absent the agent finds out (its host, port 4317)."""

    address: str | None = None
    port: values.Int32 | None = None
    path: str | None = None


class Env(kinds.Spec, frozen=True):
    """What variables of the agent's environment may change; absent signal overrides are allowed."""

    mode: Annotated[str, values.one_of(*rules.MODES), values.defaults_to("Optional")] = ""
    precedence: Annotated[str, values.one_of(*rules.PRECEDENCES), values.defaults_to("EnvFirst")] = ""
    allow_signal_overrides: bool | None = None


class MeshOpenTelemetryBackend(kinds.Spec, frozen=True):
    """One collector; without a protocol it is spoken to in gRPC."""

    endpoint: Endpoint | None = None
    protocol: Annotated[str, values.one_of(*rules.PROTOCOLS)] = ""
    env: Env | None = None


KIND = kinds.Kind(
    name="MeshOpenTelemetryBackend",
    plural="meshopentelemetrybackends",
    scope=kinds.Scope.MESH,
    spec=MeshOpenTelemetryBackend,
    status=conditions.Status,
    short="motb",
    envelope=kinds.Envelope.SPEC,
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    argument="meshopentelemetrybackend",
    singular_display="Mesh OpenTelemetry Backend",
    plural_display="Mesh OpenTelemetry Backends",
)
