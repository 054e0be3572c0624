"""The incremental variant: requests add and drop names, answers hold what changed and the names that are gone."""

from collections.abc import Sequence

from kuma.discovery import framing, machine, sharing, wire
from kuma.discovery import resources as res


class Delta:
    """The face of `DeltaAggregatedResources`."""

    covering = False

    def subscribe(
        self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing, *, first: bool
    ) -> None:
        """Names are added and dropped. A first request that names nothing means everything."""
        if not first:
            self._change(sub, request, shared)
            return
        sub.wildcard = not request.subscribe or machine.WILDCARD in request.subscribe
        sub.names = shared.names(frozenset(request.subscribe) - {machine.WILDCARD})
        sub.claimed = dict(request.initial_versions)
        sub.resumed = bool(request.initial_versions)

    def repeat(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> None:
        """As any change of names: what was subscribed before and is subscribed again is sent again."""
        self._change(sub, request, shared)

    def stale(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> None:
        """Names are changes, not a state: they count whatever the nonce."""
        self._change(sub, request, shared)

    def _change(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> None:
        if not (request.subscribe or request.unsubscribe):
            return
        dropped, added = set(request.unsubscribe), set(request.subscribe)
        if machine.WILDCARD in dropped:
            sub.wildcard = False
        if machine.WILDCARD in added:
            sub.wildcard = sub.asked = True
        names = added - {machine.WILDCARD}
        sub.again.difference_update(dropped)
        sub.again.update(names)
        if sub.wildcard:
            # Dropped by name, still meant by the wildcard: the client must learn what holds for it.
            sub.doubtful.update(dropped - names - {machine.WILDCARD})
        sub.names = shared.names((sub.names - dropped) | names)

    def answer(
        self,
        sub: machine.Subscription,
        target: res.ResourceSet,
        difference: sharing.Difference,
        shared: sharing.Sharing,
    ) -> machine.Answer | None:
        """What the client lacks. The first answer to a wildcard is sent even if it is empty: clients wait for it."""
        if sub.sent is None:
            return self._first(sub, target, shared)
        if sub.asked:
            common, own = self._wanted(sub, target, shared)
            return machine.Answer(own, self._gone(sub, target, difference), (*common, *own), common)
        if sub.wildcard and not (sub.doubtful or sub.again):
            removed = self._gone(sub, target, difference)
            changed = difference.changed
            return machine.Answer(difference.own, removed, changed, difference.common) if changed or removed else None
        chosen = {r.name: r for r in difference.changed if sub.wants(r.name)}
        chosen |= {name: r for name in sub.doubtful if sub.wants(name) and (r := target.get(name))}
        renewed = list(chosen.values())
        chosen |= {name: r for name in sub.again if sub.wants(name) and (r := target.get(name))}
        removed = self._gone(sub, target, difference)
        return machine.Answer(tuple(chosen.values()), removed, renewed) if chosen or removed else None

    def _gone(
        self, sub: machine.Subscription, target: res.ResourceSet, difference: sharing.Difference
    ) -> tuple[str, ...]:
        gone = dict.fromkeys(name for name in difference.removed if sub.wants(name))
        gone |= dict.fromkeys(name for name in sub.doubtful if sub.wants(name) and name not in target)
        return tuple(gone)

    def _first(
        self, sub: machine.Subscription, target: res.ResourceSet, shared: sharing.Sharing
    ) -> machine.Answer | None:
        """What differs from the versions that the client brought along from an earlier stream."""
        common, own = self._wanted(sub, target, shared)
        if not sub.claimed:
            return machine.Answer(own, (), (*common, *own), common) if common or own or sub.wildcard else None
        wanted = (*common, *own)
        renewed = [r for r in wanted if sub.claimed.get(r.name) != r.version]
        same = [r for r in wanted if sub.claimed.get(r.name) == r.version and r.name in sub.again]
        removed = tuple(name for name in sub.claimed if sub.wants(name) and name not in target)
        if not (renewed or same or removed or sub.wildcard):
            return None
        return machine.Answer((*renewed, *same), removed, renewed)

    @staticmethod
    def _wanted(
        sub: machine.Subscription, target: res.ResourceSet, shared: sharing.Sharing
    ) -> tuple[framing.Common, Sequence[res.Rendered]]:
        return shared.members(target) if sub.wildcard else shared.some(target, sub.names)

    def response(
        self, type_url: str, nonce: str, version: str, answer: machine.Answer, identifier: str
    ) -> machine.Response:
        """A `DeltaDiscoveryResponse`: version 1, resources 2, type_url 4, nonce 5, removed 6, control_plane 7."""
        tail = wire.text(4, type_url) + wire.text(5, nonce)
        tail += b"".join(wire.delimited(6, name.encode()) for name in answer.removed)
        tail += wire.delimited(7, wire.text(1, identifier))
        return machine.Response(type_url, nonce, version, answer, head=wire.text(1, version), tail=tail, delta=True)
