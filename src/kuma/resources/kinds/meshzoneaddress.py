"""MeshZoneAddress: where other zones reach the zone ingress that a mesh's own proxy provides."""

from typing import Annotated

from kuma.resources import kind as kinds
from kuma.resources import values


class MeshZoneAddress(kinds.Spec, frozen=True):
    """A public address."""

    address: Annotated[str, values.Required, values.sized(1)] = ""
    port: Annotated[values.Int32, values.Required, values.bounded(1, 65535)] = 0


KIND = kinds.Kind(
    name="MeshZoneAddress",
    plural="meshzoneaddresses",
    scope=kinds.Scope.MESH,
    spec=MeshZoneAddress,
    short="mza",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.ZONE_TO_ZONE | kinds.Sync.PROVIDED_BY_ZONE,
    argument="meshzoneaddress",
    singular_display="Mesh Zone Address",
    plural_display="Mesh Zone Addresses",
)
