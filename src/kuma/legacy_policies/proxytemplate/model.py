"""What a user writes in a ProxyTemplate. Light: the command line imports it."""

import msgspec

from kuma.legacy_policies.proxytemplate import validate
from kuma.resources import kind as kinds
from kuma.resources import selectors


class RawResource(kinds.Spec, frozen=True):
    """An Envoy resource to add: YAML text that says its type under `@type`."""

    name: str = ""
    version: str = ""
    resource: str = ""


class ClusterMatch(kinds.Spec, frozen=True):
    """Clusters by who made them and by name; empty: all."""

    origin: str = ""
    name: str = ""


class Cluster(kinds.Spec, frozen=True):
    """A change to clusters: `operation` add, patch or remove."""

    match: ClusterMatch | None = None
    operation: str = ""
    value: str = ""


class ListenerMatch(kinds.Spec, frozen=True):
    """Listeners by who made them, by name and by tags; empty: all."""

    origin: str = ""
    name: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Listener(kinds.Spec, frozen=True):
    """A change to listeners: `operation` add, patch or remove."""

    match: ListenerMatch | None = None
    operation: str = ""
    value: str = ""


class FilterMatch(kinds.Spec, frozen=True):
    """Filters by name and by the listener they are in; empty: all."""

    origin: str = ""
    name: str = ""
    listener_name: str = ""
    listener_tags: dict[str, str] = msgspec.field(default_factory=dict)


class Filter(kinds.Spec, frozen=True):
    """A change to filters: `operation` addFirst, addLast, addBefore, addAfter, patch or remove."""

    match: FilterMatch | None = None
    operation: str = ""
    value: str = ""


class VirtualHostMatch(kinds.Spec, frozen=True):
    """Virtual hosts by name and by the route configuration they are in; empty: all."""

    origin: str = ""
    name: str = ""
    route_configuration_name: str = ""


class VirtualHost(kinds.Spec, frozen=True):
    """A change to virtual hosts: `operation` add, patch or remove."""

    match: VirtualHostMatch | None = None
    operation: str = ""
    value: str = ""


class Modifications(kinds.Spec, frozen=True):
    """One change."""

    cluster: Cluster | None = None
    listener: Listener | None = None
    network_filter: Filter | None = None
    http_filter: Filter | None = None
    virtual_host: VirtualHost | None = None


class Conf(kinds.Spec, frozen=True):
    """Profiles to start from, resources to add, then changes in their order."""

    imports: tuple[str, ...] = ()
    resources: tuple[RawResource, ...] = ()
    modifications: tuple[Modifications, ...] = ()


class ProxyTemplate(selectors.Selected, frozen=True):
    """The configuration of proxies that fit one of `selectors`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="ProxyTemplate",
    plural="proxytemplates",
    scope=kinds.Scope.MESH,
    spec=ProxyTemplate,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="proxytemplate",
    singular_display="Proxy Template",
    plural_display="Proxy Templates",
)
