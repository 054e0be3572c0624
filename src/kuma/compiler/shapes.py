"""Shapes: the outbounds of many proxies, put together out of nodes that shapes share.

Stands in the compile between the match of a proxy and its snapshot. Building a shape is looking for some hundreds of
nodes. A change that concerns the whole mesh has every shape built anew, so what one shape of a picture found for a
destination of which the same is said, the others take over without looking for it.
"""

from collections.abc import Collection, Container, Hashable, Mapping
from dataclasses import dataclass, field, replace

from kuma.base import kri
from kuma.compiler import destinations, hearing, matched, outbounds, routing
from kuma.compiler import shared as sharing
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import nodes
from kuma.policy_engine import routing as routes_of

Sets = Mapping[str, Mapping[str, xds.Rendered]]


@dataclass(frozen=True, slots=True)
class Shape:
    """The outbounds of many proxies. `sets` maps stay the same objects while their content does.

    `services` and `targets` are the destinations it depends on: by `kuma.io/service`, and by KRI. `destinations` are the
    facts of them that it was built from, `reached` those among them that have a cluster: a backend that does not speak
    what is routed has none, and may have one when it changes.
    """

    sets: Sets
    built: Mapping[tuple[str, str], sharing.Built] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    targets: frozenset[kri.Kri] = frozenset()
    destinations: tuple[nodes.ClusterFacts, ...] = ()
    reached: frozenset[nodes.ClusterFacts] = frozenset()
    heard: hearing.Hearing | None = None


@dataclass(slots=True)
class _Found:
    """What shapes of one picture found whose policies say it in equal contexts: by what is said of a destination.

    With a listener stand its routes, by whose identity it is looked for.
    """

    listeners: dict[Hashable, tuple[sharing.Built, routes_of.Routes]] = field(default_factory=dict)
    clusters: dict[Hashable, tuple[sharing.Built, sharing.Built | None]] = field(default_factory=dict)


class Shapes:
    """Builds shapes; keeps nothing but memos."""

    def __init__(self, shared: sharing.SharedNodes) -> None:
        self._shared = shared
        self._routing = routing.Routing()
        self._found: dict[str, tuple[view.MeshView, dict[Hashable, _Found]]] = {}

    def forget_all_but(self, meshes: Container[str]) -> None:
        """Lets go of what was found in meshes that are gone."""
        self._found = {name: found for name, found in self._found.items() if name in meshes}

    def build(
        self,
        picture: view.MeshView,
        clients: destinations.Clients,
        listed: Collection[nodes.OutboundFacts],
        said: matched.Matched,
        before: Shape | None,
    ) -> Shape:
        """The shape of proxies that list these outbounds; maps of `before` are kept where they are equal."""
        heard = hearing.Hearing(said, before.heard if before is not None else None)
        found = self._found_in(picture, clients, heard)
        built: dict[tuple[str, str], sharing.Built] = {}
        named: dict[nodes.ClusterFacts, None] = {}
        reached: dict[nodes.ClusterFacts, None] = {}
        for outbound in listed:
            routes, of_rules = self._routing.routes(outbound, heard, clients)
            named.update(dict.fromkeys((outbound.destination, *of_rules)))
            built[xds.LISTENER, outbounds.listener_name(outbound)] = self._listener(
                picture, outbound, routes, heard, found
            )
            for route in routes:
                for each in route.reached:
                    reached[each] = None
        for facts in reached:
            cluster, assignment = self._cluster(picture, clients, facts, heard, found)
            built[xds.CLUSTER, facts.name] = cluster
            if assignment is not None:
                built[xds.ENDPOINT, facts.name] = assignment
        heard_of = tuple(named | reached)
        services = frozenset(each.service for each in heard_of if each.target is None)
        targets = frozenset(each.target for each in heard_of if each.target is not None)
        return Shape(_sets(built, before), built, services, targets, heard_of, frozenset(reached), heard)

    def _found_in(self, picture: view.MeshView, clients: destinations.Clients, heard: hearing.Hearing) -> _Found:
        known = self._found.get(picture.name)
        if known is None or known[0] is not picture:
            known = self._found[picture.name] = (picture, {})
        return known[1].setdefault((id(clients), heard.told_to), _Found())

    def _listener(
        self,
        picture: view.MeshView,
        outbound: nodes.OutboundFacts,
        routes: routes_of.Routes,
        heard: hearing.Hearing,
        found: _Found,
    ) -> sharing.Built:
        """What is said of single routes counts, too; then it is looked for by all of it."""
        if heard.knows_routes or any(each.rule is not None for each in routes):
            return self._shared.listener(picture, outbound, routes, heard)
        key = (outbound, id(routes), heard.confs(outbound.destination))
        known = found.listeners.get(key)
        if known is None:
            known = found.listeners[key] = (self._shared.listener(picture, outbound, routes, heard), routes)
        return known[0]

    def _cluster(
        self,
        picture: view.MeshView,
        clients: destinations.Clients,
        facts: nodes.ClusterFacts,
        heard: hearing.Hearing,
        found: _Found,
    ) -> tuple[sharing.Built, sharing.Built | None]:
        key = (facts, heard.confs(facts))
        known = found.clusters.get(key)
        if known is None:
            service = clients.endpoints(facts)
            cluster = self._shared.cluster(picture, facts, service, heard)
            assignment = None if facts.is_direct else self._shared.assignment(facts, service, heard)
            known = found.clusters[key] = (cluster, assignment)
        return known

    def with_endpoints(
        self, clients: destinations.Clients, shape: Shape, services: Collection[str], targets: Collection[kri.Kri]
    ) -> Shape | None:
        """A shape after some destinations changed, if nothing but their endpoints did; None where it is to be built anew.

        An endpoint that joins is the most frequent change of all, and costs its own assignment alone.
        """
        changed: dict[tuple[str, str], sharing.Built] = {}
        for facts in shape.destinations:
            if (facts.target not in targets) if facts.target is not None else (facts.service not in services):
                continue
            if facts.is_external or clients.again(facts) != facts or shape.heard is None:
                return None
            if facts in shape.reached:
                made = self._shared.assignment(facts, clients.endpoints(facts), shape.heard)
                changed[xds.ENDPOINT, facts.name] = made
        assigned = dict(shape.sets.get(xds.ENDPOINT, {}))
        assigned.update((name, made.rendered) for (_, name), made in changed.items() if made.rendered is not None)
        sets = dict(shape.sets)
        if not _is_same(sets.get(xds.ENDPOINT, {}), assigned):
            sets[xds.ENDPOINT] = assigned
        return replace(shape, sets=sets, built={**shape.built, **changed})


def _sets(built: Mapping[tuple[str, str], sharing.Built], before: Shape | None) -> Sets:
    """The resources by type and name."""
    sets: dict[str, dict[str, xds.Rendered]] = {}
    for (kind, _), made in built.items():
        if made.rendered is not None:
            sets.setdefault(kind, {})[made.rendered.name] = made.rendered
    old = before.sets if before is not None else {}
    return {kind: old[kind] if kind in old and _is_same(old[kind], new) else new for kind, new in sets.items()}


def _is_same(old: Mapping[str, xds.Rendered], new: Mapping[str, xds.Rendered]) -> bool:
    return len(old) == len(new) and all(old.get(name) is each for name, each in new.items())
