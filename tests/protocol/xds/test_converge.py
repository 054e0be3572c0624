"""Whatever happens on the way, a client ends up with the snapshot: random snapshots, delays, rejections, reconnects."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.discovery import delta, machine, sharing, sotw
from kuma.discovery import resources as res
from tests.protocol.xds.client import LONG, SHORT, decode, snapshot

NAMES = ["a", "b", "c", "own-d"]
members = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3))
snapshots = st.builds(
    lambda clusters, endpoints, listeners: snapshot(
        cds=clusters, eds={name: endpoints.get(name, 0) for name in clusters}, lds=listeners
    ),
    members,
    members,
    members,
)
steps = st.lists(
    st.one_of(
        snapshots.map(lambda s: ("snapshot", s)),
        st.just(("deliver", None)),
        st.just(("reject", None)),
        st.just(("reconnect", None)),
        st.sampled_from([1.0, 5.0]).map(lambda seconds: ("wait", seconds)),
    ),
    max_size=40,
)


class Envoy:
    """Keeps what it accepts; of a rejected incremental response any part may have been applied."""

    def __init__(self, *, is_delta: bool, shared: sharing.Sharing, luck: random.Random) -> None:
        self.is_delta, self.shared, self.luck = is_delta, shared, luck
        self.have: dict[str, dict[str, str]] = {"cds": {}, "eds": {}, "lds": {}}
        self.versions: dict[str, dict[str, str]] = {"cds": {}, "eds": {}, "lds": {}}
        self.now = 0.0
        self.latest = res.Snapshot()
        self.connect()

    def connect(self) -> None:
        face: machine.Face = delta.Delta() if self.is_delta else sotw.StateOfTheWorld()
        self.machine = machine.Machine(face, self.shared, "cp-1")
        self.machine.on_snapshot(self.latest)
        self.inbox: list[machine.Response] = []
        self.nonces: dict[str, str] = {}
        self.asked: frozenset[str] = frozenset()
        for short in ("cds", "lds"):
            self.say(short, resumed=True)
        if self.have["cds"]:
            self.ask_endpoints(resumed=True)
        self.flush()

    def say(self, short: str, *, error: bool = False, ack: bool = False, resumed: bool = False) -> None:
        names = sorted(self.asked) if short == "eds" else ()
        request = machine.Request(
            SHORT[short],
            names=() if self.is_delta else names,
            initial_versions=self.versions[short] if self.is_delta and resumed else {},
            nonce=self.nonces.get(short, "") if ack or not self.is_delta else "",
            version_info="1" if resumed and self.have[short] else "",
            error=(13, "no") if error else None,
        )
        self.machine.receive(request, self.now)

    def ask_endpoints(self, *, resumed: bool = False) -> None:
        wanted = frozenset(self.have["cds"])
        added, dropped = sorted(wanted - self.asked), sorted(self.asked - wanted)
        if not (added or dropped):
            return
        first, self.asked = not self.asked and not self.nonces.get("eds"), wanted
        if not self.is_delta:
            self.say("eds", resumed=resumed)
        elif added or not first:
            claimed = {n: v for n, v in self.versions["eds"].items() if n in wanted} if resumed else {}
            self.machine.receive(machine.Request(SHORT["eds"], (), added, dropped, claimed), self.now)
        for name in dropped:
            self.have["eds"].pop(name, None)
            self.versions["eds"].pop(name, None)

    def flush(self) -> None:
        self.inbox += self.machine.flush(self.now)
        flying = [response.type_url for response in self.inbox]
        assert len(flying) == len(set(flying)), "one unanswered response per type"

    def deliver(self, *, reject: bool = False) -> bool:
        if not self.inbox:
            return False
        response = self.inbox.pop(0)
        short, got, removed, _ = decode(response, is_delta=self.is_delta)
        self.nonces[short] = response.nonce
        versions = {r.name: r.version for r in response.answer.resources}
        if reject:
            got = {n: v for n, v in got.items() if self.is_delta and self.luck.random() < 0.5}
            removed = tuple(n for n in removed if self.luck.random() < 0.5)
        if not self.is_delta and short != "eds" and not reject:
            self.have[short], self.versions[short] = {}, {}
        for name, version in got.items():
            if short != "eds" or name in self.asked:
                self.have[short][name] = version
                self.versions[short][name] = versions[name]
        for name in removed:
            self.have[short].pop(name, None)
            self.versions[short].pop(name, None)
        self.say(short, error=reject, ack=True)
        if short == "cds":
            self.ask_endpoints()
        self.flush()
        return True

    def settle(self) -> None:
        for _ in range(200):
            if not self.deliver():
                self.now += 5
                self.flush()
                if not self.inbox and self.machine.due is None:
                    return
        raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("is_delta", [False, True], ids=["sotw", "delta"])
@settings(max_examples=300, deadline=None)
@given(script=steps, last=snapshots, seed=st.integers(0, 99))
def test_every_client_converges(is_delta, script, last, seed):
    envoy = Envoy(is_delta=is_delta, shared=sharing.Sharing(limit=3), luck=random.Random(seed))
    for verb, what in [*script, ("snapshot", last)]:
        if verb == "snapshot":
            envoy.latest = what
            envoy.machine.on_snapshot(what)
            envoy.flush()
        elif verb == "wait":
            envoy.now += what
            envoy.flush()
        elif verb == "reconnect":
            envoy.connect()
        else:
            envoy.deliver(reject=verb == "reject")
    envoy.settle()
    for url in (res.CLUSTER, res.LISTENER, res.ENDPOINT):
        wanted = {r.name: r.value.decode().split("=")[1] for r in last.of(url)}
        assert envoy.have[LONG[url]] == wanted, LONG[url]
