"""What a user writes in a TrafficTrace. Light: the command line imports it."""

from kuma.legacy_policies.traffictrace import validate
from kuma.resources import kind as kinds
from kuma.resources import selectors


class Conf(kinds.Spec, frozen=True):
    """The tracing backend of the Mesh by name; empty: its default backend."""

    backend: str = ""


class TrafficTrace(selectors.Selected, frozen=True):
    """Where proxies that fit one of `selectors` send traces."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="TrafficTrace",
    plural="traffic-traces",
    scope=kinds.Scope.MESH,
    spec=TrafficTrace,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="traffic-trace",
    singular_display="Traffic Trace",
    plural_display="Traffic Traces",
)
