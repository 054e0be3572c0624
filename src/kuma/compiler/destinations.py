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


@dataclass(frozen=True, slots=True)
class Clients:
    """The side of the clients: their mesh, naming, and what they show. Equal for proxies that share clusters."""

    picture: view.MeshView
    unified: bool
    shown: credentials.Credentials | None

    def of_service(self, service: str, tags: Mapping[str, str] | None = None) -> nodes.ClusterFacts:
        """The cluster of a `kuma.io/service`, or of those of its endpoints that carry `tags`."""
        mesh = self.picture.name
        upstream = None
        if self.shown is not None and self.picture.speaks_tls(service):
            upstream = nodes.Upstream(
                names.service_sni(service, mesh, tags),
                self.shown.identity,
                self.shown.roots,
                exact=(names.spiffe_id(mesh, service),),
            )
        return nodes.ClusterFacts(
            mesh=mesh,
            name=names.service_cluster(service, tags or {}),
            service=service,
            protocol=nodes.Protocol.named(self.picture.endpoints.of(service).protocol),
            tags=tuple(sorted((tags or {}).items())),
            upstream=upstream,
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
        )

    def endpoints(self, facts: nodes.ClusterFacts) -> endpoints.Service:
        """Who answers for a destination."""
        if facts.target is not None:
            return self.picture.endpoints_of(facts.target)
        return self.picture.endpoints.of(facts.service, dict(facts.tags))
