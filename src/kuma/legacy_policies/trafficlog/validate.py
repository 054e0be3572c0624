"""Rules of a TrafficLog. Whether the Mesh has the backend is not asked: an unknown one means no logs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.legacy_policies.trafficlog import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a TrafficLog."""
    spec: model.TrafficLog = resource.spec
    yield from connections.check_outbound(spec)
