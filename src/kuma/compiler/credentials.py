"""What a proxy shows to its peers and whom it trusts: the names of its secrets, for all TLS contexts of the mesh.

The secrets themselves are personal and stand in the proxy's own half; their names are the same for all proxies with
the same sort of identity, so that clusters can be shared. A proxy that a MeshIdentity selects shows that identity;
towards destinations by `kuma.io/service` it shows the one of the mesh's CA, if there is one. As soon as a mesh has
MeshTrusts, all its proxies trust what these say, and a CA of the mesh besides, so that identities can be changed
while traffic flows. Source: Kuma's documentation, "MeshIdentity" and "MeshTrust".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kuma.envoy import api, clusters, http, names
from kuma.mesh import spiffe_ids, view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res

ORIGIN = "mesh-trust"
SPIRE_SECONDS = 1.0
"""How long a proxy tries to reach the SPIRE agent, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Names of the secrets with a proxy's certificate and with the roots it trusts, both from `server`.

    `identity` is empty where a proxy should have one and cannot be named; it gets no configuration then.
    `server` is the cluster of who hands secrets out, empty for the control plane. `clients` are what the URIs of
    clients begin with; with none of them the roots alone decide. `names_servers`: so they do on the side of a client,
    unless this is set.
    """

    identity: str
    roots: str
    clients: tuple[str, ...] = ()
    names_servers: bool = True
    server: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Everything that a proxy has: by the CA of its mesh, and by its MeshIdentity. `chosen` is that identity."""

    of_mesh: Credentials | None = None
    of_identity: Credentials | None = None
    chosen: spiffe_ids.Identity | None = field(default=None, compare=False)

    @property
    def shown(self) -> Credentials | None:
        """What it shows to its clients and to MeshServices; None where it has nothing to show."""
        return self.of_identity or self.of_mesh

    @property
    def trusts_bundle(self) -> bool:
        """Whether the roots of all trust domains are needed."""
        return any(each is not None and each.roots == names.TRUST_BUNDLE for each in (self.of_mesh, self.of_identity))

    @property
    def is_external(self) -> bool:
        """Whether its identity is handed out by somebody else than the control plane."""
        return self.of_identity is not None and bool(self.of_identity.server)


NONE = Held()


def held(picture: view.MeshView, subject: proxy.ProxyFacts, *, unified: bool) -> Held:
    """The credentials of a proxy. An identity that cannot name it counts all the same: nobody goes back to plaintext."""
    own = subject.resource.meta.labels
    chosen = spiffe_ids.best(picture.identities, own)
    if chosen is None:
        return Held(_of_mesh(picture, unified))
    return Held(_of_mesh(picture, unified), _of_identity(picture, chosen, own), chosen)


def _of_mesh(picture: view.MeshView, unified: bool) -> Credentials | None:
    if picture.backend is None:
        return None
    identity = names.identity_secret(picture.name, unified)
    if picture.trusts.domains:
        return Credentials(identity, names.TRUST_BUNDLE, names_servers=False)
    return Credentials(identity, names.ca_secret(picture.name, unified), (names.spiffe_id(picture.name, ""),))


def _of_identity(picture: view.MeshView, chosen: spiffe_ids.Identity, own: Mapping[str, str]) -> Credentials:
    if chosen.provider == spiffe_ids.SPIRE:
        return Credentials(chosen.spiffe_id(own) or "", names.SPIRE_BUNDLE, server=names.SPIRE_AGENT)
    domains = {domain for domain, _ in picture.trusts.domains}
    if picture.backend is not None:
        domains.add(picture.name)
    return Credentials(
        str(chosen.kri), names.TRUST_BUNDLE, tuple(names.spiffe_id(domain, "") for domain in sorted(domains))
    )


def spire_agent(chosen: spiffe_ids.Identity, socket: str) -> nodes.ClusterNode:
    """The cluster of the SPIRE agent beside a proxy, which hands out what `chosen` promises."""
    provider = chosen.resource.spec.provider
    agent = provider.spire.agent if provider is not None and provider.spire is not None else None
    timeout = agent.timeout.nanoseconds / 1e9 if agent is not None and agent.timeout is not None else SPIRE_SECONDS
    message = clusters.piped(names.SPIRE_AGENT, socket)
    message.connect_timeout.CopyFrom(api.seconds(timeout))
    made = nodes.ClusterNode(names.SPIRE_AGENT, message, http=http.upstream_options(http2=True), origin=ORIGIN)
    nodes.add_authors(made, [res.ref_to(chosen.resource)])
    return made
