"""The nodes of a plan: facts that decide, and the Envoy messages that policies edit in place.

A connection manager, its filters and a TLS context stay unpacked until `compiler.render` packs each node once.
`authors` collects who shaped a node, first the resource it stands for, then every policy that edited it.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

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
    STATISTICS = 200


@dataclass(slots=True)
class FilterNode:
    """One filter, network or HTTP."""

    stage: Stage
    name: str
    message: api.Message


@dataclass(slots=True)
class ChainNode:
    """One filter chain. `http` is the connection manager where there is one, its filters stand in `http_filters`."""

    match: api.Message | None = None
    filters: list[FilterNode] = field(default_factory=list)
    http: api.Message | None = None
    http_filters: list[FilterNode] = field(default_factory=list)
    tcp: api.Message | None = None
    tls: api.Message | None = None


@dataclass(slots=True)
class ListenerNode:
    """A listener: `message` without its chains, which stand beside it."""

    name: str
    message: api.Message
    chains: list[ChainNode] = field(default_factory=list)
    authors: dict[res.ResourceRef, None] = field(default_factory=dict)


@dataclass(slots=True)
class ClusterNode:
    """A cluster: `http` are its HTTP protocol options, `tls` its upstream TLS context, both unpacked."""

    name: str
    message: api.Message
    http: api.Message | None = None
    tls: api.Message | None = None
    authors: dict[res.ResourceRef, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboundFacts:
    """What decides about one inbound. `tags` as stored, `section` its name or port as text."""

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


class Tls(enum.Enum):
    """How a client reaches a destination."""

    PLAIN = "plain"
    MUTUAL = "mutual"


@dataclass(frozen=True, slots=True)
class OutboundFacts:
    """What decides about one destination and the listener before it; nothing in it is personal to a proxy."""

    mesh: str
    service: str
    address: str
    port: int
    protocol: Protocol
    tls: Tls
    unified: bool
    bind: bool
    ipv6: bool


@dataclass(slots=True)
class OutboundNode:
    """One outbound: its listener and the cluster it leads to."""

    facts: OutboundFacts
    listener: ListenerNode
    cluster: ClusterNode


@dataclass(slots=True)
class ProxyPlan:
    """What is personal to a proxy: its inbounds, and listeners and clusters no policy is about."""

    proxy: proxy.ProxyFacts
    inbounds: list[InboundNode] = field(default_factory=list)
    listeners: list[ListenerNode] = field(default_factory=list)
    clusters: list[ClusterNode] = field(default_factory=list)


def add_authors(node: ListenerNode | ClusterNode, authors: Iterable[res.ResourceRef]) -> None:
    """Notes who shaped a node; known authors keep their place."""
    node.authors.update(dict.fromkeys(authors))
