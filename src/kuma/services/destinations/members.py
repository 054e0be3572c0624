"""Proxies as destinations see them. Pure.

Every proxy is filed under all of its terms, so that a change finds what it reaches without a walk over the mesh: see
`mesh.selectors`. Source: Kuma's documentation, "MeshService".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kuma.base import labels
from kuma.mesh import selectors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, meshservice

NO_SERVICE_PORT = 49151
"""The port of an inbound that stands for a proxy without any (Kuma's `TCPPortReserved`)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What an insight says: whether the proxy is connected, and whether it was given a certificate."""

    is_connected: bool = False
    is_certified: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One proxy. Two are equal where no destination could tell them apart."""

    name: str
    created: datetime
    labels: Mapping[str, str]
    inbounds: tuple[dataplane.Inbound, ...] = ()
    gateway_tags: Mapping[str, str] | None = None
    connection: Connection = field(default_factory=Connection)

    @property
    def all_tags(self) -> tuple[Mapping[str, str], ...]:
        """The tags of the gateway, and those of each inbound, be it ignored or not."""
        return self.gateway_tags or {}, *(each.tags for each in self.inbounds)

    @property
    def services(self) -> frozenset[str]:
        """Every service that it bears the name of."""
        return frozenset(tags[labels.SERVICE_TAG] for tags in self.all_tags if tags.get(labels.SERVICE_TAG))

    @property
    def workload(self) -> str:
        """The workload it belongs to; empty if none. Gateways belong to none."""
        return "" if self.gateway_tags is not None else self.labels.get(labels.WORKLOAD, "")

    @property
    def age(self) -> tuple[datetime, str]:
        """Sorts the oldest first."""
        return self.created, self.name

    def terms(self) -> frozenset[selectors.Term]:
        """Everything by which a selector, or a MeshService that it calls for, could find it."""
        return frozenset(selectors.terms_of(self.name, self.labels, self.all_tags))

    def is_selected(self, selector: meshservice.Selector | None) -> bool:
        """Whether a selector is about the proxy."""
        sets = selectors.tag_sets(self.inbounds, self.gateway_tags)
        return selectors.selects(selector, self.name, self.labels, sets)


def connection_of(insight: dataplaneinsight.DataplaneInsight) -> Connection:
    """The part of an insight that destinations depend on."""
    return Connection(insight.is_online, insight.mtls is not None and bool(insight.mtls.issued_backend))


def member_of(resource: res.Resource[dataplane.Dataplane], connection: Connection) -> Member:
    """A Dataplane as destinations see it."""
    networking = resource.spec.networking or dataplane.Networking()
    return Member(
        resource.meta.name,
        resource.meta.creation_time,
        resource.meta.labels,
        networking.inbound,
        networking.gateway.tags if networking.gateway is not None else None,
        connection,
    )
