"""A client may say anything: the machines answer or stay silent, never fail, and never owe more than one answer a type."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.discovery import delta, machine, sharing, sotw
from tests.protocol.xds.client import SHORT, snapshot

names = st.lists(st.sampled_from(["a", "own-d", "*", "", "none"]), max_size=3)
requests = st.builds(
    machine.Request,
    type_url=st.sampled_from([*SHORT.values(), "type.googleapis.com/unknown"]),
    names=names,
    subscribe=names,
    unsubscribe=names,
    initial_versions=st.dictionaries(st.sampled_from(["a", "none"]), st.text(max_size=2), max_size=2),
    nonce=st.sampled_from(["", "1", "2", "3", "9", "x"]),
    version_info=st.sampled_from(["", "old"]),
    error=st.sampled_from([None, None, (13, "no")]),
)
sets = st.dictionaries(st.sampled_from(["a", "b", "own-d"]), st.integers(1, 2))
snapshots = st.builds(lambda c, e, s: snapshot(cds=c, eds=e, lds=c, sds=s), sets, sets, sets)


@pytest.mark.parametrize("face", [sotw.StateOfTheWorld(), delta.Delta()], ids=["sotw", "delta"])
@settings(max_examples=200, deadline=None)
@given(script=st.lists(st.one_of(requests, snapshots), max_size=30))
def test_anything(face, script):
    states = machine.Machine(face, sharing.Sharing(), "cp-1")
    unanswered: dict[str, str] = {}
    for now, step in enumerate(script):
        if isinstance(step, machine.Request):
            verdict = states.receive(step, now)
            if verdict in (machine.Verdict.ACKNOWLEDGED, machine.Verdict.REJECTED):
                assert unanswered.pop(step.type_url) == step.nonce
        else:
            states.on_snapshot(step)
        for response in states.flush(now):
            assert response.type_url not in unanswered
            unanswered[response.type_url] = response.nonce
        assert states.flush(now) == []
        assert states.due is None or states.due > now
