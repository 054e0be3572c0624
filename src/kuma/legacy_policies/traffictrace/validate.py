"""Rules of a TrafficTrace. Whether the Mesh has the backend is not asked: an unknown one means no traces."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources import selectors

if TYPE_CHECKING:
    from kuma.legacy_policies.traffictrace import model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a TrafficTrace."""
    spec: model.TrafficTrace = resource.spec
    yield from selectors.check_selectors("selectors", [each.match for each in spec.selectors])
