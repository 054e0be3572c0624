"""What a user writes in a TrafficRoute. Light: the command line imports it."""

import msgspec

from kuma.legacy_policies.trafficroute import validate
from kuma.policy_engine.writing import connections
from kuma.resources import kind as kinds
from kuma.resources import values


class Split(kinds.Spec, frozen=True):
    """A share of the traffic: `weight` of the sum of all weights goes to endpoints with the tags of `destination`."""

    weight: values.UInt32 | None = None
    destination: dict[str, str] = msgspec.field(default_factory=dict)


class RoundRobin(kinds.Spec, frozen=True):
    """In turn."""


class LeastRequest(kinds.Spec, frozen=True):
    """The least busy of `choice_count` random endpoints; 0: of 2."""

    choice_count: values.UInt32 = 0


class RingHash(kinds.Spec, frozen=True):
    """By a hash of the request on a ring; `hash_function` XX_HASH (also where empty) or MURMUR_HASH_2."""

    hash_function: str = ""
    min_ring_size: values.UInt64 = 0
    max_ring_size: values.UInt64 = 0


class Random(kinds.Spec, frozen=True):
    """At random."""


class Maglev(kinds.Spec, frozen=True):
    """By a hash of the request in Maglev's table."""


class LoadBalancer(kinds.Spec, frozen=True):
    """One of the ways to choose an endpoint; none: in turn."""

    round_robin: RoundRobin | None = None
    least_request: LeastRequest | None = None
    ring_hash: RingHash | None = None
    random: Random | None = None
    maglev: Maglev | None = None


class StringMatcher(kinds.Spec, frozen=True):
    """One of three ways to match a text."""

    prefix: str | None = None
    exact: str | None = None
    regex: str | None = None


class Match(kinds.Spec, frozen=True):
    """Requests that fit everything written here."""

    method: StringMatcher | None = None
    path: StringMatcher | None = None
    headers: dict[str, StringMatcher] | None = None


class RegexReplace(kinds.Spec, frozen=True):
    """What `pattern` finds becomes `substitution`, in which `\\1` stands for the first group."""

    pattern: str = ""
    substitution: str = ""


class PathChange(kinds.Spec, frozen=True):
    """A new path: instead of the prefix that was matched, or by a regular expression."""

    rewrite_prefix: str | None = None
    regex: RegexReplace | None = None


class HostChange(kinds.Spec, frozen=True):
    """A new Host header: as written, or taken from the path."""

    value: str | None = None
    from_path: RegexReplace | None = None


class AddedHeader(kinds.Spec, frozen=True):
    """A header to set, or to append to what is there."""

    name: str = ""
    value: str = ""
    append: bool = False


class RemovedHeader(kinds.Spec, frozen=True):
    """A header to remove."""

    name: str = ""


class HeaderChanges(kinds.Spec, frozen=True):
    """Headers to add and to remove."""

    add: tuple[AddedHeader, ...] = ()
    remove: tuple[RemovedHeader, ...] = ()


class Modify(kinds.Spec, frozen=True):
    """Changes to requests on their way, and to their answers."""

    path: PathChange | None = None
    host: HostChange | None = None
    request_headers: HeaderChanges | None = None
    response_headers: HeaderChanges | None = None


class Http(kinds.Spec, frozen=True):
    """One rule: requests that `match` are changed and go to `split` or `destination`."""

    match: Match | None = None
    modify: Modify | None = None
    split: tuple[Split, ...] = ()
    destination: dict[str, str] = msgspec.field(default_factory=dict)


class Conf(kinds.Spec, frozen=True):
    """Rules for requests in their order; what none of them takes goes to `split` or `destination`."""

    split: tuple[Split, ...] = ()
    load_balancer: LoadBalancer | None = None
    destination: dict[str, str] = msgspec.field(default_factory=dict)
    http: tuple[Http, ...] = ()


class TrafficRoute(connections.Connections, frozen=True):
    """Where clients that fit `sources` send what they ask of `destinations`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="TrafficRoute",
    plural="traffic-routes",
    scope=kinds.Scope.MESH,
    spec=TrafficRoute,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="traffic-route",
    singular_display="Traffic Route",
    plural_display="Traffic Routes",
)
