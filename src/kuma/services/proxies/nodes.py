"""Who is at the other end of an xDS stream: the identity and metadata of an Envoy node.

Ids are `mesh.name`, split at the first dot; zone proxies have an empty mesh (Kuma's bootstrap contract).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kuma.base import errors
from kuma.envoy import bootstrap_request as requests
from kuma.envoy import kafka
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, zoneegress

RESOURCE = "dataplane.resource"
"""Metadata: the Dataplane or zone proxy that the agent brought along, as JSON or YAML."""

PROXY_TYPE = "dataplane.proxyType"
"""Metadata: the type of the proxy, as the agent asked for its bootstrap; absent for a Dataplane."""

OPTIONAL_FILTERS = (kafka.FILTER,)
"""Filters that we use and that not every build of Envoy has."""

_INVALID = "request must have a valid Proxy ID: "


@dataclass(frozen=True, slots=True)
class Node:
    """One Envoy, as its first request describes it. Of its long list of extensions only what is `lacking` is kept."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def offered(self) -> str:
        """The Dataplane or zone proxy that it brings along; empty where it brings none."""
        found = self.metadata.get(RESOURCE)
        return found if isinstance(found, str) else ""


def proxy_key(node: Node) -> res.Key:
    """The Dataplane or ZoneEgress of a node; BadRequest, in Kuma's words, where the id names none."""
    if not node.id:
        raise errors.BadRequest(f"{_INVALID}Envoy ID must not be nil")
    mesh, dot, name = node.id.partition(".")
    if not dot or not name:
        raise errors.BadRequest(f"{_INVALID}the name should be provided after the dot")
    proxy_type = node.metadata.get(PROXY_TYPE) or requests.DATAPLANE
    if proxy_type == requests.EGRESS:
        if mesh:
            raise errors.BadRequest(f"{_INVALID}a zone egress is in no mesh")
        return res.Key(zoneegress.KIND.name, "", name)
    if proxy_type != requests.DATAPLANE:
        raise errors.BadRequest(f'proxies of type "{proxy_type}" are not served by this control plane yet')
    if not mesh:
        raise errors.BadRequest(f"{_INVALID}the mesh should be provided before the dot")
    return res.Key(dataplane.KIND.name, mesh, name)
