"""What a user writes in a RateLimit. Light: the command line imports it."""

from kuma.legacy_policies.ratelimit import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class HeaderValue(kinds.Spec, frozen=True):
    """A header of the refusal; `append` to what is there, or instead of it."""

    key: str = ""
    value: str = ""
    append: bool | None = None


class OnRateLimit(kinds.Spec, frozen=True):
    """What is answered above the limit; absent `status`: 429."""

    status: values.UInt32 | None = None
    headers: tuple[HeaderValue, ...] = ()


class Http(kinds.Spec, frozen=True):
    """`requests` in each `interval`, per proxy."""

    requests: values.UInt32 = 0
    interval: values.ProtoDuration | None = None
    on_rate_limit: OnRateLimit | None = None


class Conf(kinds.Spec, frozen=True):
    """Limits by protocol."""

    http: Http | None = None


class RateLimit(connections.Connections, frozen=True):
    """How much of what clients that fit `sources` ask, inbounds that fit `destinations` answer."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="RateLimit",
    plural="rate-limits",
    scope=kinds.Scope.MESH,
    spec=RateLimit,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="rate-limit",
    singular_display="Rate Limit",
    plural_display="Rate Limits",
)
