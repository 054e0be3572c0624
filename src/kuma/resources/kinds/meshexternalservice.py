"""MeshExternalService: a destination outside the mesh."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import tls_versions, values
from kuma.resources.kinds import statuses
from kuma.resources.rules import meshexternalservice as rules


class Match(kinds.Spec, frozen=True):
    """What clients ask for: a port of the hostnames that generators give the service."""

    type: Annotated[str, values.one_of("HostnameGenerator"), values.defaults_to("HostnameGenerator")] = ""
    port: Annotated[values.Int32, values.Required, values.bounded(1, 65535)] = 0
    protocol: Annotated[str, values.one_of(*rules.PROTOCOLS), values.defaults_to("tcp")] = ""


class Extension(kinds.Spec, frozen=True):
    """Leaves the endpoints to an extension of the control plane."""

    type: Annotated[str, values.Required] = ""
    config: Any = None


class Endpoint(kinds.Spec, frozen=True):
    """Where the service is: an IP address or hostname. Endpoints of a lower `priority` number are used first."""

    address: Annotated[str, values.Required, values.sized(1)] = ""
    port: Annotated[values.Int32, values.Required, values.bounded(1, 65535)] = 0
    priority: Annotated[values.Int32, values.bounded(0, 128)] | None = None


class DataSource(kinds.Spec, frozen=True):
    """Where a certificate or key is: a Secret of the mesh, or the bytes themselves."""

    secret: str | None = None
    inline: bytes | None = None
    inline_string: str | None = None

    def __repr__(self) -> str:
        return f"DataSource(secret={self.secret!r})"


class SubjectAltName(kinds.Spec, frozen=True):
    """A name that the server's certificate may have."""

    type: Annotated[str, values.one_of("Exact", "Prefix"), values.defaults_to("Exact")] = ""
    value: Annotated[str, values.Required] = ""


class Verification(kinds.Spec, frozen=True):
    """How the server proves who it is, and the proxy who it is."""

    mode: Annotated[str, values.one_of(*rules.MODES), values.defaults_to("Secured")] = ""
    server_name: str | None = None
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    ca_cert: DataSource | None = None
    client_cert: DataSource | None = None
    client_key: DataSource | None = None


class Tls(kinds.Spec, frozen=True):
    """Whether and how proxies speak TLS to the endpoints."""

    enabled: bool = False
    version: tls_versions.TlsVersion | None = None
    allow_renegotiation: bool = False
    verification: Verification | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the Secrets that hold certificates and keys."""
        said = self.verification or Verification()
        sources = (said.ca_cert, said.client_cert, said.client_key)
        return frozenset(each.secret for each in sources if each is not None and each.secret)


class MeshExternalService(kinds.Spec, frozen=True):
    """A service outside the mesh."""

    match: Annotated[Match, values.Required] = Match()
    extension: Extension | None = None
    endpoints: tuple[Endpoint, ...] = ()
    tls: Tls | None = None


class MeshExternalServiceStatus(kinds.Spec, frozen=True):
    """What the control plane gave the service; `vip` is printed even where it is empty."""

    vip: statuses.Vip = msgspec.field(default_factory=statuses.Vip)
    addresses: tuple[statuses.Address, ...] = ()
    hostname_generators: tuple[statuses.HostnameGeneratorStatus, ...] = ()


def sections(spec: MeshExternalService) -> Iterator[tuple[int, str]]:
    """Its one port, which is its section's name too."""
    yield spec.match.port, str(spec.match.port)


KIND = kinds.Kind(
    name="MeshExternalService",
    plural="meshexternalservices",
    scope=kinds.Scope.MESH,
    spec=MeshExternalService,
    status=MeshExternalServiceStatus,
    short="extsvc",
    envelope=kinds.Envelope.SPEC,
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    sections=sections,
    argument="meshexternalservice",
    singular_display="Mesh External Service",
    plural_display="Mesh External Services",
)
