"""All policies of one kind in a mesh, arranged so that matching a proxy looks at few of them.

Policies stand in order of precedence and are found by the rarest tag, label or name that their top-level targetRef
asks for. Confs are merged once for each set of entries, rules once for each set of policies. A new index takes over
the entries and merges of the old one, so what did not change stays the same object.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from kuma.base import labels
from kuma.policy_engine import (
    inbound_rules,
    matches_hash,
    merge,
    places,
    precedence,
    resource_rules,
    rules,
    selection,
    subset_rules,
    surroundings,
)
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Trait = tuple[str, ...]
Positions = tuple[int, ...]
"""Policies by their place in the order of precedence."""

_NAME = "name"


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy with its entries, made once."""

    resource: AnyResource
    to: tuple[merge.Entry, ...]
    clients: tuple[merge.Entry, ...]
    inbound: tuple[merge.Entry, ...]
    single: merge.Entry | None

    @property
    def on_route(self) -> bool:
        """Whether its top-level targetRef is a MeshHTTPRoute."""
        target = self.resource.spec.target_ref
        return target is not None and target.kind == "MeshHTTPRoute"


class PolicyIndex:
    """The policies of one kind, and what was made of them so far."""

    def __init__(
        self,
        kind: kinds.Kind[Any],
        policies: Sequence[AnyResource],
        around: surroundings.Surroundings,
        previous: Optional["PolicyIndex"] = None,
    ) -> None:
        """`policies` are all that count: without shadow policies where those stay out."""
        self.kind = kind
        self.around = around
        self._merges: merge.Merges = merge.Merges() if previous is None else previous._merges
        known = {} if previous is None else {id(each.resource): each for each in previous.policies}
        self.policies: tuple[Policy, ...] = tuple(
            known.get(id(each)) or _policy(kind, each) for each in precedence.sort(policies)
        )
        self.warnings = tuple(text for each in self.policies if (text := selection.unresolved(each.resource, around)))
        self._targets: dict[merge.Entry, resource_rules.Targeted] = {}
        self._everywhere: list[int] = []
        self._by_trait: dict[Trait, list[int]] = {}
        self._arrange()
        self._to: dict[Positions, rules.ToRules] = {}
        self._inbound: dict[Positions, rules.InboundRules] = {}
        self._single: dict[Positions, rules.Merged[Any]] = {}

    def _arrange(self) -> None:
        traits = [tuple(_traits(each.resource)) for each in self.policies]
        self.names = frozenset(trait[1] for several in traits for trait in several if trait[0] == _NAME)
        often = Counter(trait for several in traits for trait in several)
        for position, several in enumerate(traits):
            if several:
                self._by_trait.setdefault(min(several, key=lambda trait: often[trait]), []).append(position)
            else:
                self._everywhere.append(position)

    def select(self, proxy: places.Places) -> list[tuple[int, selection.Selected]]:
        """The policies about a proxy, by position, and the places that each is about."""
        near = set(self._everywhere)
        for trait in _traits_of(proxy):
            near.update(self._by_trait.get(trait, ()))
        found = ((each, selection.selected(self.policies[each].resource, proxy, self.around)) for each in sorted(near))
        return [(position, selected) for position, selected in found if selected]

    def to_rules(self, positions: Positions) -> rules.ToRules:
        """What `to[]` of these policies says."""
        found = self._to.get(positions)
        if found is None:
            chosen = [self.policies[each] for each in positions]
            tags = subset_rules.SubsetRules(self._tag_rules(chosen), self._merges.of)
            found = self._to[positions] = rules.ToRules(self._resource_rules(chosen), tags)
        return found

    def inbound_rules(self, positions: Positions) -> rules.InboundRules:
        """What `from[]` and `rules[]` of these policies say of a place that all of them are about."""
        found = self._inbound.get(positions)
        if found is None:
            chosen = [self.policies[each] for each in positions]
            clients = [entry for each in chosen for entry in each.clients]
            ranked = sorted(chosen, key=lambda each: precedence.entry_rank(each.resource))
            entries = [entry for each in ranked for entry in each.inbound]
            found = self._inbound[positions] = inbound_rules.inbound_rules(clients, entries, self._merges.of)
        return found

    def client_rules(self, items: Sequence[tuple[rules.Subset, merge.Entry]]) -> tuple[rules.SubsetRule, ...]:
        """Rules by the tags of clients out of entries of these policies."""
        return tuple(subset_rules.SubsetRules(subset_rules.exclusive_rules(items), self._merges.of).all())

    def single(self, positions: Positions) -> rules.Merged[Any] | None:
        """The `default` of these policies, merged; None for kinds without one."""
        found = self._single.get(positions)
        if found is None:
            entries = tuple(entry for each in positions if (entry := self.policies[each].single) is not None)
            if not entries:
                return None
            found = self._single[positions] = self._merges.of(entries)
        return found

    def _resource_rules(self, chosen: Iterable[Policy]) -> resource_rules.ResourceRules:
        ranked = [
            (precedence.entry_rank(each.resource, entry.target), self._targeted(each, entry))
            for each in chosen
            if not each.on_route
            for entry in each.to
        ]
        ranked.sort(key=lambda each: each[0])
        return resource_rules.ResourceRules([each for _, each in ranked], self.around, self._merges.of)

    def _targeted(self, policy: Policy, entry: merge.Entry) -> resource_rules.Targeted:
        found = self._targets.get(entry)
        if found is None:
            assert entry.target is not None
            targets = self.around.resolve(entry.target, policy.resource.meta)
            found = self._targets[entry] = (entry, targets)
        return found

    def _tag_rules(self, chosen: Iterable[Policy]) -> list[subset_rules.Numbered]:
        items: list[tuple[rules.Subset, merge.Entry]] = []
        for each in chosen:
            if each.on_route:
                items += self._on_route(each)
            elif all(entry.target is not None and entry.target.kind != "MeshHTTPRoute" for entry in each.to):
                items += (
                    (subset_rules.subset_of(entry.target), entry)
                    for entry in each.to
                    if entry.target is not None and entry.target.kind in subset_rules.TAGGED
                )
        return subset_rules.destination_rules(items)

    def _on_route(self, policy: Policy) -> Iterator[tuple[rules.Subset, merge.Entry]]:
        """The entries of a policy on a MeshHTTPRoute, once for each rule of the route."""
        route = self.around.route_named(policy.resource.spec.target_ref.name)
        for to in (route.spec.to or ()) if route is not None else ():
            service = None if to.target_ref.kind in ("Mesh", "MeshSubset") else to.target_ref.name
            for rule in to.rules or ():
                tags = [rules.Tag(rules.MATCHES_TAG, matches_hash.matches_hash(rule.matches))]
                if service is not None:
                    tags.append(rules.Tag(labels.SERVICE_TAG, service))
                for entry in policy.to:
                    yield tuple(tags), entry


def _policy(kind: kinds.Kind[Any], resource: AnyResource) -> Policy:
    traits, spec = kind.policy, resource.spec
    assert traits is not None
    to = tuple(_entries(resource, spec.to)) if traits.has_to else ()
    clients = tuple(_entries(resource, spec.from_)) if traits.has_from else ()
    inbound = clients if traits.from_as_rules else ()
    for index, rule in enumerate(spec.rules or ()) if traits.has_rules else ():
        origin = res.ref_to(resource, index)
        for match in getattr(rule, "matches", None) or (None,):
            inbound += (merge.Entry(None, rule.default, origin, match),)
    is_single = not (traits.has_to or traits.has_from or traits.has_rules)
    single = merge.Entry(None, spec.default, res.ref_to(resource)) if is_single else None
    return Policy(resource, to, clients, inbound, single)


def _entries(resource: AnyResource, items: Sequence[Any] | None) -> Iterator[merge.Entry]:
    for index, item in enumerate(items or ()):
        yield merge.Entry(item.target_ref, item.default, res.ref_to(resource, index))


def _traits(policy: AnyResource) -> Iterator[Trait]:
    """Things each of which a proxy must have for the policy to be about it; none where any proxy may be meant."""
    target = policy.spec.target_ref or targetref.MESH
    if target.kind == "Dataplane":
        if target.name:
            yield _NAME, target.name
        yield from (("label", *pair) for pair in (target.labels or {}).items() if pair[1] != "*")
    elif target.kind in ("MeshSubset", "MeshServiceSubset", "MeshService"):
        yield from (("tag", *pair) for pair in (target.tags or {}).items() if pair[1] != "*")
        if target.kind != "MeshSubset":
            yield "tag", labels.SERVICE_TAG, target.name
    elif target.kind == "MeshGateway":
        yield "gateway", target.name


def _traits_of(proxy: places.Places) -> Iterator[Trait]:
    """Everything of a proxy that policies may ask for."""
    yield _NAME, proxy.proxy.display_name
    if proxy.gateway is not None:
        yield "gateway", proxy.gateway.meta.display_name
    yield from (("label", *pair) for pair in proxy.proxy.labels.items())
    for place in proxy.all:
        yield from (("tag", *pair) for pair in place.tags.items())
