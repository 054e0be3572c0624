"""What a user writes in a MeshProxyPatch. Light: the command line imports it."""

import enum
from typing import Annotated

import msgspec

from kuma.policies.meshproxypatch import validate
from kuma.policy_engine.writing import json_patch
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Operation(enum.StrEnum):
    """What happens to clusters, listeners and virtual hosts."""

    ADD = "Add"
    REMOVE = "Remove"
    PATCH = "Patch"


class FilterOperation(enum.StrEnum):
    """What happens to filters, whose order counts."""

    REMOVE = "Remove"
    PATCH = "Patch"
    ADD_FIRST = "AddFirst"
    ADD_BEFORE = "AddBefore"
    ADD_AFTER = "AddAfter"
    ADD_LAST = "AddLast"


ResourceOperationName = Annotated[str, values.Required, values.one_of(*Operation)]
FilterOperationName = Annotated[str, values.Required, values.one_of(*FilterOperation)]


class Modification(kinds.Spec, frozen=True):
    """What is done with: `value`, a piece of Envoy's configuration as YAML, or `json_patches` on it (RFC 6902)."""

    value: str | None = None
    json_patches: tuple[json_patch.Block, ...] | None = None


class ClusterMatch(kinds.Spec, frozen=True):
    """Clusters by name, and by the part of Kuma that made them; all members have to fit."""

    origin: str | None = None
    name: str | None = None


class ListenerMatch(kinds.Spec, frozen=True):
    """Listeners by name, origin, and tags of the inbound or outbound they are for."""

    origin: str | None = None
    name: str | None = None
    tags: dict[str, str] | None = None


class FilterMatch(kinds.Spec, frozen=True):
    """Filters by name, and by the listeners they are in."""

    origin: str | None = None
    name: str | None = None
    listener_name: str | None = None
    listener_tags: dict[str, str] | None = None


class VirtualHostMatch(kinds.Spec, frozen=True):
    """Virtual hosts by name, and by the route configuration they are in."""

    origin: str | None = None
    name: str | None = None
    route_configuration_name: str | None = None


class Cluster(Modification, frozen=True):
    """A change to clusters."""

    operation: ResourceOperationName = ""
    match: ClusterMatch | None = None


class Listener(Modification, frozen=True):
    """A change to listeners."""

    operation: ResourceOperationName = ""
    match: ListenerMatch | None = None


class NetworkFilter(Modification, frozen=True):
    """A change to the filters of connections, in every filter chain of the listeners that match."""

    operation: FilterOperationName = ""
    match: FilterMatch | None = None


class HttpFilter(Modification, frozen=True):
    """A change to the filters of requests, in every HTTP connection manager of the listeners that match."""

    operation: FilterOperationName = ""
    match: FilterMatch | None = None


class VirtualHost(Modification, frozen=True):
    """A change to the virtual hosts of route configurations."""

    operation: ResourceOperationName = ""
    match: Annotated[VirtualHostMatch | None, values.Required] = None


class Entry(kinds.Spec, frozen=True):
    """One modification: exactly one member is written."""

    cluster: Cluster | None = None
    listener: Listener | None = None
    network_filter: NetworkFilter | None = None
    http_filter: HttpFilter | None = None
    virtual_host: VirtualHost | None = None


class Conf(kinds.Spec, frozen=True):
    """Modifications in the order in which they are made; those of all policies of a proxy are gathered."""

    append_modifications: tuple[Entry, ...] | None = None


class MeshProxyPatch(kinds.Spec, frozen=True):
    """Changes to the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    default: Annotated[Conf, values.Required] = msgspec.field(default_factory=Conf)


KIND = kinds.Kind(
    name="MeshProxyPatch",
    plural="meshproxypatches",
    scope=kinds.Scope.MESH,
    spec=MeshProxyPatch,
    short="mpp",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True),
    argument="meshproxypatch",
    singular_display="Mesh Proxy Patch",
    plural_display="Mesh Proxy Patches",
)
