"""What a user writes in a TrafficPermission. Light: the command line imports it."""

from kuma.legacy_policies.trafficpermission import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds


class TrafficPermission(connections.Connections, frozen=True):
    """Clients that fit one of `sources` may reach inbounds that fit one of `destinations`."""


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
