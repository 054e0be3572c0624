"""Dialogues of the state-of-the-world variant. Each asserts what the control plane says, and when it says nothing."""

from kuma.discovery import machine, sharing
from tests.protocol.xds.client import SHORT, Dialogue, snapshot

TWO = {"cds": {"api": 1, "db": 1}, "eds": {"api": 1, "db": 1}, "lds": {"out": 1}, "sds": {"ca": 1, "own-id": 1}}


def configured(**types) -> Dialogue:
    """A client that has acknowledged everything of TWO, or of `types`."""
    content = {**TWO, **types}
    client = Dialogue()
    client.push(snapshot(**content))
    client.ask("cds")
    client.ack("cds")
    for short in ("eds", "sds", "rds"):
        if content.get(short):
            client.ask(short, *content[short])
            client.ack(short)
    client.ask("lds")
    client.ack("lds")
    return client


def test_clusters_come_before_listeners_though_listeners_were_asked_first():
    client = Dialogue()
    assert client.ask("lds") == []
    assert client.ask("cds") == []
    assert client.push(snapshot(**TWO)) == ["cds 1: api=1 db=1", "lds 2: out=1"]


def test_one_nonce_counter_serves_all_types():
    client = Dialogue()
    client.push(snapshot(**TWO))
    assert client.ask("cds") == ["cds 1: api=1 db=1"]
    assert client.ack("cds") == []
    assert client.ask("eds", "api", "db") == ["eds 2: api=1 db=1"]
    assert client.ask("lds") == ["lds 3: out=1"]


def test_named_types_are_silent_until_the_names_cover_everything():
    client = Dialogue()
    client.push(snapshot(**TWO))
    client.ask("cds")
    client.ack("cds")
    assert client.ask("eds", "api") == []
    assert client.ask("eds", "api", "db", "unknown") == ["eds 2: api=1 db=1"]
    assert client.ask("sds", "own-id") == ["sds 3: own-id=1"], "on the way through the clusters nothing else is known"


def test_secrets_are_silent_too_once_the_client_could_know_all():
    client = Dialogue()
    client.push(snapshot(**TWO))
    client.ask("cds")
    client.ask("lds")
    assert client.ask("sds", "own-id") == []
    assert client.ask("sds", "own-id", "ca") == ["sds 3: ca=1 own-id=1"]


def test_names_are_not_waited_for_when_their_clusters_were_rejected():
    client = Dialogue()
    client.push(snapshot(**TWO))
    client.ask("cds")
    assert client.ask("eds", "api") == []
    assert client.nack("cds") == ["eds 2: api=1"]


def test_names_are_not_waited_for_while_the_clusters_that_need_them_are_on_hold():
    """Clusters warm up with the endpoints of the old list; only then is the new list sent."""
    client = Dialogue()
    client.push(snapshot(**TWO))
    client.ask("cds")
    more = {"api": 1, "db": 1, "web": 1}
    assert client.push(snapshot(**{**TWO, "cds": more, "eds": more})) == []
    assert client.ask("eds", "api", "db") == ["eds 2: api=1 db=1"]
    client.ack("eds")
    assert client.ack("cds") == ["cds 3: api=1 db=1 web=1"]
    assert client.ask("eds", *more) == ["eds 4: api=1 db=1 web=1"]


def test_secrets_of_listeners_are_not_waited_for_while_listeners_are_on_hold():
    client = configured(sds={})
    content = {**TWO, "cds": {"api": 2}, "eds": {"api": 1}, "lds": {"out": 2}, "sds": {"ca": 1, "for-out": 1}}
    assert client.push(snapshot(**content)) == ["cds 4: api=2 db=1", "eds 5: api=1"]
    assert client.ask("sds", "ca") == ["sds 6: ca=1"]
    assert client.ack("cds") == ["lds 7: out=2"]
    client.ack("sds")
    assert client.ask("sds", "ca", "for-out") == ["sds 8: ca=1 for-out=1"]


def test_an_empty_first_list_means_everything():
    client = Dialogue()
    client.push(snapshot(**TWO))
    assert client.ask("sds") == ["sds 1: ca=1 own-id=1"]
    assert client.ask("eds", "*") == ["eds 2: api=1 db=1"]


def test_an_empty_wildcard_set_is_answered():
    client = Dialogue()
    client.push(snapshot(cds={}, lds={}))
    assert client.ask("cds") == ["cds 1"]
    assert client.ask("lds") == ["lds 2"]


def test_a_repeated_request_with_an_acknowledged_nonce_is_answered():
    """Envoy asks so while a changed cluster warms up, and would wait 15 s for the answer."""
    client = configured()
    assert client.ask("eds", "api", "db") == ["eds 5: api=1 db=1"]
    assert client.verdict is machine.Verdict.ASKED
    assert client.ack("eds") == []
    assert client.ask("eds", "api", "db") == ["eds 6: api=1 db=1"]


def test_letting_names_go_is_not_a_question():
    client = configured()
    assert client.ask("eds", "api") == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1, "db": 2}})) == []
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 2}})) == ["eds 5: api=2"]


def test_endpoints_follow_their_changed_clusters():
    client = configured()
    assert client.push(snapshot(**{**TWO, "cds": {"api": 2, "db": 1}})) == ["cds 5: api=2 db=1", "eds 6: api=1"]
    assert client.ask("eds", "api", "db", nonce="2") == [], "the old nonce: the push on the wire answers it"
    assert client.verdict is machine.Verdict.STALE
    assert client.ack("eds") == []
    assert client.ack("cds") == []


def test_only_changed_endpoints_are_sent_but_clusters_and_listeners_complete():
    client = configured(lds={"in": 1, "out": 1})
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}, "lds": {"in": 2, "out": 1}})) == [
        "eds 5: api=2",
        "lds 6: in=2 out=1",
    ]


def test_listeners_wait_until_the_clusters_are_warm():
    """Envoy acknowledges clusters when they are warm; a listener that names one earlier would answer 503."""
    client = configured()
    new = snapshot(cds={"api": 1, "db": 1, "web": 1}, eds={"api": 1, "db": 1, "web": 1}, lds={"out": 2}, sds=TWO["sds"])
    assert client.push(new) == ["cds 5: api=1 db=1 web=1"]
    assert client.ask("eds", "api", "db", "web") == ["eds 6: api=1 db=1 web=1"]
    assert client.ack("eds") == []
    assert client.ack("cds") == ["lds 7: out=2"]


def test_listeners_do_not_wait_for_rejected_clusters():
    client = configured()
    assert client.push(snapshot(**{**TWO, "cds": {**TWO["cds"], "bad": 1}, "lds": {"out": 2}})) == [
        "cds 5: api=1 bad=1 db=1"
    ]
    assert client.nack("cds") == ["lds 6: out=2"]


def test_a_reconnecting_client_gets_clusters_first_and_then_its_listeners():
    client = Dialogue()
    client.push(snapshot(**TWO))
    for short, names in (("lds", ()), ("cds", ()), ("eds", ("api", "db"))):
        client.machine.receive(machine.Request(SHORT[short], names=names, version_info="old"), 0)
    assert client.flush() == ["cds 1: api=1 db=1", "eds 2: api=1 db=1"]
    assert client.ack("eds", "api", "db") == []
    assert client.ack("cds") == ["lds 3: out=1"]


def test_removed_clusters_are_left_out_of_the_complete_answer():
    client = configured()
    assert client.push(snapshot(**{**TWO, "cds": {"api": 1}, "eds": {"api": 1}})) == ["cds 5: api=1"]


def test_an_unknown_name_waits_and_is_answered_when_it_comes():
    client = configured()
    client.ask("eds", "api", "db", "late")
    client.ack("eds")
    assert client.push(snapshot(**{**TWO, "eds": {"api": 1, "db": 1, "late": 1}})) == ["eds 6: late=1"]


def test_a_late_subscription_in_an_acknowledgement_is_answered():
    client = configured(sds={})
    client.push(snapshot(**TWO))
    client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}}))
    assert client.ack("eds", "api", "db", "new") == ["eds 5: api=2 db=1"]


def test_a_rejected_response_is_sent_again_after_the_backoff_with_a_new_nonce():
    client = configured()
    bad = snapshot(**{**TWO, "lds": {"out": "bad"}})
    assert client.push(bad) == ["lds 5: out=bad"]
    assert client.nack("lds") == []
    assert client.verdict is machine.Verdict.REJECTED
    assert client.machine.due == 5.0
    assert client.wait(4.9) == []
    assert client.wait(0.1) == ["lds 6: out=bad"]
    assert client.machine.due is None
    assert client.nack("lds") == []
    assert client.machine.due == 10.0
    assert client.push(snapshot(**{**TWO, "lds": {"out": 3}})) == ["lds 7: out=3"]
    assert client.ack("lds") == []
    assert client.machine.due is None


def test_a_rejected_response_without_resources_is_sent_again_too():
    client = configured()
    assert client.push(snapshot(**{**TWO, "lds": {}})) == ["lds 5"]
    assert client.nack("lds") == []
    assert client.wait(5) == ["lds 6"]
    client.ack("lds")
    assert client.wait(5) == []


def test_after_a_rejection_other_types_go_on():
    client = configured()
    client.push(snapshot(**{**TWO, "lds": {"out": "bad"}}))
    client.nack("lds")
    assert client.push(snapshot(**{**TWO, "lds": {"out": "bad"}, "eds": {"api": 2, "db": 1}})) == ["eds 6: api=2"]


def test_taking_a_rejected_change_back_is_sent_at_once():
    client = configured()
    client.push(snapshot(**{**TWO, "eds": {"api": "bad", "db": 1}}))
    client.nack("eds")
    assert client.push(snapshot(**TWO)) == ["eds 6: api=1"]


def test_a_slow_client_gets_the_latest_and_skips_the_rest():
    client = configured()
    assert client.push(snapshot(**{**TWO, "eds": {"api": 2, "db": 1}})) == ["eds 5: api=2"]
    for version in range(3, 50):
        assert client.push(snapshot(**{**TWO, "eds": {"api": version, "db": 1}})) == []
    assert client.ack("eds") == ["eds 6: api=49"]


def test_a_stale_nonce_is_ignored():
    client = configured()
    client.push(snapshot(**{**TWO, "lds": {"out": 2}}))
    assert client.ack("lds", nonce="4") == []
    assert client.verdict is machine.Verdict.STALE
    assert client.push(snapshot(**{**TWO, "lds": {"out": 3}})) == [], "nonce 5 is not acknowledged yet"
    assert client.ack("lds", nonce="5") == ["lds 6: out=3"]


def test_equal_snapshots_are_silent():
    client = configured()
    assert client.push(snapshot(**TWO)) == []
    assert client.push(client.machine.snapshot) == []


def test_nothing_is_said_before_the_first_snapshot():
    client = Dialogue()
    assert client.ask("cds") == []
    assert client.wait(60) == []
    assert client.push(snapshot(**TWO)) == ["cds 1: api=1 db=1"]


def test_equal_sets_have_equal_versions_whatever_the_stream():
    shared = sharing.Sharing()
    versions = set()
    for _ in range(2):
        client = Dialogue(shared=shared)
        client.machine.on_snapshot(snapshot(**TWO))
        client.machine.receive(machine.Request(SHORT["sds"]), 0)
        versions.update(response.version for response in client.machine.flush(0))
    assert len(versions) == 1
