"""ZoneIngress: the proxy through which other zones reach the services of this one."""

import msgspec

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.rules import zoneproxies as rules


class EnvoyAdmin(kinds.Spec, frozen=True):
    """Envoy's admin interface."""

    port: values.UInt32 = 0


class Networking(kinds.Spec, frozen=True):
    """Where the proxy listens, and under which address and port other zones reach it."""

    address: str = ""
    advertised_address: str = ""
    port: values.UInt32 = 0
    advertised_port: values.UInt32 = 0
    admin: EnvoyAdmin | None = None


class AvailableService(kinds.Spec, frozen=True):
    """A service that can be reached through it, and how many proxies serve it."""

    __interned__ = True

    tags: dict[str, str] = msgspec.field(default_factory=dict)
    instances: values.UInt32 = 0
    mesh: str = ""
    external_service: bool = False


class ZoneIngress(kinds.Spec, frozen=True):
    """One ingress; an empty `zone` is the control plane's own. The control plane fills in the services."""

    zone: str = ""
    networking: Networking | None = None
    available_services: tuple[AvailableService, ...] = ()


KIND = kinds.Kind(
    name="ZoneIngress",
    plural="zoneingresses",
    alternative_plural="zone-ingresses",
    scope=kinds.Scope.GLOBAL,
    spec=ZoneIngress,
    short="zi",
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.ZONE_TO_ZONE | kinds.Sync.PROVIDED_BY_ZONE,
    validate=rules.validate_ingress,
    argument="zoneingress",
    argument_alias="zone-ingress",
    singular_display="Zone Ingress",
    plural_display="Zone Ingresses",
    overview="ZoneIngressOverview",
    insight="ZoneIngressInsight",
)
