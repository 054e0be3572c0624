"""MeshMultiZoneService: the MeshServices of several zones as one destination."""

from collections.abc import Iterator
from typing import Annotated

from kuma.resources import conditions, values
from kuma.resources import kind as kinds
from kuma.resources.kinds import labelselector, statuses
from kuma.resources.rules import meshmultizoneservice as rules

Findings = tuple[conditions.Condition, ...]


class Selector(kinds.Spec, frozen=True):
    """Which MeshServices are gathered."""

    mesh_service: Annotated[labelselector.LabelSelector, values.Required] = labelselector.LabelSelector()


class Port(kinds.Spec, frozen=True):
    """A port clients use; it has to exist in the services behind. `name` is None where it was not written."""

    name: str | None = None
    port: Annotated[values.Int32, values.Required] = 0
    app_protocol: Annotated[str, values.defaults_to("tcp")] = ""

    @property
    def section(self) -> str:
        """What identifiers and server names call the port."""
        return self.name or str(self.port)


class MeshMultiZoneService(kinds.Spec, frozen=True):
    """A service that several zones provide."""

    selector: Annotated[Selector, values.Required] = Selector()
    ports: Annotated[tuple[Port, ...], values.Required, values.sized(1)] = ()


class MatchedMeshService(kinds.Spec, frozen=True, omit_defaults=False):
    """One of the services behind."""

    name: Annotated[str, values.Required] = ""
    namespace: Annotated[str, values.Required] = ""
    zone: Annotated[str, values.Required] = ""
    mesh: Annotated[str, values.Required] = ""


class MeshMultiZoneServiceStatus(kinds.Spec, frozen=True):
    """What the control plane found out."""

    addresses: tuple[statuses.Address, ...] = ()
    vips: tuple[statuses.Vip, ...] = ()
    mesh_services: tuple[MatchedMeshService, ...] = ()
    hostname_generators: tuple[statuses.HostnameGeneratorStatus, ...] = ()
    conditions: Findings = ()


def sections(spec: MeshMultiZoneService) -> Iterator[tuple[int, str]]:
    """Each port with its section name."""
    return ((each.port, each.section) for each in spec.ports)


KIND = kinds.Kind(
    name="MeshMultiZoneService",
    plural="meshmultizoneservices",
    scope=kinds.Scope.MESH,
    spec=MeshMultiZoneService,
    status=MeshMultiZoneServiceStatus,
    short="mzsvc",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=rules.validate,
    sections=sections,
    argument="meshmultizoneservice",
    singular_display="Mesh Multi Zone Service",
    plural_display="Mesh Multi Zone Services",
)
