"""What the control plane serves: rendered resources, sets of one type, and the snapshot of one proxy.

A resource is serialised once. Its bytes, its version and both wire framings are shared by every snapshot and
stream that holds it, so assembling a reply is joining references.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kuma.discovery import wire

TYPE_PREFIX = "type.googleapis.com/"
CLUSTER = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = TYPE_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME = TYPE_PREFIX + "envoy.service.runtime.v3.Runtime"

NO_MEMBERS: Mapping[str, "Rendered"] = MappingProxyType({})
"""One object for all that is empty: sets are compared by identity of their parts."""


class Rendered:
    """One Envoy resource as bytes. `version` is a hash of the bytes; two equal renderings are interchangeable.

    `sotw` is the field `DiscoveryResponse.resources` ready to be joined. `delta_head` followed by `sotw` is the field
    `DeltaDiscoveryResponse.resources` (a `Resource` with name, version and the `Any`).
    """

    __slots__ = ("_delta_head", "name", "sotw", "type_url", "value_at", "version")

    def __init__(self, type_url: str, name: str, value: bytes) -> None:
        self.type_url = type_url
        self.name = name
        self.version = hashlib.blake2b(value, digest_size=8).hexdigest()
        url = type_url.encode()
        head = wire.delimited(1, url) + bytes((0x12,)) + wire.varint(len(value))
        frame = b"\x12" + wire.varint(len(head) + len(value)) + head
        self.sotw = frame + value
        self.value_at = len(frame)
        self._delta_head: bytes | None = None

    @property
    def value(self) -> bytes:
        """The serialised message itself."""
        return self.sotw[self.value_at :]

    @property
    def delta_head(self) -> bytes:
        """What precedes `sotw` in the delta framing; made when the first delta stream asks."""
        if self._delta_head is None:
            # sotw = tag + len(any) + any; the same Any is Resource.resource (field 2), unchanged.
            body = wire.delimited(3, self.name.encode()) + wire.delimited(1, self.version.encode())
            self._delta_head = b"\x12" + wire.varint(len(body) + len(self.sotw)) + body
        return self._delta_head

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rendered) and self.name == other.name and self.sotw == other.sotw

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __repr__(self) -> str:
        return f"Rendered({self.type_url.rsplit('.', 1)[-1]} {self.name} {self.version})"


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """The resources of one type for one proxy: what it shares with its shape, and what is its own.

    `shared` is one mapping object for all proxies of a shape, so two sets are compared by identity first. A name
    stands in at most one of the two.
    """

    shared: Mapping[str, Rendered] = field(default_factory=lambda: NO_MEMBERS)
    own: Mapping[str, Rendered] = field(default_factory=lambda: NO_MEMBERS)

    def get(self, name: str) -> Rendered | None:
        """The resource called `name`, or None."""
        found = self.own.get(name)
        return found if found is not None else self.shared.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.shared

    def __len__(self) -> int:
        return len(self.shared) + len(self.own)

    def __iter__(self) -> Iterator[Rendered]:
        yield from self.shared.values()
        yield from self.own.values()


EMPTY_SET = ResourceSet()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one proxy is to have: a set per type URL. A new snapshot shares what did not change with the old."""

    sets: Mapping[str, ResourceSet] = field(default_factory=dict)

    def of(self, type_url: str) -> ResourceSet:
        """The set of one type; empty where the proxy has none."""
        return self.sets.get(type_url, EMPTY_SET)
