"""Break after make: clusters that are gone are dropped when no listener or route of the client can name them any more.

Tables and dialogues of both variants, and a property: what a client may have never names what it was told to drop.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.discovery import delta, machine, sharing, sotw
from kuma.discovery import resources as res
from tests.protocol.xds.client import LONG, SHORT, Dialogue, decode, snapshot

BOTH = pytest.mark.parametrize("is_delta", [False, True], ids=["sotw", "delta"])
NAMES = ("all", "v2")


def ruled(listener: object = 1, *, routes: object = None, **clusters: object) -> res.Snapshot:
    """A snapshot of these clusters, with endpoints of the same version."""
    types = {"cds": clusters, "eds": clusters, "lds": {"out": listener}}
    return snapshot(**types, **({"rds": {"r": routes}} if routes is not None else {}))


WITH = ruled(1, all=1, v2=1)
WITHOUT = ruled(2, all=1)


def configured(*, is_delta: bool, content: res.Snapshot = WITH, listeners: bool = True) -> Dialogue:
    """A client that has acknowledged everything."""
    client = Dialogue(is_delta=is_delta)
    client.push(content)
    client.ask("cds")
    client.ack("cds")
    client.ask("eds", *NAMES)
    client.ack("eds")
    if content.of(res.ROUTE):
        client.ask("rds", "r")
        client.ack("rds")
    if listeners:
        client.ask("lds")
        client.ack("lds")
    return client


@BOTH
def test_a_cluster_goes_after_the_listeners_that_named_it(is_delta):
    client = configured(is_delta=is_delta)
    assert client.push(WITHOUT) == ["lds 4: out=2"]
    assert client.ack("lds") == client.wait(29.9) == [], "its connections go on by the old routes"
    assert client.machine.due == 30
    assert client.wait(0.1) == (["cds 5: -v2", "eds 6: -v2"] if is_delta else ["cds 5: all=1"])
    assert client.ack("cds") == client.push(WITHOUT) == []
    assert client.machine.due is None


@BOTH
def test_nothing_is_waited_for_where_no_cluster_is_gone(is_delta):
    client = configured(is_delta=is_delta)
    assert client.push(ruled(2, all=1, v2=1)) == ["lds 4: out=2"]
    assert client.ack("lds") == []
    assert client.machine.due is None


@BOTH
def test_what_is_new_comes_at_once_and_what_is_gone_goes_last(is_delta):
    client = configured(is_delta=is_delta)
    added = "cds 4: v3=1" if is_delta else "cds 4: all=1 v2=1 v3=1"
    assert client.push(ruled(2, all=1, v3=1)) == [added]
    assert client.ask("eds", *NAMES, "v3")[0].endswith("v3=1")
    assert client.ack("eds") == []
    assert client.ack("cds") == ["lds 6: out=2"]
    assert client.ack("lds") == []
    assert client.wait(30) == (["cds 7: -v2", "eds 8: -v2"] if is_delta else ["cds 7: all=1 v3=1"])


@BOTH
def test_endpoints_of_a_cluster_that_is_gone_are_served_as_long_as_it_is(is_delta):
    client = configured(is_delta=is_delta)
    client.push(WITHOUT)
    assert client.ask("eds", *NAMES) == ["eds 5: all=1 v2=1"]
    client.ack("eds")
    client.ack("lds")
    client.wait(30)
    again = client.ask("eds", *NAMES)
    assert again == ([] if is_delta else ["eds 7: all=1"]), "for delta a response is on its way already"


@BOTH
def test_routes_keep_clusters_as_listeners_do(is_delta):
    client = configured(is_delta=is_delta, content=ruled(1, routes=1, all=1, v2=1))
    assert client.push(ruled(2, routes=2, all=1)) == ["lds 5: out=2", "rds 6: r=2"]
    assert client.ack("lds") == client.wait(40) == client.ack("rds") == []
    assert client.wait(30)[0] == ("cds 7: -v2" if is_delta else "cds 7: all=1")


@BOTH
def test_a_route_that_is_gone_lets_its_clusters_go(is_delta):
    """The state of the world has no word for it: nothing is sent that could be acknowledged."""
    client = configured(is_delta=is_delta, content=ruled(1, routes=1, all=1, v2=1))
    if is_delta:
        assert client.push(ruled(1, all=1)) == ["rds 5: -r"]
        assert client.ack("rds") == []
        assert client.wait(30) == ["cds 6: -v2", "eds 7: -v2"]
    else:
        assert client.push(ruled(1, all=1)) == ["cds 5: all=1"]


@BOTH
def test_a_cluster_that_no_listener_can_have_named_goes_at_once(is_delta):
    """The listeners are the same without it."""
    client = configured(is_delta=is_delta)
    assert client.push(ruled(1, all=1)) == (["cds 4: -v2", "eds 5: -v2"] if is_delta else ["cds 4: all=1"])


@BOTH
def test_a_client_without_listeners_keeps_nothing(is_delta):
    client = configured(is_delta=is_delta, listeners=False)
    assert client.push(WITHOUT) == (["cds 3: -v2", "eds 4: -v2"] if is_delta else ["cds 3: all=1"])


@BOTH
def test_a_cluster_that_comes_back_was_never_gone(is_delta):
    client = configured(is_delta=is_delta)
    assert client.push(WITHOUT) == ["lds 4: out=2"]
    assert client.push(WITH)[0] == ("cds 5: v2=1" if is_delta else "cds 5: all=1 v2=1"), "the same bytes once more"
    assert client.ack("cds") == client.ack("eds") == []
    assert client.ack("lds") == ["lds 7: out=1"]
    assert client.ack("lds") == []


@BOTH
def test_rejected_listeners_keep_the_clusters_of_those_that_stand(is_delta):
    client = configured(is_delta=is_delta)
    client.push(ruled("bad", all=1))
    assert client.nack("lds") == []
    assert client.wait(5) == ["lds 5: out=bad"], "once more, and the clusters not at all"
    client.nack("lds")
    assert client.push(ruled(3, all=1)) == ["lds 6: out=3"]
    assert client.ack("lds") == []
    assert client.wait(30)[0] == ("cds 7: -v2" if is_delta else "cds 7: all=1")


@BOTH
def test_rejected_clusters_that_are_gone_still_go_last(is_delta):
    client = configured(is_delta=is_delta)
    client.push(ruled(2, all=1, bad=1))
    assert client.nack("cds") == ["lds 5: out=2"]
    assert client.ack("lds") == []
    again = "cds 6: bad=1" if is_delta else "cds 6: all=1 bad=1 v2=1"
    assert client.wait(5)[0] == again
    assert client.ack("cds") == []
    assert client.wait(25)[0] == ("cds 7: -v2" if is_delta else "cds 8: all=1 bad=1")


@BOTH
def test_what_is_kept_does_not_grow_with_revisions(is_delta):
    """Each revision has a cluster of its own."""
    client = configured(is_delta=is_delta, content=WITH)
    for revision in range(1, 30):
        client.push(ruled(revision, all=1, **{f"v{revision}": 1}))
        client.ack("cds")
        client.ack("lds")
        sent = client.machine._subscriptions[res.CLUSTER].sent
        assert sent is not None
        assert len(sent) <= 4 + machine.DRAINING_LIMIT, "all, the new one, of listeners that stand or are under way"


@BOTH
def test_a_cluster_that_turns_personal_is_not_doubled(is_delta):
    client = configured(is_delta=is_delta)
    was = client.machine.snapshot
    moved = {url: res.ResourceSet({}, dict(was.of(url).shared)) for url in (res.CLUSTER, res.ENDPOINT)}
    assert client.push(res.Snapshot({**moved, res.LISTENER: WITHOUT.of(res.LISTENER)})) == ["lds 4: out=2"]
    assert client.ack("lds") == []


clusters = st.frozensets(st.sampled_from("abcd"), min_size=1)
versions = st.integers(0, 2)


@st.composite
def worlds(draw: st.DrawFn) -> res.Snapshot:
    """Listeners and routes that name clusters of the same snapshot; `l=ab` names a and b."""
    there = draw(clusters)
    named = st.sets(st.sampled_from(sorted(there))).map(lambda found: "".join(sorted(found)))
    warm = {name: draw(versions) for name in sorted(there)}
    listeners = {name: draw(named) for name in ("l", "own-m") if draw(st.booleans())}
    return snapshot(cds=warm, eds=warm, lds=listeners, rds={"r": draw(named)})


script = st.lists(
    st.one_of(
        worlds().map(lambda each: ("snapshot", each)),
        st.sampled_from(["cds", "eds", "lds", "rds"]).map(lambda short: ("ack", short)),
        st.sampled_from(["cds", "eds", "lds", "rds"]).map(lambda short: ("nack", short)),
        st.sampled_from([5.0, 30.0]).map(lambda seconds: ("wait", seconds)),
    ),
    max_size=40,
)


class Watched:
    """A client that takes each response when it answers it, and notes what it has; of rejected ones it takes nothing."""

    def __init__(self, *, is_delta: bool) -> None:
        self.is_delta, self.now = is_delta, 0.0
        face: machine.Face = delta.Delta() if is_delta else sotw.StateOfTheWorld()
        self.machine = machine.Machine(face, sharing.Sharing(limit=3), "cp-1")
        self.flying: dict[str, machine.Response] = {}
        self.have: dict[str, dict[str, str]] = {short: {} for short in ("cds", "eds", "lds", "rds")}
        self.refused = False
        self.asked = {"cds": (), "eds": tuple("abcd"), "lds": (), "rds": ("r",)}

    def start(self, first: res.Snapshot) -> None:
        self.machine.on_snapshot(first)
        for short, names in self.asked.items():
            self.machine.receive(machine.Request(SHORT[short], names=names, subscribe=names), self.now)
        self.flush()

    def flush(self) -> None:
        for response in self.machine.flush(self.now):
            self.flying[LONG[response.type_url]] = response

    def answer(self, short: str, error: tuple[int, str] | None = None) -> None:
        response = self.flying.pop(short, None)
        if response is None:
            return
        _, got, removed, _ = decode(response, is_delta=self.is_delta)
        had = self.have["cds"].keys() & self.have["eds"].keys()
        if error is not None:
            self.refused = self.refused or short == "cds"
        else:
            if not self.is_delta and short in ("cds", "lds"):
                self.have[short] = {}
            self.have[short] |= got
            for name in removed:
                self.have[short].pop(name, None)
        names = () if self.is_delta else self.asked[short]
        self.machine.receive(machine.Request(SHORT[short], names=names, nonce=response.nonce, error=error), self.now)
        named = set("".join([*self.have["lds"].values(), *self.have["rds"].values()]))
        assert named & had <= self.have["cds"].keys() & self.have["eds"].keys(), "dropped while it is named"
        if not self.refused:  # listeners do not wait for clusters that the client refuses
            assert named <= self.have["cds"].keys(), "a request would have nowhere to go"
        self.flush()

    def settle(self) -> None:
        for _ in range(100):
            for short in ("cds", "eds", "lds", "rds"):
                self.answer(short)
            self.now += 5.0
            self.flush()
            if not self.flying and self.machine.due is None:
                return
        raise AssertionError("it never comes to rest")


@BOTH
@settings(max_examples=300, deadline=None)
@given(first=worlds(), steps=script, last=worlds())
def test_no_listener_or_route_names_a_cluster_that_was_dropped(is_delta, first, steps, last):
    client = Watched(is_delta=is_delta)
    client.start(first)
    for short in ("cds", "eds", "lds", "rds"):
        client.answer(short)
    for verb, what in [*steps, ("snapshot", last)]:
        if verb == "snapshot":
            client.machine.on_snapshot(what)
        elif verb == "wait":
            client.now += what
        else:
            client.answer(what, None if verb == "ack" else (13, "no"))
        client.flush()
    client.settle()
    for url in (res.CLUSTER, res.LISTENER):
        assert client.have[LONG[url]] == {r.name: r.value.decode().split("=")[1] for r in last.of(url)}
