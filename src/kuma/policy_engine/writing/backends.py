"""A backendRef: where a route sends traffic, and with which share."""

from collections.abc import Iterator
from typing import Annotated

from kuma.base.errors import Violation
from kuma.resources import targetref, values

ROUTED = targetref.Allowed(
    ("MeshService", "MeshServiceSubset", "MeshExternalService", "MeshMultiZoneService"),
    invalid_names=("kuma.io/unresolved-backend",),
)
"""What traffic can be sent to. The one odd name stands for a backend of a Gateway API route that does not exist."""


class BackendRef(targetref.TargetRef, frozen=True):
    """A destination; `weight` is relative to the other backends of the rule (1 where it was not written).

    `port` chooses a port of the destination; None leaves it to the port that the client addressed.
    """

    weight: Annotated[int, values.bounded(least=0), values.defaults_to(1)] | None = None
    port: values.UInt32 | None = None


def check(path: str, backend: BackendRef) -> Iterator[Violation]:
    """Violations of one backendRef at `path`."""
    yield from targetref.check(path, backend, ROUTED)
    if backend.kind == "MeshMultiZoneService" and backend.port is None:
        yield Violation(f"{path}.port", "must be defined with kind MeshMultiZoneService")
