"""What a proxy shows to its peers and whom it trusts: the names of its secrets, for all TLS contexts of the mesh.

The secrets themselves are personal and stand in the proxy's own half; their names are the same for all proxies with
the same sort of identity, so that clusters can be shared.
"""

from dataclasses import dataclass

from kuma.envoy import names
from kuma.mesh import view


@dataclass(frozen=True, slots=True)
class Credentials:
    """Names of the secrets with a proxy's certificate and with the roots it trusts."""

    identity: str
    roots: str


def of_mesh(picture: view.MeshView, *, unified: bool) -> Credentials | None:
    """Those from the CA backend of a mesh; None where it has no mutual TLS."""
    if picture.backend is None:
        return None
    return Credentials(names.identity_secret(picture.name, unified), names.ca_secret(picture.name, unified))
