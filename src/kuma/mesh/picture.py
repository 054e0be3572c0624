"""One frozen picture of a mesh: what its proxies are configured from.

`mesh.draft` makes the next picture out of it; what did not change is the same object in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kuma.base import labels
from kuma.base.kri import Kri
from kuma.mesh import backing as backers
from kuma.mesh import destinations as targets
from kuma.mesh import endpoints as members
from kuma.mesh import outbounds, spiffe_ids
from kuma.mesh import zones as zoning
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, mesh, serviceinsight

Resources = tuple[res.Resource[Any], ...]
NO_RESOURCES: Resources = ()


@dataclass(frozen=True, slots=True)
class MeshView:
    """One mesh. `policies` holds the resources of each policy kind, sorted by name; a tuple stays as it is until one of
    its policies changes. `others` are those of the further kinds that shape proxies (`draft.OTHERS`).

    `destinations` are MeshServices and the like, `backing` who answers for them, `endpoints` who answers for each
    `kuma.io/service`, and `outside` what of that is not of this zone. `egresses` are proxies of the mesh that are its own
    zone egress, by name, with where they listen: they go before those of the zone. `direct_callers` are the proxies that dial
    others by their addresses, so that whatever happens to any proxy is about them; whatever happens to any destination is
    about `zone_proxies`, the mesh's own ingresses and egresses. `insight` is what was last heard of its
    services, `tls_ready` are those among them that take mutual TLS. `identities` and `trusts` are what
    its MeshIdentities and MeshTrusts say.
    """

    resource: "res.Resource[mesh.Mesh]"
    zones: zoning.Zones = field(default_factory=zoning.Zones)
    dataplanes: "Mapping[str, res.Resource[dataplane.Dataplane]]" = field(default_factory=dict)
    endpoints: members.EndpointIndex = field(default_factory=members.EndpointIndex)
    outside: zoning.Outside = field(default_factory=zoning.Outside)
    destinations: targets.DestinationIndex = field(default_factory=targets.DestinationIndex)
    backing: backers.BackingIndex = field(default_factory=backers.BackingIndex)
    virtual: outbounds.VirtualOutbounds = field(default_factory=outbounds.VirtualOutbounds)
    egresses: Mapping[str, tuple[zoning.Address, ...]] = field(default_factory=dict)
    direct_callers: frozenset[str] = frozenset()
    zone_proxies: frozenset[str] = frozenset()
    policies: Mapping[str, Resources] = field(default_factory=dict)
    others: Mapping[str, Resources] = field(default_factory=dict)
    insight: serviceinsight.ServiceInsight = field(default_factory=serviceinsight.ServiceInsight)
    tls_ready: frozenset[str] = frozenset()
    identities: tuple[spiffe_ids.Identity, ...] = ()
    trusts: spiffe_ids.Trusts = spiffe_ids.NO_TRUSTS

    @property
    def name(self) -> str:
        """The mesh's name."""
        return self.resource.meta.name

    def differs_in_policies_alone(self, other: "MeshView") -> bool:
        """Whether this picture and another are the same but for their policies, so that what policies do not shape is too."""
        names = (each for each in self.__slots__ if each != "policies")
        return all(getattr(self, each) is getattr(other, each) for each in names)

    @property
    def backend(self) -> "mesh.CertificateAuthorityBackend | None":
        """The CA backend in force; None where the mesh has no mutual TLS."""
        return self.resource.spec.enabled_ca

    @property
    def is_permissive(self) -> bool:
        """Whether inbounds take plaintext beside mutual TLS."""
        backend = self.backend
        return backend is not None and backend.mode == mesh.MtlsMode.PERMISSIVE

    @property
    def passes_unknown(self) -> bool:
        """Whether traffic to destinations outside the mesh may leave (transparent proxying)."""
        return self.resource.spec.is_passthrough_allowed

    @property
    def mode(self) -> mesh.MeshServicesMode:
        """How far MeshService and its kin have replaced service tags."""
        services = self.resource.spec.mesh_services
        return services.mode if services is not None else mesh.MeshServicesMode.DISABLED

    @property
    def is_exclusive(self) -> bool:
        """Whether only MeshService and its kin are destinations, the condition for unified names."""
        return self.mode == mesh.MeshServicesMode.EXCLUSIVE

    @property
    def routing(self) -> zoning.Routing:
        """How its traffic leaves the zone."""
        routing = self.resource.spec.routing or mesh.Routing()
        return zoning.Routing(
            self.name,
            self.zones.zone,
            through=self.zones.ways_out if routing.zone_egress else None,
            is_mutual=self.backend is not None,
            is_local_first=routing.locality_aware_load_balancing,
        )

    @property
    def ways_out(self) -> tuple[zoning.Address, ...]:
        """The egresses through which it reaches MeshExternalServices."""
        own = tuple(address for name in sorted(self.egresses) for address in self.egresses[name])
        return own or self.zones.ways_out

    @property
    def egress_ids(self) -> tuple[str, ...]:
        """The SPIFFE IDs that MeshIdentities give the mesh's own egresses, sorted."""
        carriers = [self.dataplanes[name].meta.labels for name in self.egresses]
        chosen = [(spiffe_ids.best(self.identities, own), own) for own in carriers]
        found = (identity.spiffe_id(own) for identity, own in chosen if identity is not None)
        return tuple(sorted({each for each in found if each is not None}))

    @property
    def zones_of_mesh(self) -> frozenset[str]:
        """The zones with a way in that is the mesh's own."""
        return frozenset(each.meta.labels.get(labels.ZONE, "") for each in self.of_kind("MeshZoneAddress"))

    def of_kind(self, kind: str) -> Resources:
        """The policies of one kind, or the resources of one of the other kinds."""
        return self.policies.get(kind) or self.others.get(kind, NO_RESOURCES)

    def speaks_tls(self, service: str) -> bool:
        """Whether clients must use mutual TLS to a service: always, unless the mesh is permissive and it is not ready.

        An egress is always ready: it tells by the server name alone where to send a connection.
        """
        if self.backend is None:
            return False
        return not self.is_permissive or service in self.tls_ready or self.endpoints.of(service).is_external

    def speaks_tls_to(self, destination: targets.Destination) -> bool:
        """As `speaks_tls`, for a MeshService and its like."""
        return self.backend is not None and (not self.is_permissive or destination.is_tls_ready)

    def endpoints_of(self, destination: Kri) -> members.Service:
        """Who answers for a destination, by its KRI with a section; of an unknown one nobody."""
        return self.backing.of(destination) or members.Service(str(destination))

    def outbounds_of(self, proxy: "res.Resource[dataplane.Dataplane]", *, transparent: bool) -> outbounds.Outbounds:
        """The outbounds of a proxy. `transparent`: its traffic is redirected, or it binds every outbound within reach."""
        return self.virtual.of(proxy) if transparent else self.virtual.written(proxy)
