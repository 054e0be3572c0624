"""Rules of a TrafficPermission."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources import selectors

if TYPE_CHECKING:
    from kuma.legacy_policies.trafficpermission import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a TrafficPermission."""
    spec: model.TrafficPermission = resource.spec
    yield from selectors.check_selectors("sources", [each.match for each in spec.sources])
    yield from selectors.check_selectors("destinations", [each.match for each in spec.destinations])
