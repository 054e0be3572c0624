"""All policies of one kind in a mesh, arranged so that matching a proxy looks at few of them.

Policies stand in order of precedence and are found by the rarest trait that their top-level targetRef asks for. Confs
are merged once for each set of entries, rules once for each set of policies. A new index takes over from the old one
what did not change, so that equal merges stay the same objects.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from kuma.base import kri, labels
from kuma.policy_engine.matching import places, selection, statement, surroundings
from kuma.policy_engine.merging import inbound_rules, matches_hash, merge, resource_rules, rules, subset_rules
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Positions = tuple[int, ...]
"""Policies by their place in the order of precedence."""


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
        found = [known.get(id(each)) or statement.statement_of(kind, each) for each in policies]
        found.sort(key=lambda each: each.name, reverse=True)
        self.policies: Sequence[statement.Statement] = sorted(found, key=lambda each: each.rank)
        self._unresolved = [
            (each.resource.meta, text)
            for each in self.policies
            if (text := selection.unresolved(each.resource, around))
        ]
        self._arrange_traits()
        positions = {id(each): position for position, each in enumerate(self.policies)}
        by_inbound_rank = sorted(found, key=lambda each: each.inbound_rank)
        self._inbound_places = {positions[id(each)]: place for place, each in enumerate(by_inbound_rank)}
        is_same = previous is not None and previous.around is around
        self._targets: dict[merge.Entry, tuple[kri.Kri, ...]] = {}
        self._resolved = self._resolve(found, positions, previous._targets if previous is not None and is_same else {})
        self._to: dict[Positions, rules.ToRules] = {}
        self._inbound: dict[Positions, rules.InboundRules] = {}

    def _arrange_traits(self) -> None:
        often = Counter(trait for each in self.policies for trait in each.traits)
        self.names = frozenset(trait[1] for trait in (*often, *self._needed_by_routes()) if trait[0] == statement.NAME)
        self._universal: list[int] = []
        self._anywhere: list[int] = []
        self._by_trait: dict[statement.Trait, list[int]] = {}
        for position, each in enumerate(self.policies):
            if each.universal:
                self._universal.append(position)
            elif each.traits:
                self._by_trait.setdefault(min(each.traits, key=often.__getitem__), []).append(position)
            else:
                self._anywhere.append(position)

    def _needed_by_routes(self) -> Iterator[statement.Trait]:
        """What proxies must have for the MeshHTTPRoutes that policies are attached to."""
        routes = (self.around.route_named(each.top.name) for each in self.policies if each.on_route)
        for route in routes:
            if route is not None:
                yield from statement.needed_by(route.spec.target_ref or targetref.MESH)

    def _resolve(
        self,
        found: Sequence[statement.Statement],
        positions: dict[int, int],
        known: dict[merge.Entry, tuple[kri.Kri, ...]],
    ) -> resource_rules.Resolved:
        ranked = [(each, *entry) for each in found if not each.on_route for entry in each.to]
        ranked.sort(key=lambda each: each[1])
        entries = []
        for own, _, entry in ranked:
            assert entry.target is not None
            targets = known.get(entry)
            if targets is None:
                targets = self.around.resolve(entry.target, own.resource.meta)
            self._targets[entry] = targets
            entries.append((positions[id(own)], entry, targets))
        return resource_rules.resolved(entries, self.around)

    def select(self, proxy: places.Places) -> list[tuple[int, selection.Selected]]:
        """The policies about a proxy, by position, and the places that each is about."""
        if not proxy.all:
            return []
        near = set(self._anywhere)
        for trait in set(statement.traits_of(proxy)):
            near.update(self._by_trait.get(trait, ()))
        everywhere = tuple(range(len(proxy.all)))
        found = [(position, everywhere) for position in self._universal]
        for position in near:
            chosen = selection.selected(self.policies[position].resource, proxy, self.around)
            if chosen:
                found.append((position, everywhere if chosen == everywhere else chosen))
        found.sort()
        return found

    def warnings(self, proxy: places.Places) -> tuple[str, ...]:
        """What keeps policies from being about a proxy that they could speak to."""
        return tuple(text for author, text in self._unresolved if selection.is_in_reach(author, proxy))

    def to_rules(self, positions: Positions) -> rules.ToRules:
        """What `to[]` of these policies says."""
        found = self._to.get(positions)
        if found is None:
            found = self._to[positions] = rules.ToRules(
                resource_rules.ResourceRules(self._resolved, positions, self._merges.of),
                subset_rules.SubsetRules(lambda: self._tag_rules(positions), self._merges.of),
            )
        return found

    def inbound_rules(self, positions: Positions) -> rules.InboundRules:
        """What `from[]` and `rules[]` of these policies say of a place that all of them are about."""
        found = self._inbound.get(positions)
        if found is None:
            clients = [entry for each in positions for entry in self.policies[each].clients]
            ranked = sorted(positions, key=self._inbound_places.__getitem__)
            entries = [entry for each in ranked for entry in self.policies[each].inbound]
            found = self._inbound[positions] = inbound_rules.inbound_rules(clients, entries, self._merges.of)
        return found

    def client_rules(self, items: Sequence[subset_rules.Item]) -> tuple[rules.SubsetRule, ...]:
        """Rules by the tags of clients out of entries of these policies."""
        return tuple(subset_rules.SubsetRules(lambda: subset_rules.exclusive_rules(items), self._merges.of).all())

    def single(self, positions: Positions) -> rules.Merged[Any] | None:
        """The `default` of these policies, merged; None for kinds without one."""
        entries = tuple(entry for each in positions if (entry := self.policies[each].single) is not None)
        return self._merges.of(entries) if entries else None

    def _tag_rules(self, positions: Positions) -> list[subset_rules.Numbered]:
        items: list[subset_rules.Item] = []
        for position in positions:
            each = self.policies[position]
            items += self._on_route(each) if each.on_route else each.tagged
        return subset_rules.destination_rules(items)

    def _on_route(self, policy: statement.Statement) -> Iterator[subset_rules.Item]:
        """The entries of a policy on a MeshHTTPRoute, once for each rule of the route."""
        route = self.around.route_named(policy.top.name)
        for to in (route.spec.to or ()) if route is not None else ():
            service = None if to.target_ref.kind in ("Mesh", "MeshSubset") else to.target_ref.name
            for rule in to.rules or ():
                tags = [rules.Tag(rules.MATCHES_TAG, matches_hash.matches_hash(rule.matches))]
                if service is not None:
                    tags.append(rules.Tag(labels.SERVICE_TAG, service))
                for _, entry in policy.to:
                    yield tuple(tags), entry
