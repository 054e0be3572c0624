"""Who is at the other end of an xDS stream: the identity and metadata of an Envoy node.

Ids are `mesh.name`, split at the first dot; zone proxies have an empty mesh (Kuma's bootstrap contract).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kuma.base import errors
from kuma.envoy import kafka
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane

RESOURCE = "dataplane.resource"
"""Metadata: the Dataplane that the agent brought along, as JSON or YAML."""

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
        """The Dataplane that it brings along; empty where it brings none."""
        found = self.metadata.get(RESOURCE)
        return found if isinstance(found, str) else ""


def dataplane_key(node_id: str) -> res.Key:
    """The Dataplane of a node; BadRequest, in Kuma's words, where the id names none."""
    if not node_id:
        raise errors.BadRequest(f"{_INVALID}Envoy ID must not be nil")
    mesh, dot, name = node_id.partition(".")
    if not dot or not name:
        raise errors.BadRequest(f"{_INVALID}the name should be provided after the dot")
    if not mesh:
        raise errors.BadRequest(f"{_INVALID}the mesh should be provided before the dot")
    return res.Key(dataplane.KIND.name, mesh, name)
