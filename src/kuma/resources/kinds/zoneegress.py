"""ZoneEgress: the proxy through which a zone's traffic leaves for other zones and for the world."""

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.rules import zoneproxies as rules


class EnvoyAdmin(kinds.Spec, frozen=True):
    """Envoy's admin interface."""

    port: values.UInt32 = 0


class Networking(kinds.Spec, frozen=True):
    """Where the proxy listens."""

    address: str = ""
    port: values.UInt32 = 0
    admin: EnvoyAdmin | None = None


class ZoneEgress(kinds.Spec, frozen=True):
    """One egress; an empty `zone` is the control plane's own."""

    zone: str = ""
    networking: Networking | None = None


KIND = kinds.Kind(
    name="ZoneEgress",
    plural="zoneegresses",
    scope=kinds.Scope.GLOBAL,
    spec=ZoneEgress,
    short="ze",
    sync=kinds.Sync.ZONE_TO_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    validate=rules.validate_egress,
    argument="zoneegress",
    singular_display="Zone Egress",
    plural_display="Zone Egresses",
    overview="ZoneEgressOverview",
    insight="ZoneEgressInsight",
)
