"""Rules of a MeshMultiZoneService."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources.rules import dataplane

if TYPE_CHECKING:
    from kuma.resources.kinds import meshmultizoneservice as model


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshMultiZoneService."""
    spec: model.MeshMultiZoneService = resource.spec
    if not spec.selector.mesh_service.match_labels:
        yield Violation("spec.selector.meshService.matchLabels", "cannot be empty")
    if not spec.ports:
        yield Violation("spec.ports", "cannot be empty")
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        if port.name == "":
            yield Violation(f"{path}.name", "must not be empty")
        if port.app_protocol and port.app_protocol not in dataplane.PROTOCOLS:
            yield Violation(f"{path}.appProtocol", f"appProtocol must be one of: {', '.join(dataplane.PROTOCOLS)}")
