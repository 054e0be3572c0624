"""Rules of a TrafficPermission."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.legacy_policies.trafficpermission import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a TrafficPermission."""
    spec: model.TrafficPermission = resource.spec
    yield from connections.check_inbound(spec)
