"""A policy taken apart: its entries, and what of it decides about order and about which proxies it can mean.

Made once for each policy; what is made of several policies refers to these entries and compares them by identity.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.policy_engine.matching import places, precedence, selection
from kuma.policy_engine.merging import merge, rules, subset_rules
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Trait = tuple[str, ...]
"""Something that a proxy can have: a tag, a label, a name, a MeshGateway."""

NAME = "name"


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One policy.

    `clients` are the entries of `from[]`, `inbound` those of `rules[]` and of a `from[]` that is treated alike, one
    for each match. `tagged` are the entries of `to[]` about `kuma.io/service` destinations. A proxy must have each of
    `traits` for the policy to be about it. `universal`: it is about every place of every proxy.
    """

    resource: AnyResource
    name: str
    rank: precedence.Rank
    inbound_rank: precedence.Rank
    to: tuple[tuple[precedence.Rank, merge.Entry], ...]
    tagged: tuple[tuple[rules.Subset, merge.Entry], ...]
    clients: tuple[merge.Entry, ...]
    inbound: tuple[merge.Entry, ...]
    single: merge.Entry | None
    traits: tuple[Trait, ...]
    universal: bool

    @property
    def top(self) -> targetref.TargetRef:
        """Its top-level targetRef."""
        return self.resource.spec.target_ref or targetref.MESH

    @property
    def on_route(self) -> bool:
        """Whether it is attached to a MeshHTTPRoute."""
        return self.top.kind == "MeshHTTPRoute"


def statement_of(kind: kinds.Kind[Any], resource: AnyResource) -> Statement:
    """The parts of one policy of `kind`."""
    traits, spec = kind.policy, resource.spec
    assert traits is not None
    to = tuple(_entries(resource, spec.to)) if traits.has_to else ()
    clients = tuple(_entries(resource, spec.from_)) if traits.has_from else ()
    inbound = tuple(_inbound_entries(resource)) if traits.has_rules else ()
    if traits.from_as_rules and not inbound:
        inbound = clients
    is_single = not (traits.has_to or traits.has_from or traits.has_rules)
    top = spec.target_ref or targetref.MESH
    return Statement(
        resource,
        resource.meta.display_name,
        precedence.rank(resource),
        precedence.inbound_rank(resource),
        tuple((precedence.outbound_rank(resource, target), entry) for target, entry in to),
        tuple(_tagged(to)),
        tuple(entry for _, entry in clients),
        tuple(entry for _, entry in inbound),
        merge.Entry(None, spec.default, res.ref_to(resource)) if is_single else None,
        tuple(needed_by(top)),
        top.kind == "Mesh" and not top.proxy_types and selection.is_in_every_reach(resource.meta),
    )


def _entries(resource: AnyResource, items: Sequence[Any] | None) -> Iterator[tuple[targetref.TargetRef, merge.Entry]]:
    for number, item in enumerate(items or ()):
        yield item.target_ref, merge.Entry(item.target_ref, item.default, res.ref_to(resource, number))


def _inbound_entries(resource: AnyResource) -> Iterator[tuple[targetref.TargetRef, merge.Entry]]:
    for number, rule in enumerate(resource.spec.rules or ()):
        origin = res.ref_to(resource, number)
        for match in getattr(rule, "matches", None) or (None,):
            yield targetref.MESH, merge.Entry(None, rule.default, origin, match)


def _tagged(
    to: Sequence[tuple[targetref.TargetRef, merge.Entry]],
) -> Iterator[tuple[rules.Subset, merge.Entry]]:
    """Entries about tags; none where an entry is about a MeshHTTPRoute, which only real resources have."""
    if all(target.kind != "MeshHTTPRoute" for target, _ in to):
        for target, entry in to:
            if target.kind in subset_rules.TAGGED:
                yield subset_rules.subset_of(target), entry


def needed_by(target: targetref.TargetRef) -> Iterator[Trait]:
    """What a proxy must have for a top-level targetRef to mean it; nothing where any proxy may be meant."""
    if target.kind == "Dataplane":
        if target.name:
            yield NAME, target.name
        yield from (("label", *pair) for pair in (target.labels or {}).items())
    elif target.kind == "MeshGateway":
        yield "gateway", target.name
    elif target.kind in subset_rules.TAGGED:
        yield from (("tag", tag.key, tag.value) for tag in subset_rules.subset_of(target) if tag.value != "*")


def traits_of(proxy: places.Places) -> Iterator[Trait]:
    """Everything of a proxy that policies may ask for."""
    yield NAME, proxy.proxy.display_name
    if proxy.gateway is not None:
        yield "gateway", proxy.gateway.meta.display_name
    yield from (("label", *pair) for pair in proxy.proxy.labels.items())
    for place in proxy.all:
        yield from (("tag", *pair) for pair in place.tags.items())
