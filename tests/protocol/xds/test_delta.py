"""Dialogues of the incremental variant."""

from kuma.discovery import machine
from tests.protocol.xds.client import SHORT, Dialogue, rendered, snapshot

TWO = {"cds": {"api": 1, "db": 1}, "eds": {"api": 1, "db": 1}, "lds": {"out": 1}, "sds": {"ca": 1, "own-id": 1}}


def configured(**types) -> Dialogue:
    content = {**TWO, **types}
    client = Dialogue(is_delta=True)
    client.push(snapshot(**content))
    client.ask("cds")
    client.ack("cds")
    for short in ("eds", "sds"):
        client.ask(short, *content[short])
        client.ack(short)
    client.ask("lds")
    client.ack("lds")
    return client


def test_first_dialogue():
    client = Dialogue(is_delta=True)
    client.push(snapshot(**TWO))
    assert client.ask("cds") == ["cds 1: api=1 db=1"]
    assert client.ack("cds") == []
    assert client.ask("eds", "api") == ["eds 2: api=1"], "known names are answered at once"
    assert client.ack("eds") == []
    assert client.ask("eds", "db", "unknown") == ["eds 3: db=1"]
    assert client.ask("lds") == ["lds 4: out=1"]


def test_an_empty_wildcard_set_is_answered_once():
    client = Dialogue(is_delta=True)
    client.push(snapshot())
    assert client.ask("cds") == ["cds 1"]
    assert client.ack("cds") == []
    assert client.ask("eds", "unknown") == []
    assert client.push(snapshot(cds={"api": 1})) == ["cds 2: api=1"]


def test_changes_and_removals():
    client = configured()
    new = snapshot(cds={"api": 2}, eds={"api": 1}, lds={"out": 1}, sds=TWO["sds"])
    assert client.push(new) == ["cds 5: api=2 -db", "eds 6: api=1 -db"], "a changed cluster waits for its endpoints"


def test_endpoints_of_unchanged_clusters_stay():
    client = configured()
    assert client.push(snapshot(**{**TWO, "cds": {"api": 1, "db": 2}})) == ["cds 5: db=2", "eds 6: db=1"]


def test_an_unknown_name_waits_silently_and_is_answered_when_it_comes():
    client = configured()
    assert client.ask("eds", "late") == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1, "db": 1, "late": 1}})) == ["eds 5: late=1"]


def test_unsubscribed_names_are_forgotten():
    client = configured()
    assert client.drop("eds", "db") == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1, "db": 2}})) == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1}})) == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1, "db": 3}})) == []
    assert client.ask("eds", "db") == ["eds 5: db=3"]


def test_subscribing_again_sends_again():
    client = configured()
    assert client.ask("eds", "api") == ["eds 5: api=1"]


def test_a_name_dropped_from_a_wildcard_is_told_anew():
    client = configured()
    assert client.drop("cds", "api", "gone") == ["cds 5: api=1 -gone", "eds 6: api=1"]


def test_a_wildcard_can_be_dropped():
    client = configured()
    assert client.drop("cds", "*") == []
    assert client.push(snapshot(**{**TWO, "cds": {"api": 2, "db": 2}})) == []


def test_a_reconnecting_client_gets_what_differs():
    client = Dialogue(is_delta=True)
    client.push(snapshot(**TWO))
    have = {"api": rendered("cds", "api", 1).version, "db": "older", "gone": "1"}
    assert client.ask("cds", initial_versions=have) == ["cds 1: db=1 -gone"]
    same = {name: rendered("eds", name, 1).version for name in ("api", "db")}
    assert client.ask("eds", "api", "db", initial_versions=same) == ["eds 2: db=1"]
    assert client.ack("eds") == []
    assert client.ask("lds", initial_versions={"out": "older"}) == [], "until the clusters are warm"
    assert client.ack("cds") == ["lds 3: out=1"]
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}})) == ["eds 4: api=2"]


def test_a_changed_cluster_gets_its_endpoints_after_a_reconnect_though_they_are_the_same():
    client = Dialogue(is_delta=True)
    client.push(snapshot(**TWO))
    same = {name: rendered("eds", name, 1).version for name in ("api", "db")}
    client.machine.receive(machine.Request(SHORT["cds"], initial_versions={"db": "older"}), 0)
    client.machine.receive(
        machine.Request(SHORT["eds"], subscribe=("api", "db"), initial_versions=same),
        0,
    )
    assert client.flush() == ["cds 1: api=1 db=1", "eds 2: api=1 db=1"]


def test_endpoints_claimed_after_a_reconnect_are_sent_to_clusters_that_warm_up():
    client = Dialogue(is_delta=True)
    client.push(snapshot(**TWO))
    have = {"api": "older", "db": rendered("cds", "db", 1).version}
    assert client.ask("cds", initial_versions=have) == ["cds 1: api=1"]
    same = {name: rendered("eds", name, 1).version for name in ("api", "db")}
    assert client.ask("eds", "api", "db", initial_versions=same) == ["eds 2: api=1"]


def test_a_rejected_response_is_sent_again_with_all_it_held():
    client = configured()
    new = snapshot(cds={"api": "bad", "web": 1}, eds=TWO["eds"], lds=TWO["lds"], sds=TWO["sds"])
    assert client.push(new) == ["cds 5: api=bad web=1 -db", "eds 6: api=1"]
    assert client.nack("cds") == []
    assert client.wait(5)[0] == "cds 7: api=bad web=1 -db"


def test_taking_a_rejected_change_back_restores_what_may_have_been_applied():
    client = configured()
    client.push(snapshot(**{**TWO, "cds": {"api": "bad", "db": 2, "web": 1}}))
    client.nack("cds")
    assert client.push(snapshot(**TWO))[0] == "cds 7: api=1 db=1 -web"


def test_a_slow_client_gets_the_latest_difference():
    client = configured()
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}})) == ["eds 5: api=2"]
    assert client.push(snapshot(**{**TWO, "eds": {"api": 3, "db": 1}})) == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}})) == []
    assert client.ack("eds") == [], "back at what was sent: nothing to say"


def test_names_asked_while_a_response_is_on_its_way_are_answered_after_it():
    client = Dialogue(is_delta=True)
    client.push(snapshot(**TWO))
    assert client.ask("eds", "api") == ["eds 1: api=1"]
    assert client.ask("eds", "db") == []
    assert client.ack("eds") == ["eds 2: db=1"]


def test_listeners_wait_until_the_clusters_are_warm():
    client = configured()
    assert client.push(snapshot(**{**TWO, "cds": {"api": 1, "db": 2}, "lds": {"out": 2}})) == [
        "cds 5: db=2",
        "eds 6: db=1",
    ]
    assert client.ack("cds") == ["lds 7: out=2"]
