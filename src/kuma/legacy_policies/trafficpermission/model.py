"""What a user writes in a TrafficPermission. Light: the command line imports it."""

import msgspec

from kuma.legacy_policies.trafficpermission import validate
from kuma.resources import kind as kinds


class Selector(kinds.Spec, frozen=True):
    """Tags that all have to fit; `*` stands for any value."""

    match: dict[str, str] = msgspec.field(default_factory=dict)


class TrafficPermission(kinds.Spec, frozen=True):
    """Clients that fit one of `sources` may reach inbounds that fit one of `destinations`."""

    sources: tuple[Selector, ...] = ()
    destinations: tuple[Selector, ...] = ()


KIND = kinds.Kind(
    name="TrafficPermission",
    plural="traffic-permissions",
    scope=kinds.Scope.MESH,
    spec=TrafficPermission,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="traffic-permission",
    singular_display="Traffic Permission",
    plural_display="Traffic Permissions",
)
