"""One ADS stream as a state machine: what the client asked for, what it was sent, and what it is owed now.

The server feeds `receive` and `on_snapshot`, and sends what `flush` returns. The protocol's two variants share
this core and differ in a `Face`: how a request changes a subscription, which resources an answer must hold, and how
it is framed. Rules: Envoy's "xDS REST and gRPC protocol" page, Kuma's ordered ADS, and what real Envoys showed.

A stream holds references to the sets it last answered from, never versions per resource. There is at most one
unanswered response per type; what happens meanwhile is gathered, so a slow client skips revisions.

Clusters come before the listeners and routes that name them, and go after those that named them: until new listeners
and routes are acknowledged and the old ones have drained, what is served of clusters and endpoints is the snapshot and
what is gone from it (`Machine._target`).
"""

import enum
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from kuma.discovery import framing, sharing
from kuma.discovery import resources as res

ORDER = (res.CLUSTER, res.ENDPOINT, res.SECRET, res.LISTENER, res.ROUTE, res.RUNTIME)
"""Make before break: clusters and what they need, then what refers to clusters."""

AFTER_CLUSTERS = frozenset((res.LISTENER, res.ROUTE))
OUTLIVING = frozenset((res.CLUSTER, res.ENDPOINT))
"""The types of which listeners and routes need what they name, for as long as they stand."""

PARENTS = {res.ENDPOINT: (res.CLUSTER,), res.ROUTE: (res.LISTENER,), res.SECRET: (res.CLUSTER, res.LISTENER)}
"""The types from which a client learns which names to ask for."""

WILDCARD = "*"
BACKOFF = 5.0
DRAIN = 30.0
"""Seconds for which connections of a replaced listener go on by its old routes: kuma-dp's `--drain-time`."""
DRAINING_LIMIT = 4
"""Revisions whose listeners may drain at a time; of more, the clusters of the oldest go early."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client, of either variant. `names` is for the state of the world, the next three for delta.

    `error` is code and message of a rejection; `version_info` what a reconnecting client says it has.
    """

    type_url: str
    names: Sequence[str] = ()
    subscribe: Sequence[str] = ()
    unsubscribe: Sequence[str] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    version_info: str = ""
    error: tuple[int, str] | None = None


class Verdict(enum.Enum):
    """What a request turned out to be."""

    ASKED = "asked"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Answer:
    """The resources of one response, before it has a nonce: those in `common` with other streams, and the `own`.

    `renewed`: those whose bytes are new to the client.
    """

    own: Sequence[res.Rendered] = ()
    removed: Sequence[str] = ()
    renewed: Sequence[res.Rendered] = ()
    common: framing.Common = ()

    @property
    def resources(self) -> Sequence[res.Rendered]:
        """All of them, as they are sent."""
        return (*self.common, *self.own)


@dataclass(frozen=True, slots=True)
class Response:
    """One message to send. `head` and `tail` are the fields before and after the resources, ready for the wire."""

    type_url: str
    nonce: str
    version: str
    answer: Answer
    head: bytes
    tail: bytes
    delta: bool

    def parts(self, frames: framing.Frames) -> list[bytes]:
        """The serialised message in pieces; resources are the shared bytes themselves."""
        common = frames.of(self.answer.common, delta=self.delta)
        return [self.head, *common, *framing.pieces_of(self.answer.own, delta=self.delta), self.tail]


@dataclass(slots=True)
class Subscription:
    """One type on one stream."""

    type_url: str
    names: frozenset[str] = frozenset()
    wildcard: bool = False
    claimed: Mapping[str, str] = field(default_factory=dict)
    """Versions a reconnecting delta client has; forgotten with the first answer."""
    resumed: bool = False
    """The client came with an earlier stream's configuration."""
    nonce: str = ""
    sent: res.ResourceSet | None = None
    flight: Answer | None = None
    """The response that was neither acknowledged nor rejected yet."""
    asked: bool = False
    """Everything was asked for anew."""
    again: set[str] = field(default_factory=set)
    """Names to send though their bytes did not change."""
    doubtful: set[str] = field(default_factory=set)
    """Names of a rejected response: the client has the old bytes, the new ones or none."""
    rejected: bool = False
    retry_at: float | None = None
    stands: res.Snapshot | None = None
    """Listeners and routes only: the snapshot that what the client acknowledged last is of."""
    offered: res.Snapshot | None = None
    """Listeners and routes only: the snapshot that what the client was sent last is of."""

    def wants(self, name: str) -> bool:
        """Whether the client is subscribed to `name`."""
        return self.wildcard or name in self.names


class Face(Protocol):
    """What tells the two variants of the protocol apart. `covering`: see `Machine._incomplete`."""

    covering: bool

    def subscribe(self, sub: Subscription, request: Request, shared: sharing.Sharing, *, first: bool) -> None:
        """Applies what a request that is not stale says about names; marks what must be sent because of it."""
        ...

    def repeat(self, sub: Subscription, request: Request, shared: sharing.Sharing) -> None:
        """Applies a request that acknowledges nothing."""
        ...

    def stale(self, sub: Subscription, request: Request, shared: sharing.Sharing) -> None:
        """Applies a request whose nonce is not the last one."""
        ...

    def answer(
        self, sub: Subscription, target: res.ResourceSet, difference: sharing.Difference, shared: sharing.Sharing
    ) -> Answer | None:
        """What to send, so that the client has `target`; None when it has it already."""
        ...

    def response(self, type_url: str, nonce: str, version: str, answer: Answer, identifier: str) -> Response:
        """The answer as a message."""
        ...


class Machine:
    """The state of one stream. Not for use by two tasks at once."""

    def __init__(self, face: Face, shared: sharing.Sharing, identifier: str, backoff: float = BACKOFF) -> None:
        """`identifier` names the control plane in responses, `backoff` is the wait after a rejection in seconds."""
        self._face = face
        self._shared = shared
        self._identifier = identifier
        self._backoff = backoff
        self._subscriptions: dict[str, Subscription] = {}
        self._draining: deque[tuple[float, res.Snapshot]] = deque(maxlen=DRAINING_LIMIT)
        self._nonce = 0
        self.snapshot: res.Snapshot | None = None

    @property
    def due(self) -> float | None:
        """When to `flush` though nothing happens: a re-send after a rejection, or listeners have drained.

        On the clock of `receive`; None if there is nothing to wait for.
        """
        waiting = [s.retry_at for s in self._subscriptions.values() if s.retry_at is not None and not self._blocked(s)]
        waiting += [until for until, _ in self._draining]
        return min(waiting, default=None)

    @property
    def remembered(self) -> int:
        """How many types and names the client makes this stream keep in mind, for servers to set a bound."""
        return sum(
            1 + len(each.names) + len(each.claimed) + len(each.doubtful) for each in self._subscriptions.values()
        )

    def receive(self, request: Request, now: float) -> Verdict:
        """Takes in one request; `now` is in seconds, on any steady clock. Call `flush` afterwards."""
        sub = self._subscriptions.get(request.type_url)
        if sub is None:
            sub = self._subscriptions[request.type_url] = Subscription(request.type_url)
            self._face.subscribe(sub, request, self._shared, first=True)
            clusters = self._subscriptions.get(res.CLUSTER)
            if sub.type_url == res.ENDPOINT and clusters is not None and clusters.flight is not None:
                # A reconnecting client claims endpoints that it has; its clusters that warm up wait for them still.
                self._endpoints_follow(clusters.flight.renewed)
            return Verdict.ASKED
        if request.nonce and request.nonce != sub.nonce:
            self._face.stale(sub, request, self._shared)
            return Verdict.STALE
        if not request.nonce or sub.flight is None:
            # An acknowledged nonce a second time is Envoy asking anew: a cluster that warms up waits 15 s otherwise.
            self._face.repeat(sub, request, self._shared)
            return Verdict.ASKED
        answered, sub.flight = sub.flight, None
        if request.error is None:
            sub.rejected, sub.retry_at = False, None
            self._drain(sub, now)
            verdict = Verdict.ACKNOWLEDGED
        else:
            sub.rejected, sub.retry_at = True, now + self._backoff
            sub.doubtful.update(r.name for r in answered.resources)
            sub.doubtful.update(answered.removed)
            verdict = Verdict.REJECTED
        self._face.subscribe(sub, request, self._shared, first=False)
        return verdict

    def _drain(self, sub: Subscription, now: float) -> None:
        """The client acknowledged; its listeners or routes from before drain if clusters of theirs are gone."""
        old, sub.stands = sub.stands, sub.offered
        if old is None or sub.offered is None or old is sub.offered:
            return
        if self._shared.difference(old.of(res.CLUSTER), sub.offered.of(res.CLUSTER)).removed:
            self._draining.append((now + DRAIN, old))

    def on_snapshot(self, snapshot: res.Snapshot) -> None:
        """Replaces what the client is to have; earlier snapshots that were not sent yet are skipped."""
        self.snapshot = snapshot

    def flush(self, now: float) -> list[Response]:
        """What may be sent now, in order. Each response counts as sent: call it only when ready to write."""
        if self.snapshot is None:
            return []
        while self._draining and self._draining[0][0] <= now:
            self._draining.popleft()
        self._move_on(self.snapshot)
        responses = self._round(self.snapshot, now)
        if self._move_on(self.snapshot):  # there was nothing to say after all: their clusters may go
            responses += self._round(self.snapshot, now)
        return responses

    def _round(self, snapshot: res.Snapshot, now: float) -> list[Response]:
        responses = []
        for sub in self._in_order():
            if self._blocked(sub):
                continue
            response = self._answer(sub, self._target(sub.type_url, snapshot), snapshot, now)
            if response is not None:
                responses.append(response)
        return responses

    def _move_on(self, snapshot: res.Snapshot) -> bool:
        """Notes of which listeners and routes the client has those of `snapshot`, being the same; whether of any."""
        has_moved = False
        for sub in self._after_clusters():
            if sub.stands is snapshot or sub.sent is None or sub.flight is not None or sub.retry_at is not None:
                continue
            if not _concerns(sub, self._shared.difference(sub.sent, snapshot.of(sub.type_url))):
                sub.stands = sub.offered = snapshot
                has_moved = True
        return has_moved

    def _target(self, type_url: str, snapshot: res.Snapshot) -> res.ResourceSet:
        """What the client is to have of a type now.

        Of clusters and endpoints also those that are gone, if they are of the snapshot of the listeners or routes that
        the client acknowledged, of those it was sent last, or of those that drain. Of rejected ones it may have taken a
        part, so both stay until it acknowledges some; more than the two are not kept, however often it rejects. Without
        listeners and routes nothing is kept, nor is what an earlier stream served.
        """
        new = snapshot.of(type_url)
        if type_url not in OUTLIVING:
            return new
        gone: dict[str, res.Rendered] = {}
        for each in self._leaned_on(snapshot):
            old = each.of(type_url)
            gone |= {name: r for name in self._shared.difference(old, new).removed if (r := old.get(name))}
        return replace(new, own={**gone, **new.own}) if gone else new

    def _leaned_on(self, snapshot: res.Snapshot) -> list[res.Snapshot]:
        """The snapshots other than this one that the client's listeners and routes may be of, the oldest first."""
        found = [each for _, each in self._draining]
        found += [each for sub in self._after_clusters() for each in (sub.stands, sub.offered) if each is not None]
        return [each for each in found if each is not snapshot]

    def _after_clusters(self) -> Iterable[Subscription]:
        return (self._subscriptions[url] for url in AFTER_CLUSTERS if url in self._subscriptions)

    def _in_order(self) -> Iterable[Subscription]:
        subs = self._subscriptions
        yield from (subs[url] for url in ORDER if url in subs)
        yield from (sub for url, sub in subs.items() if url not in ORDER)

    def _blocked(self, sub: Subscription) -> bool:
        """Whether the client must answer something first.

        Envoy holds back the acknowledgement of clusters until they are warm: only then may listeners name them. A
        client without any listeners yet has nothing to break.
        """
        if sub.flight is not None:
            return True
        if sub.type_url not in AFTER_CLUSTERS or not (sub.nonce or sub.resumed):
            return False
        clusters = self._subscriptions.get(res.CLUSTER)
        return clusters is not None and clusters.flight is not None

    def _answer(
        self, sub: Subscription, target: res.ResourceSet, snapshot: res.Snapshot, now: float
    ) -> Response | None:
        if _has_all(sub, target):
            return None
        if sub.sent is None and self._incomplete(sub, target):
            return None
        difference = sharing.NO_DIFFERENCE if sub.sent is None else self._shared.difference(sub.sent, target)
        if sub.retry_at is not None:
            if now < sub.retry_at and not self._news(sub, difference):
                return None
            sub.retry_at = None
        answer = self._face.answer(sub, target, difference, self._shared)
        sub.sent, sub.asked, sub.claimed = target, False, {}
        sub.again.clear()
        sub.doubtful.clear()
        if answer is None:
            return None
        sub.flight = answer
        if sub.type_url in AFTER_CLUSTERS:
            sub.offered = snapshot
        self._nonce += 1
        sub.nonce = str(self._nonce)
        if sub.type_url == res.CLUSTER:
            self._endpoints_follow(answer.renewed)
        return self._face.response(
            sub.type_url, sub.nonce, self._shared.version(target), answer, identifier=self._identifier
        )

    def _news(self, sub: Subscription, difference: sharing.Difference) -> bool:
        """Whether there is more to send than what was rejected."""
        return sub.asked or bool(sub.again) or _concerns(sub, difference)

    def _incomplete(self, sub: Subscription, target: res.ResourceSet) -> bool:
        """Whether the first answer waits, because the client is about to ask for more names (state of the world only).

        Kuma answers once the names cover all resources of the type. We do not wait for names that the client cannot
        know yet: its clusters warm up meanwhile, and what has them wait for a newer list would wait for them.
        """
        if not self._face.covering or sub.wildcard:
            return False
        if sub.names.issuperset(target.shared) and sub.names.issuperset(target.own):
            return False
        parents = [self._subscriptions.get(url) for url in PARENTS.get(sub.type_url, ())]
        if any(parent is not None and not self._is_told(parent) for parent in parents):
            return False
        warming = sub.type_url == res.SECRET and res.CLUSTER in self._subscriptions
        return not (warming and res.LISTENER not in self._subscriptions)

    def _is_told(self, parent: Subscription) -> bool:
        """Whether the client was sent the current resources of a type, and did not refuse them."""
        if parent.sent is None or parent.rejected or self.snapshot is None:
            return False
        return not self._shared.difference(parent.sent, self._target(parent.type_url, self.snapshot))

    def _endpoints_follow(self, clusters: Sequence[res.Rendered]) -> None:
        """A cluster that changed warms up anew and waits for its endpoints, though those did not change."""
        endpoints = self._subscriptions.get(res.ENDPOINT)
        if endpoints is not None:
            changed = {cluster.name for cluster in clusters}
            endpoints.again |= changed if endpoints.wildcard else changed & endpoints.names


def _concerns(sub: Subscription, difference: sharing.Difference) -> bool:
    """Whether anything that the client is subscribed to differs."""
    return any(sub.wants(r.name) for r in difference.changed) or any(sub.wants(name) for name in difference.removed)


def _has_all(sub: Subscription, target: res.ResourceSet) -> bool:
    """Whether the client was sent this very set, and waits for nothing. So it is with most types at most times."""
    sent = sub.sent
    if sent is None or sent.shared is not target.shared or sent.own is not target.own:
        return False
    return not (sub.asked or sub.again or sub.doubtful) and sub.retry_at is None
