"""A backendRef: where a route sends traffic, and with which share."""

from collections.abc import Iterator
from typing import Annotated

from kuma.base.errors import Violation
from kuma.resources import targetref, values

ROUTED = targetref.Allowed(("MeshService", "MeshServiceSubset", "MeshExternalService", "MeshMultiZoneService"))
"""What traffic can be sent to."""

MIRRORED = targetref.Allowed(("MeshService", "MeshServiceSubset"))
"""What a copy of traffic can be sent to."""


class BackendRef(targetref.TargetRef, frozen=True):
    """A destination; `weight` is relative to the other backends of the rule (1 where it was not written).

    `port` chooses a port of the destination; None leaves it to the port that the client addressed.
    """

    weight: Annotated[int, values.bounded(least=0), values.defaults_to(1)] | None = None
    port: values.UInt32 | None = None


def check(path: str, backend: BackendRef, allowed: targetref.Allowed = ROUTED) -> Iterator[Violation]:
    """Violations of one backendRef at `path`."""
    yield from targetref.check(path, backend, allowed)
    if backend.kind == "MeshMultiZoneService" and backend.port is None:
        yield Violation(f"{path}.port", "must be defined with kind MeshMultiZoneService")
