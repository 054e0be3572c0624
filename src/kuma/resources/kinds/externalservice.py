"""ExternalService: a destination outside the mesh under a service tag; the older form of MeshExternalService."""

import msgspec

from kuma.resources import datasource
from kuma.resources import kind as kinds
from kuma.resources.rules import externalservice as rules


class Tls(kinds.Spec, frozen=True):
    """TLS towards the destination. `server_name` absent: the host of the address."""

    enabled: bool = False
    ca_cert: datasource.DataSource | None = None
    client_cert: datasource.DataSource | None = None
    client_key: datasource.DataSource | None = None
    allow_renegotiation: bool | None = None
    server_name: str | None = None
    skip_hostname_verification: bool | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the Secrets that hold its certificates and key."""
        sources = (self.ca_cert, self.client_cert, self.client_key)
        return frozenset(each.secret for each in sources if each is not None and each.secret)


class Networking(kinds.Spec, frozen=True):
    """Where it is: HOST:PORT. `disable_host_dns_entry`: the host gets no virtual address."""

    address: str = ""
    tls: Tls | None = None
    disable_host_dns_entry: bool = msgspec.field(default=False, name="disableHostDNSEntry")


class ExternalService(kinds.Spec, frozen=True):
    """A destination outside the mesh, chosen by its tags like an inbound."""

    networking: Networking | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)


KIND = kinds.Kind(
    name="ExternalService",
    plural="external-services",
    scope=kinds.Scope.MESH,
    spec=ExternalService,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=rules.validate,
    argument="external-service",
    singular_display="External Service",
    plural_display="External Services",
)
