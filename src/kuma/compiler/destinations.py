"""What decides about the cluster of a destination: its name, its protocol, how a client proves who it is.

A destination by `kuma.io/service` is named after it, and after the hash of its tags where it is a subset. A
MeshService and its like carry the KRI of their port, spelled in the older way without unified naming.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from kuma.compiler import credentials
from kuma.envoy import names
from kuma.mesh import destinations as mesh
from kuma.mesh import endpoints, view
from kuma.plan import nodes
from kuma.policy_engine import routing
from kuma.resources import names as resource_names


@dataclass(frozen=True, slots=True)
class Clients:
    """The side of the clients: their mesh, naming, and credentials. Equal for proxies that share clusters.

    `ipv6`: they themselves are dialled over IPv6.
    """

    picture: view.MeshView
    unified: bool
    held: credentials.Held = credentials.NONE
    ipv6: bool = False
    _made: dict[Hashable, nodes.ClusterFacts] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of_service(self, service: str, tags: Mapping[str, str] | None = None) -> nodes.ClusterFacts:
        """The cluster of a `kuma.io/service`, or of those of its endpoints that carry `tags`.

        What is outside the mesh is dialled without the mesh's TLS, or through an egress, which proves to be one.
        """
        at = (service, tuple(sorted(tags.items())) if tags else ())
        return self._made.get(at) or self._made.setdefault(at, self._of_service(service, tags))

    def of_destination(self, found: mesh.Destination) -> nodes.ClusterFacts:
        """The cluster of a port of a MeshService or its like."""
        return self._made.get(found.kri) or self._made.setdefault(found.kri, self._of_destination(found))

    def again(self, facts: nodes.ClusterFacts) -> nodes.ClusterFacts | None:
        """The facts of the same destination as they are now; None where it is gone."""
        if facts.target is None:
            return self.of_service(facts.service, dict(facts.tags))
        found = self.picture.destinations.of(facts.target)
        return self.of_destination(found) if found is not None else None

    def _of_service(self, service: str, tags: Mapping[str, str] | None) -> nodes.ClusterFacts:
        own = self.picture.name
        known = self.picture.endpoints.of(service)
        server = names.spiffe_id(own, mesh.EGRESS_SERVICE if known.is_external else service)
        shown, upstream = self.held.of_mesh, None
        if shown is not None and not known.is_direct and self.picture.speaks_tls(service):
            exact = (server,) if shown.names_servers else ()
            upstream = nodes.Upstream(names.service_sni(service, own, tags), shown.identity, shown.roots, exact=exact)
        return nodes.ClusterFacts(
            mesh=own,
            name=names.service_cluster(service, tags or {}),
            service=service,
            protocol=nodes.Protocol.named(known.protocol),
            tags=tuple(sorted((tags or {}).items())),
            upstream=upstream,
            is_external=known.is_external,
            is_direct=known.is_direct,
            ipv6=known.is_direct and self.ipv6,
        )

    def _of_destination(self, found: mesh.Destination) -> nodes.ClusterFacts:
        return nodes.ClusterFacts(
            mesh=self.picture.name,
            name=str(found.kri) if self.unified else found.name,
            service=found.name,
            protocol=nodes.Protocol.named(found.protocol),
            target=found.kri,
            upstream=self._by_identity(found) or self._by_mesh(found),
            is_external=found.is_external,
        )

    def _by_mesh(self, found: mesh.Destination) -> nodes.Upstream | None:
        """How a proxy with a certificate of the mesh's CA speaks to a destination; None where it has none."""
        shown = self.held.of_mesh
        if shown is None or self._has_identity_for(found) or not self.picture.speaks_tls_to(found):
            return None
        if not shown.names_servers:
            return nodes.Upstream(found.sni, shown.identity, shown.roots)
        prefix = "" if found.identities else names.spiffe_id(self.picture.name, "")
        return nodes.Upstream(found.sni, shown.identity, shown.roots, exact=found.identities, prefix=prefix)

    def _by_identity(self, found: mesh.Destination) -> nodes.Upstream | None:
        """As `_by_mesh`, for a proxy that a MeshIdentity selects: with TLS where anybody there can have a certificate."""
        shown = self.held.of_identity
        if shown is None or not self._has_identity_for(found):
            return None
        servers = self.picture.egress_ids if found.is_external else found.identities
        of_mesh = names.spiffe_id(self.picture.name, "")
        if all(each.startswith(of_mesh) for each in servers) and not self.picture.speaks_tls_to(found):
            return None
        sni = resource_names.sni(found.kri) if self._is_asked_by_identifier(found) else found.sni
        return nodes.Upstream(sni, shown.identity, shown.roots, exact=servers, server=shown.server)

    def _has_identity_for(self, found: mesh.Destination) -> bool:
        """Whether the MeshIdentity is what to show: to the zone's egress it says nothing, to the mesh's own it does."""
        return self.held.of_identity is not None and (not found.is_external or bool(self.picture.egress_ids))

    def _is_asked_by_identifier(self, found: mesh.Destination) -> bool:
        """Whether the server name is the identifier: an ingress of another zone that is not the mesh's knows it not."""
        zone = found.kri.zone
        is_known = not zone or found.is_local or found.is_external or zone in self.picture.zones_of_mesh
        return is_known and not resource_names.sni_problems(found.kri)

    def of_backend(self, backend: routing.Mention) -> nodes.ClusterFacts | None:
        """The cluster of a backend that a policy names; None where there is no such destination."""
        if backend.is_tagged:
            return self.of_service(backend.name, dict(backend.tags))
        reference = mesh.Reference(backend.kind, backend.name, backend.namespace, backend.labels, backend.section)
        found = self.picture.destinations.one(reference, backend.origin)
        return self.of_destination(found) if found is not None else None

    def endpoints(self, facts: nodes.ClusterFacts) -> endpoints.Service:
        """Who answers for a destination."""
        if facts.target is not None:
            return self.picture.endpoints_of(facts.target)
        return self.picture.endpoints.of(facts.service, dict(facts.tags))
