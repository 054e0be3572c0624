"""What decides about the cluster of a destination: its name, its protocol, how a client proves who it is.

A destination by `kuma.io/service` is named after it, and after the hash of its tags where it is a subset. A
MeshService and its like carry the KRI of their port, spelled in the older way without unified naming.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kuma.compiler import credentials
from kuma.envoy import names
from kuma.mesh import destinations as mesh
from kuma.mesh import endpoints, view
from kuma.plan import nodes
from kuma.policy_engine import routing


@dataclass(frozen=True, slots=True)
class Clients:
    """The side of the clients: their mesh, naming, and what they show. Equal for proxies that share clusters.

    `ipv6`: they themselves are dialled over IPv6.
    """

    picture: view.MeshView
    unified: bool
    shown: credentials.Credentials | None
    ipv6: bool = False

    def of_service(self, service: str, tags: Mapping[str, str] | None = None) -> nodes.ClusterFacts:
        """The cluster of a `kuma.io/service`, or of those of its endpoints that carry `tags`.

        What is outside the mesh is dialled without the mesh's TLS, or through an egress, which proves to be one.
        """
        own = self.picture.name
        known = self.picture.endpoints.of(service)
        server = mesh.EGRESS_SERVICE if known.is_external else service
        upstream = None
        if self.shown is not None and not known.is_direct and self.picture.speaks_tls(service):
            upstream = nodes.Upstream(
                names.service_sni(service, own, tags),
                self.shown.identity,
                self.shown.roots,
                exact=(names.spiffe_id(own, server),),
            )
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

    def of_destination(self, found: mesh.Destination) -> nodes.ClusterFacts:
        """The cluster of a port of a MeshService or its like."""
        upstream = None
        if self.shown is not None and self.picture.speaks_tls_to(found):
            prefix = "" if found.identities else names.spiffe_id(self.picture.name, "")
            upstream = nodes.Upstream(
                found.sni, self.shown.identity, self.shown.roots, exact=found.identities, prefix=prefix
            )
        return nodes.ClusterFacts(
            mesh=self.picture.name,
            name=str(found.kri) if self.unified else found.name,
            service=found.name,
            protocol=nodes.Protocol.named(found.protocol),
            target=found.kri,
            upstream=upstream,
            is_external=found.is_external,
        )

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
