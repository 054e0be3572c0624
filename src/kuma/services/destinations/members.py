"""Proxies as destinations see them, and how a MeshService selects them. Pure.

A selector is looked up by one *term*: a tag or label with its value, or a name. Every proxy is filed under all of its
terms, so that a change finds what it reaches without a walk over the mesh. Source: Kuma's documentation, "MeshService".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kuma.base import labels
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, meshservice

Term = tuple[str, str, str]
"""How a proxy is found (`tag`, `label`, `name`), key and value."""

ANY: Term = ("any", "", "")
"""The term of every proxy: an empty set of tags or labels selects all."""

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
    def tag_sets(self) -> Iterator[Mapping[str, str]]:
        """The tags of each inbound, or of the gateway."""
        if self.gateway_tags is not None:
            yield self.gateway_tags
        for each in self.inbounds:
            yield each.tags

    @property
    def services(self) -> frozenset[str]:
        """Every service that it bears the name of."""
        return frozenset(tags[labels.SERVICE_TAG] for tags in self.tag_sets if tags.get(labels.SERVICE_TAG))

    @property
    def workload(self) -> str:
        """The workload it belongs to; empty if none. Gateways belong to none."""
        return "" if self.gateway_tags is not None else self.labels.get(labels.WORKLOAD, "")

    @property
    def age(self) -> tuple[datetime, str]:
        """Sorts the oldest first."""
        return self.created, self.name

    def terms(self) -> frozenset[Term]:
        """Everything a selector could find it by."""
        own: set[Term] = {ANY, ("name", "", self.name)}
        own.update(("label", key, value) for key, value in self.labels.items())
        own.update(("tag", key, value) for tags in self.tag_sets for key, value in tags.items())
        return frozenset(own)


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


def term_of(selector: meshservice.Selector | None) -> Term | None:
    """The term to look a selector up by; None where it selects nothing."""
    if selector is None:
        return None
    if selector.dataplane_ref is not None:
        return "name", "", selector.dataplane_ref.name
    if selector.dataplane_tags is not None:
        return _rarest("tag", selector.dataplane_tags)
    if selector.dataplane_labels is not None:
        return _rarest("label", selector.dataplane_labels.match_labels or {})
    return None


def _rarest(how: str, wanted: Mapping[str, str]) -> Term:
    """The service names fewer proxies than any other tag; among the rest there is nothing to tell."""
    if not wanted:
        return ANY
    key = labels.SERVICE_TAG if labels.SERVICE_TAG in wanted else min(wanted)
    return how, key, wanted[key]


def selects(selector: meshservice.Selector, member: Member) -> bool:
    """Whether a selector is about a proxy: by name, by all tags of one inbound (or of the gateway), or by labels."""
    if selector.dataplane_ref is not None:
        return selector.dataplane_ref.name == member.name
    if selector.dataplane_tags is not None:
        wanted = selector.dataplane_tags
        return any(all(tags.get(key) == value for key, value in wanted.items()) for tags in member.tag_sets)
    return selector.dataplane_labels is not None and selector.dataplane_labels.matches(member.labels)
