"""What a user writes in a TrafficLog. Light: the command line imports it."""

from kuma.legacy_policies.trafficlog import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds


class Conf(kinds.Spec, frozen=True):
    """The logging backend of the Mesh by name; empty: its default backend."""

    backend: str = ""


class TrafficLog(connections.Connections, frozen=True):
    """Where connections from `sources` to `destinations` are logged."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="TrafficLog",
    plural="traffic-logs",
    scope=kinds.Scope.MESH,
    spec=TrafficLog,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="traffic-log",
    singular_display="Traffic Log",
    plural_display="Traffic Logs",
)
