"""What the policies of one kind say of one proxy, once matching and merging are done: values, and look-ups in them.

Confs stand here as the decoded structs of the policy. Equal merges of one state of a mesh are one `Merged`, compared
by identity: whoever caches nodes by the confs that apply keys on the object.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from kuma.base import kri, labels
from kuma.resources import resource as res
from kuma.resources import targetref

Conf = TypeVar("Conf", covariant=True)

MATCHES_TAG = "__rule-matches-hash__"
"""The tag by which a policy on a whole MeshHTTPRoute reaches single rules of it among `kuma.io/service` outbounds."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Merged(Generic[Conf]):
    """One conf out of the entries that apply, and the entries it comes from, the least important first.

    `by_matches` is for routes: which policy wrote the rule with those matches, by the hash of the matches. Routes of
    gateways have a conf for each host name: the first is `conf`, the others are `further`.
    """

    conf: Conf
    origins: tuple[res.ResourceRef, ...] = ()
    by_matches: Mapping[str, res.ResourceRef] = field(default_factory=dict)
    further: tuple[Conf, ...] = ()

    @property
    def confs(self) -> tuple[Conf, ...]:
        """The confs of all host names; one for policies that are not routes."""
        return (self.conf, *self.further)

    @property
    def policies(self) -> tuple[res.ResourceRef, ...]:
        """The policies, each once, without the number of the entry."""
        return tuple(dict.fromkeys(replace(each, rule=-1) for each in self.origins))


class Tag(NamedTuple):
    """A tag that is asked for or, negated, ruled out."""

    key: str
    value: str
    negated: bool = False


Subset = tuple[Tag, ...]
"""Proxies that carry all of these tags, by key; everything for none."""


@dataclass(frozen=True, slots=True)
class SubsetRule:
    """The conf of clients, or of destinations, that a set of tags describes."""

    subset: Subset
    merged: Merged[Any]


@dataclass(frozen=True, slots=True)
class InboundRule:
    """One entry about connections that fit `match`, about all of them for None. Not merged with others."""

    match: targetref.Match | None
    merged: Merged[Any]
    origin: res.ResourceRef

    @property
    def conf(self) -> Any:
        """The entry's conf."""
        return self.merged.conf


@dataclass(frozen=True, slots=True)
class InboundRules:
    """What is said of one inbound, or of one listener of a zone proxy or gateway.

    `clients`: of `from[]`, by tags; the first that fits counts. `rules`: of `rules[]`, and of `from[]` where a kind
    treats it alike, the most specific match first and those for all connections last. Among equals the later one is
    the more important. `base`: those for all connections as one. `on_proxy`: some policy is about the proxy.
    """

    clients: tuple[SubsetRule, ...] = ()
    rules: tuple[InboundRule, ...] = ()
    base: Merged[Any] | None = None
    on_proxy: bool = False

    @property
    def matched(self) -> tuple[InboundRule, ...]:
        """The rules about some connections only."""
        return tuple(each for each in self.rules if each.match is not None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not self.clients and not self.rules

    @property
    def origins(self) -> tuple[res.ResourceRef, ...]:
        """Every entry that has a part in it, each once."""
        found = [origin for each in self.clients for origin in each.merged.origins]
        return tuple(dict.fromkeys([*found, *(each.origin for each in self.rules)]))


NOTHING = InboundRules()
SILENT = InboundRules(on_proxy=True)
"""Of an inbound that no policy is about, while some are about others of the proxy."""


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """The conf of one destination or route, or of one port of it."""

    target: kri.Kri
    resource: res.Resource[Any]
    merged: Merged[Any]


class ResourceRules(Protocol):
    """Rules of real resources by their KRI, with the section where a port has a rule of its own."""

    def find(self, target: kri.Kri) -> Merged[Any] | None:
        """The rule of exactly that resource and section."""

    def find_mesh(self) -> Merged[Any] | None:
        """The rule of the whole mesh."""

    def all(self) -> Iterable[ResourceRule]:
        """Every rule, by KRI."""


class TagRules(Protocol):
    """Rules of `kuma.io/service` destinations, in order; the first that fits counts."""

    def find(self, element: Mapping[str, str]) -> Merged[Any] | None:
        """The rule of a destination with these tags."""

    def all(self) -> Iterable[SubsetRule]:
        """Every rule, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class ToRules:
    """What `to[]` says of destinations."""

    resource_rules: ResourceRules
    tag_rules: TagRules

    def of(self, destination: kri.Kri) -> Merged[Any] | None:
        """The conf of a MeshService or its like, its port as the section: of the port, the resource or the mesh."""
        rules = self.resource_rules
        found = rules.find(destination)
        if found is None and destination.section:
            found = rules.find(destination.with_section(""))
        return rules.find_mesh() if found is None else found

    def of_route(self, route: kri.Kri | None, destination: kri.Kri) -> Merged[Any] | None:
        """The conf of requests that a rule of `route` sends: of the route, else of the destination it is attached to."""
        found = None if route is None else self.resource_rules.find(route.with_section(""))
        return self.of(destination) if found is None else found

    def of_service(
        self, service: str, tags: Mapping[str, str] | None = None, matches_hash: str | None = None
    ) -> Merged[Any] | None:
        """The conf of a `kuma.io/service`, of a subset of it, or of the route with those matches to it."""
        element = {**(tags or {}), labels.SERVICE_TAG: service}
        if matches_hash is not None:
            element[MATCHES_TAG] = matches_hash
        return self.tag_rules.find(element)


class _Nothing:
    """Rules of kinds that say nothing about destinations."""

    def find(self, wanted: Any) -> None:
        """Nothing."""

    def find_mesh(self) -> None:
        """Nothing."""

    def all(self) -> tuple[()]:
        """Nothing."""
        return ()


NO_DESTINATIONS = ToRules(_Nothing(), _Nothing())

Listener = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True, eq=False)
class GatewayRules:
    """What is said of the listeners of a builtin gateway: `to` by listener, and by listener and host name."""

    inbounds: Mapping[Listener, InboundRules] = field(default_factory=dict)
    by_listener: Mapping[Listener, ToRules] = field(default_factory=dict)
    by_hostname: Mapping[tuple[str, int, str], ToRules] = field(default_factory=dict)


NO_GATEWAY = GatewayRules()


@dataclass(frozen=True, slots=True, eq=False)
class ProxyRules:
    """What the policies of one kind say of one proxy.

    `policies` are about it, the least important first. `inbounds` has the inbounds and zone proxy listeners that one
    of them is about. `single` is the conf of kinds that are about the whole proxy. `warnings` are for the user.
    """

    kind: str
    policies: tuple[res.Resource[Any], ...]
    to: ToRules
    inbounds: Mapping[Listener, InboundRules] = field(default_factory=dict)
    single: Merged[Any] | None = None
    gateway: GatewayRules = NO_GATEWAY
    warnings: tuple[str, ...] = ()

    def inbound(self, address: str, port: int) -> InboundRules:
        """What is said of one inbound."""
        return self.inbounds.get((address, port)) or (SILENT if self.policies else NOTHING)
