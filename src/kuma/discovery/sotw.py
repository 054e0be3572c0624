"""The state-of-the-world variant: requests name all they want, answers about clusters and listeners are complete.

Of the other types an answer may hold only what changed: Envoy keeps the rest.
"""

from collections.abc import Sequence

from kuma.discovery import machine, sharing, wire
from kuma.discovery import resources as res

COMPLETE = frozenset((res.CLUSTER, res.LISTENER))


class StateOfTheWorld:
    """The face of `StreamAggregatedResources`."""

    covering = True

    def subscribe(
        self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing, *, first: bool
    ) -> None:
        """The list of names replaces the one before. An empty first list means everything."""
        if first:
            sub.wildcard = not request.names or machine.WILDCARD in request.names
            sub.names = shared.names(frozenset(request.names) - {machine.WILDCARD})
            sub.resumed = bool(request.version_info)
        elif self._replace(sub, request, shared):
            sub.asked = True

    def repeat(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> None:
        """Everything is sent anew, unless the request only lets names go."""
        before, was_wildcard = sub.names, sub.wildcard
        self._replace(sub, request, shared)
        if sub.wildcard or not (was_wildcard or sub.names < before):
            sub.asked = True

    def stale(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> None:
        """Nothing: the client will answer the later response too, with all its names."""

    def _replace(self, sub: machine.Subscription, request: machine.Request, shared: sharing.Sharing) -> bool:
        """Takes over the names; whether there are any that were not asked for before."""
        if not request.names and sub.wildcard and not sub.names:
            return False
        wildcard = machine.WILDCARD in request.names
        names = frozenset(request.names) - {machine.WILDCARD}
        if names == sub.names and wildcard == sub.wildcard:
            return False
        grown = (wildcard and not sub.wildcard) or (not sub.wildcard and not names <= sub.names)
        sub.names, sub.wildcard = shared.names(names), wildcard
        return grown

    def answer(
        self,
        sub: machine.Subscription,
        target: res.ResourceSet,
        difference: sharing.Difference,
        shared: sharing.Sharing,
    ) -> machine.Answer | None:
        """All that is wanted where the type must be complete or was asked for; else what changed of it.

        A complete answer that was rejected is given again though it holds nothing: it says that all is gone.
        """
        if sub.sent is None or sub.asked:
            return self._all(sub, target, shared, None)
        touched = sub.again | sub.doubtful
        renewed = difference.changed if sub.wildcard else [r for r in difference.changed if r.name in sub.names]
        if sub.doubtful:
            doubted = (r for name in sub.doubtful if sub.wants(name) and (r := target.get(name)))
            renewed = [*renewed, *(r for r in doubted if r not in renewed)]
        if sub.wildcard or sub.type_url in COMPLETE:
            gone = any(sub.wants(name) for name in difference.removed)
            if not (renewed or touched or gone or sub.rejected):
                return None
            return self._all(sub, target, shared, renewed)
        touched.difference_update(r.name for r in renewed)
        same, own = shared.some(target, sub.names & touched) if touched else ((), ())
        return machine.Answer((*renewed, *own), renewed=renewed, common=same) if renewed or same or own else None

    def _all(
        self,
        sub: machine.Subscription,
        target: res.ResourceSet,
        shared: sharing.Sharing,
        renewed: Sequence[res.Rendered] | None,
    ) -> machine.Answer:
        """An answer with all that is wanted; `renewed`: those that are new to the client, None for all."""
        common, own = shared.members(target)
        if not sub.wildcard and not (
            len(target) <= len(sub.names) and all(r.name in sub.names for r in (*common, *own))
        ):
            common, own = shared.some(target, sub.names)
        return machine.Answer(own, renewed=(*common, *own) if renewed is None else renewed, common=common)

    def response(
        self, type_url: str, nonce: str, version: str, answer: machine.Answer, identifier: str
    ) -> machine.Response:
        """A `DiscoveryResponse`: version_info 1, resources 2, type_url 4, nonce 5, control_plane 6."""
        tail = wire.text(4, type_url) + wire.text(5, nonce) + wire.delimited(6, wire.text(1, identifier))
        return machine.Response(type_url, nonce, version, answer, head=wire.text(1, version), tail=tail, delta=False)
