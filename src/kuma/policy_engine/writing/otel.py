"""The OpenTelemetry backend of the observability policies: an address written in place, or a resource that holds it."""

from collections.abc import Iterator
from typing import Annotated

from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import values

KIND = "MeshOpenTelemetryBackend"
DEPRECATED_ENDPOINT = "openTelemetry.endpoint is deprecated, use openTelemetry.backendRef with a MeshOpenTelemetryBackend resource instead"


class BackendRef(kinds.Spec, frozen=True):
    """The MeshOpenTelemetryBackend that carries these labels."""

    kind: Annotated[str, values.Required, values.one_of(KIND)] = ""
    labels: dict[str, str] | None = None


class Backend(kinds.Spec, frozen=True):
    """A collector that speaks OTLP: either `endpoint` (`host:port`, deprecated) or `backend_ref`."""

    endpoint: str = ""
    backend_ref: BackendRef | None = None


def check(path: str, backend: Backend) -> Iterator[Violation]:
    """Violations of a backend whose field is at `path`."""
    if backend.endpoint and backend.backend_ref is not None:
        yield Violation(path, "openTelemetry must have only one type defined: endpoint, backendRef")
    elif not backend.endpoint and backend.backend_ref is None:
        yield Violation(path, "openTelemetry must have exactly one defined: endpoint, backendRef")
    if any(char in backend.endpoint for char in "/?#"):
        yield Violation(f"{path}.endpoint", "must be in host:port format, not a URL")
    if backend.backend_ref is None:
        return
    if backend.backend_ref.kind != KIND:
        yield Violation(f"{path}.backendRef.kind", f'"kind" must be one of ["{KIND}"]')
    if not backend.backend_ref.labels:
        yield Violation(f"{path}.backendRef", "backendRef must have exactly one defined: labels")
