"""MeshService: a destination inside the mesh, with its ports and the proxies behind it."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.kinds import labelselector, statuses
from kuma.resources.rules import meshservice as rules


class DataplaneRef(kinds.Spec, frozen=True):
    """One Dataplane by its name."""

    name: str = ""


class Selector(kinds.Spec, frozen=True):
    """Which proxies serve; at most one of the three ways. Without any, none."""

    dataplane_tags: dict[str, str] | None = None
    dataplane_ref: DataplaneRef | None = None
    dataplane_labels: labelselector.LabelSelector | None = None


class Port(kinds.Spec, frozen=True):
    """A port clients use, and the one of the proxies behind it (a number or the name of an inbound; absent: the same)."""

    name: str = ""
    port: Annotated[values.Int32, values.Required] = 0
    target_port: values.IntOrString | None = None
    app_protocol: Annotated[str, values.defaults_to("tcp")] = ""

    @property
    def section(self) -> str:
        """What identifiers and server names call the port."""
        return self.name or str(self.port)


class Identity(kinds.Spec, frozen=True):
    """Who serves, as clients have to check it."""

    type: Annotated[str, values.Required, values.one_of("ServiceTag", "SpiffeID")] = ""
    value: Annotated[str, values.Required] = ""


class MeshService(kinds.Spec, frozen=True):
    """A service of one zone."""

    state: Annotated[str, values.one_of("Available", "Unavailable"), values.defaults_to("Unavailable")] = ""
    selector: Selector | None = None
    ports: tuple[Port, ...] = ()
    identities: tuple[Identity, ...] = ()


class Tls(kinds.Spec, frozen=True):
    """Whether all proxies of the service can speak mutual TLS: `Ready` or `NotReady`."""

    status: Annotated[str, values.one_of("Ready", "NotReady")] = ""


class DataplaneProxies(kinds.Spec, frozen=True):
    """How many proxies serve."""

    connected: int = 0
    healthy: int = 0
    total: int = 0


class MeshServiceStatus(kinds.Spec, frozen=True):
    """What the control plane found out. `tls` and `dataplane_proxies` are printed even where they are empty."""

    addresses: tuple[statuses.Address, ...] = ()
    vips: tuple[statuses.Vip, ...] = ()
    tls: Tls = msgspec.field(default_factory=Tls)
    hostname_generators: tuple[statuses.HostnameGeneratorStatus, ...] = ()
    dataplane_proxies: DataplaneProxies = msgspec.field(default_factory=DataplaneProxies)


def sections(spec: MeshService) -> Iterator[tuple[int, str]]:
    """Each port with its section name."""
    return ((each.port, each.section) for each in spec.ports)


KIND = kinds.Kind(
    name="MeshService",
    plural="meshservices",
    scope=kinds.Scope.MESH,
    spec=MeshService,
    status=MeshServiceStatus,
    short="msvc",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.ZONE_TO_ZONE | kinds.Sync.PROVIDED_BY_ZONE,
    validate=rules.validate,
    sections=sections,
    argument="meshservice",
    singular_display="Mesh Service",
    plural_display="Mesh Services",
)
