"""Rules of a MeshService. Few: most are made by the control plane, from what the platform accepted already."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources.rules import displayname

if TYPE_CHECKING:
    from kuma.resources.kinds import meshservice as model

LONGEST_NAME = 63
"""A label of a domain name."""


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshService."""
    spec: model.MeshService = resource.spec
    yield from displayname.check(resource.meta, LONGEST_NAME)
    chosen = spec.selector
    if chosen is None:
        return
    ways = (chosen.dataplane_tags, chosen.dataplane_ref, chosen.dataplane_labels)
    if sum(each is not None for each in ways) > 1:
        yield Violation("spec.selector", "must specify only one of: dataplaneTags, dataplaneRef, or dataplaneLabels")
