"""What a user writes in a MeshLoadBalancingStrategy. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshloadbalancingstrategy import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values

Named = Annotated[str, values.Required, values.sized(least=1)]
"""The name of what a hash is taken of."""


class Header(kinds.Spec, frozen=True):
    """Hash of a request header."""

    name: Named = ""


class Cookie(kinds.Spec, frozen=True):
    """Hash of a cookie; with a `ttl` the proxy hands one out where there is none."""

    name: Named = ""
    ttl: values.GoDuration | None = None
    path: str | None = None


class Connection(kinds.Spec, frozen=True):
    """Hash of the client's address."""

    source_ip: bool | None = msgspec.field(default=None, name="sourceIP")


class QueryParameter(kinds.Spec, frozen=True):
    """Hash of a parameter of the URL."""

    name: Named = ""


class FilterState(kinds.Spec, frozen=True):
    """Hash of an object that a filter of Envoy left with the request."""

    key: Named = ""


class HashPolicy(kinds.Spec, frozen=True):
    """One part of the hash by which requests stick to endpoints; `type` says which member holds it.

    After a `terminal` one that found something no further one is asked.
    """

    type: Annotated[str, values.Required, values.one_of(*validate.HASH_TYPES)] = ""
    terminal: bool | None = None
    header: Annotated[Header | None, values.spoken_by(*values.HTTP)] = None
    cookie: Annotated[Cookie | None, values.spoken_by(*values.HTTP)] = None
    connection: Connection | None = None
    query_parameter: Annotated[QueryParameter | None, values.spoken_by(*values.HTTP)] = None
    filter_state: FilterState | None = None


class RoundRobin(kinds.Spec, frozen=True):
    """One after the other."""


class Random(kinds.Spec, frozen=True):
    """Any."""


class LeastRequest(kinds.Spec, frozen=True):
    """The one with the fewest requests under way, among `choice_count` that were drawn."""

    choice_count: Annotated[values.UInt32, values.bounded(least=2)] | None = None
    active_request_bias: values.IntOrString | None = None


RingSize = Annotated[values.UInt32, values.bounded(1, 8_000_000)]


class RingHash(kinds.Spec, frozen=True):
    """Consistent hashing on a ring."""

    hash_function: Annotated[str, values.one_of("XXHash", "MurmurHash2")] = ""
    min_ring_size: RingSize | None = None
    max_ring_size: RingSize | None = None
    hash_policies: tuple[HashPolicy, ...] | None = None


class Maglev(kinds.Spec, frozen=True):
    """Consistent hashing by a table (Envoy's documentation, "Maglev")."""

    table_size: Annotated[values.UInt32, values.bounded(1, 5_000_011)] | None = None
    hash_policies: tuple[HashPolicy, ...] | None = None


class LoadBalancer(kinds.Spec, frozen=True):
    """The algorithm, and its settings in the member of that name."""

    type: Annotated[str, values.Required, values.one_of(*validate.ALGORITHMS)] = ""
    round_robin: RoundRobin | None = None
    least_request: LeastRequest | None = None
    ring_hash: RingHash | None = None
    random: Random | None = None
    maglev: Maglev | None = None


class AffinityTag(kinds.Spec, frozen=True):
    """A tag of Dataplanes; endpoints that have the client's value of it are preferred."""

    key: Annotated[str, values.Required] = ""
    weight: values.UInt32 | None = None


class LocalZone(kinds.Spec, frozen=True):
    """Preferences within a zone."""

    affinity_tags: tuple[AffinityTag, ...] | None = None


class FailoverFrom(kinds.Spec, frozen=True):
    """The zones of the clients."""

    zones: Annotated[tuple[str, ...], values.Required] = ()


class FailoverTo(kinds.Spec, frozen=True):
    """The zones that may help out."""

    type: Annotated[str, values.Required, values.one_of("None", "Only", "Any", "AnyExcept")] = ""
    zones: tuple[str, ...] | None = None


class Failover(kinds.Spec, frozen=True):
    """Where clients of some zones (all where `from_` is None) go when theirs has too few endpoints left."""

    from_: FailoverFrom | None = msgspec.field(default=None, name="from")
    to: Annotated[FailoverTo, values.Required] = FailoverTo()


class FailoverThreshold(kinds.Spec, frozen=True):
    """The share of endpoints below which other zones help out."""

    percentage: Annotated[values.IntOrString, values.Required] = 0


class CrossZone(kinds.Spec, frozen=True):
    """What happens when the own zone has too few endpoints left."""

    failover: tuple[Failover, ...] | None = None
    failover_threshold: FailoverThreshold | None = None


class LocalityAwareness(kinds.Spec, frozen=True):
    """Whether the own zone comes first, which it does unless `disabled`."""

    disabled: bool | None = None
    local_zone: LocalZone | None = None
    cross_zone: CrossZone | None = None


class Conf(kinds.Spec, frozen=True):
    """Where requests go, what sticks together, and the algorithm among the endpoints that are left."""

    locality_awareness: LocalityAwareness | None = None
    load_balancer: LoadBalancer | None = None
    hash_policies: tuple[HashPolicy, ...] | None = None


class To(kinds.Spec, frozen=True):
    """A destination, and how its endpoints are chosen."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class MeshLoadBalancingStrategy(kinds.Spec, frozen=True):
    """Load balancing by the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    to: tuple[To, ...] | None = None


KIND = kinds.Kind(
    name="MeshLoadBalancingStrategy",
    plural="meshloadbalancingstrategies",
    scope=kinds.Scope.MESH,
    spec=MeshLoadBalancingStrategy,
    short="mlbs",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True),
    argument="meshloadbalancingstrategy",
    singular_display="Mesh Load Balancing Strategy",
    plural_display="Mesh Load Balancing Strategies",
)
