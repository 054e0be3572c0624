"""The nodes of a plan: facts that decide, and the Envoy messages that policies edit in place.

A connection manager, its filters and a TLS context stay unpacked until `compiler.render` packs each node once.
`authors` collects who shaped a node, first the resource it stands for, then every policy that edited it.
"""

import enum
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from kuma.base import kri
from kuma.envoy import api
from kuma.plan import proxy
from kuma.resources import resource as res


class Protocol(enum.Enum):
    """What an inbound or a destination speaks."""

    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    KAFKA = "kafka"
    MYSQL = "mysql"
    UNKNOWN = "unknown"

    @classmethod
    def named(cls, name: str) -> "Protocol":
        """The protocol of a name; what nobody knows is carried as plain TCP."""
        return cls(name) if name in cls._value2member_map_ else cls.TCP

    @property
    def is_http(self) -> bool:
        """Whether a connection manager terminates it."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)


class Stage(enum.IntEnum):
    """Where a filter stands in its chain; `compiler.render` sorts by it, equal stages keep their order."""

    AUTHORIZATION = 100
    FACTS = 120
    CONNECTION_LIMIT = 130
    LOG_FACTS = 150
    STATISTICS = 200
    FAULT = 300
    RATE_LIMIT = 400
    PROTOCOL = 500


@dataclass(slots=True)
class FilterNode:
    """One filter, network or HTTP."""

    stage: Stage
    name: str
    message: api.Message


@dataclass(slots=True)
class ChainNode:
    """One filter chain. `http` is the connection manager where there is one, its filters stand in `http_filters`."""

    name: str = ""
    match: api.Message | None = None
    filters: list[FilterNode] = field(default_factory=list)
    http: api.Message | None = None
    http_filters: list[FilterNode] = field(default_factory=list)
    tcp: api.Message | None = None
    tls: api.Message | None = None


@dataclass(slots=True)
class ListenerNode:
    """A listener: `message` without its chains, which stand beside it. `origin` is the generator that made it."""

    name: str
    message: api.Message
    chains: list[ChainNode] = field(default_factory=list)
    authors: dict[res.ResourceRef, None] = field(default_factory=dict)
    origin: str = ""


@dataclass(slots=True)
class ClusterNode:
    """A cluster: `http` are its HTTP protocol options, `tls` its upstream TLS context, both unpacked.

    `by_zone` are zones whose servers are asked for by another name, and that name. `origin` is the generator that made
    it.
    """

    name: str
    message: api.Message
    http: api.Message | None = None
    tls: api.Message | None = None
    by_zone: tuple[tuple[str, str], ...] = ()
    authors: dict[res.ResourceRef, None] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class InboundFacts:
    """What decides about one inbound. `tags` as stored, `section` its name or port as text.

    Without a `workload_port` it leads to a destination outside the mesh and not to an application.
    """

    service: str
    section: str
    address: str
    port: int
    workload_address: str
    workload_port: int
    protocol: Protocol
    tags: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class InboundNode:
    """One inbound of a proxy."""

    facts: InboundFacts
    listener: ListenerNode
    cluster: ClusterNode


@dataclass(frozen=True, slots=True)
class Upstream:
    """How a client proves who it is to a destination and whom it expects there.

    The server has to carry one of the `exact` URIs or, where there is none, one that begins with `prefix`; with neither
    the roots alone decide. `identity` and `roots` name secrets, `server` is the cluster of who hands them out (empty: the
    control plane). `by_zone`: zones, sorted, whose servers are asked for by another name than `sni`, and that name.
    """

    sni: str
    identity: str
    roots: str
    exact: tuple[str, ...] = ()
    prefix: str = ""
    server: str = ""
    by_zone: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What decides about the cluster of one destination; nothing in it is personal to a proxy.

    A destination is either `target`, the KRI of a MeshService or its like with the port as its section, or a
    `kuma.io/service` with, for a subset, further `tags`. `service` is what logs and certificates call it.
    `is_external`: it is outside the mesh. `is_direct`: proxies dial it themselves, past the mesh, and with `ipv6` look
    for addresses of that family, too.
    """

    mesh: str
    name: str
    service: str
    protocol: Protocol
    target: kri.Kri | None = None
    tags: tuple[tuple[str, str], ...] = ()
    upstream: Upstream | None = None
    is_external: bool = False
    is_direct: bool = False
    ipv6: bool = False
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = (self.mesh, self.name, self.service, self.protocol, self.target, self.tags, self.upstream)
        object.__setattr__(self, "_hash", hash(known))

    def __hash__(self) -> int:
        """Kept: every node of every shape is looked for by it."""
        return self._hash


@dataclass(frozen=True, slots=True)
class OutboundFacts:
    """What decides about the listener before one destination; nothing in it is personal to a proxy.

    `subset` is the part of the destination that it leads to, where it asks for tags beside the service. `is_kafka`:
    Envoy's filter for that protocol is used. `source_tags` is the header that tells the destination who calls, where
    some policy of the mesh asks for it.
    """

    destination: ClusterFacts
    address: str
    port: int
    unified: bool
    bind: bool
    ipv6: bool
    source_tags: str = ""
    is_kafka: bool = False
    subset: ClusterFacts | None = None
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_hash", hash((self.destination, self.address, self.port, self.subset, self.source_tags))
        )

    def __hash__(self) -> int:
        """Kept, as that of a destination."""
        return self._hash

    @property
    def default(self) -> ClusterFacts:
        """Where it leads without any route."""
        return self.subset or self.destination


@dataclass(frozen=True, slots=True)
class Split:
    """A share of the requests of a route, and where it goes."""

    cluster: ClusterFacts
    weight: int = 1


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """Where an outbound sends one sort of its requests, or all of its connections.

    `matches` is the hash of the matches and `rule` the KRI of the MeshHTTPRoute, by which policies about a route find
    it; the route that is there without any has no rule. `message` is the Envoy route, None where the outbound speaks
    TCP. `mirrors` get copies. `source` is the conf that it comes from and its place there: with equal sources and
    clusters, routes are equal.
    """

    splits: tuple[Split, ...]
    matches: str = ""
    rule: kri.Kri | None = None
    message: api.Message | None = field(default=None, compare=False)
    mirrors: tuple[ClusterFacts, ...] = ()
    source: Hashable = None
    origins: tuple[res.ResourceRef, ...] = ()

    @property
    def reached(self) -> tuple[ClusterFacts, ...]:
        """Every cluster that it leads to."""
        return (*(each.cluster for each in self.splits), *self.mirrors)


@dataclass(slots=True)
class RouteNode:
    """One Envoy route of an outbound while policies edit it. `chain` is the filter chain it stands in."""

    facts: RouteFacts
    message: api.Message
    chain: ChainNode


@dataclass(slots=True)
class OutboundNode:
    """One outbound: its listener and, where it speaks HTTP, the routes behind it in the order of their trial."""

    facts: OutboundFacts
    listener: ListenerNode
    routes: list[RouteNode] = field(default_factory=list)

    @property
    def chain(self) -> ChainNode:
        """Its only filter chain."""
        return self.listener.chains[0]


@dataclass(slots=True)
class DestinationNode:
    """A destination as clients see it: the cluster that outbounds and routes lead to."""

    facts: ClusterFacts
    cluster: ClusterNode


@dataclass(slots=True)
class EndpointsNode:
    """The endpoints behind a destination: `message` is the ClusterLoadAssignment, grouped by locality."""

    facts: ClusterFacts
    message: api.Message


@dataclass(slots=True)
class ProxyPlan:
    """What is personal to a proxy: its inbounds, listeners and clusters of no destination, documents for its agent.

    `assignments` are endpoints of the clusters.
    `problems`: what policies ask for and cannot be done, for the user.
    """

    proxy: proxy.ProxyFacts
    inbounds: list[InboundNode] = field(default_factory=list)
    listeners: list[ListenerNode] = field(default_factory=list)
    clusters: list[ClusterNode] = field(default_factory=list)
    assignments: list[api.Message] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def add_authors(node: ListenerNode | ClusterNode, authors: Iterable[res.ResourceRef]) -> None:
    """Notes who shaped a node; known authors keep their place."""
    node.authors.update(dict.fromkeys(authors))
