"""What decides about the cluster of a destination: its name, its protocol, how a client proves who it is.

A destination by `kuma.io/service` is named after it, and after the hash of its tags where it is a subset. A
MeshService and its like carry the KRI of their port, spelled in the older way without unified naming.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from kuma.compiler import credentials
from kuma.envoy import names
from kuma.mesh import destinations as mesh
from kuma.mesh import endpoints, spiffe_ids, view
from kuma.mesh import outbounds as mesh_outbounds
from kuma.plan import nodes
from kuma.policy_engine import routing
from kuma.resources import names as resource_names
from kuma.resources.kinds import meshmultizoneservice


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
    outbounds: dict[Hashable, tuple[mesh_outbounds.Outbounds, tuple[nodes.OutboundFacts, ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Those of lists that were asked for, with the list: proxies that list the same share them."""

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
        sni, by_zone = self._asked_as(found, is_old=True)
        if not shown.names_servers:
            return nodes.Upstream(sni, shown.identity, shown.roots, by_zone=by_zone)
        prefix = "" if found.identities else names.spiffe_id(self.picture.name, "")
        return nodes.Upstream(sni, shown.identity, shown.roots, found.identities, prefix, by_zone=by_zone)

    def _by_identity(self, found: mesh.Destination) -> nodes.Upstream | None:
        """As `_by_mesh`, for a proxy that a MeshIdentity selects: in plaintext only where nobody takes anything else."""
        shown = self.held.of_identity
        if shown is None or not self._has_identity_for(found) or self._is_plain(found):
            return None
        servers = self.picture.egress_ids if found.is_external else found.identities
        sni, by_zone = self._asked_as(found, is_old=False)
        return nodes.Upstream(sni, shown.identity, shown.roots, exact=servers, server=shown.server, by_zone=by_zone)

    def _is_plain(self, found: mesh.Destination) -> bool:
        """Whether all who answer for a destination take plaintext alone, however old what its MeshService says is.

        Of a destination for which nobody answers nothing is known: it is not one that gets plaintext.
        """
        of_mesh = names.spiffe_id(self.picture.name, "")
        can_prove = not all(each.startswith(of_mesh) for each in found.identities)
        if found.is_external or can_prove or self.picture.speaks_tls_to(found):
            return False
        answering = self.picture.endpoints_of(found.kri).endpoints
        return bool(answering) and not any(self._has_identity(each) for each in answering)

    def _has_identity(self, answering: endpoints.Endpoint) -> bool:
        """Whether an endpoint is a proxy with a MeshIdentity, or the way into another zone, which only takes TLS."""
        is_far = answering.zone not in ("", self.picture.zones.zone)
        return is_far or spiffe_ids.best(self.picture.identities, dict(answering.labels)) is not None

    def _has_identity_for(self, found: mesh.Destination) -> bool:
        """Whether the MeshIdentity is what to show.

        To the zone's egress it says nothing, to the mesh's own it does. Where there is nothing else to show it is shown
        to the zone's, too, which refuses it: that is no reason to send in plaintext.
        """
        if self.held.of_identity is None:
            return False
        return not found.is_external or bool(self.picture.egress_ids) or self.held.of_mesh is None

    def _asked_as(self, found: mesh.Destination, *, is_old: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The server name of a destination, and the zones where it has another one, with that.

        An ingress of another zone knows identifiers alone if it is the mesh's, else hashed names alone. Where nobody
        looks, `is_old` decides.
        """
        zones = {""} if found.is_local or found.is_external else {found.kri.zone}
        if found.kri.short == meshmultizoneservice.KIND.short:
            zones = {each.zone for each in self.picture.endpoints_of(found.kri).endpoints}
        of_mesh = self.picture.zones_of_mesh
        of_old = zones - {"", self.picture.zones.zone} - of_mesh
        is_hashed = zones.isdisjoint(of_mesh) if is_old else bool(of_old) and of_old == zones
        if is_hashed or resource_names.sni_problems(found.kri):
            return found.sni, ()
        return resource_names.sni(found.kri), tuple((zone, found.sni) for zone in sorted(of_old))

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
