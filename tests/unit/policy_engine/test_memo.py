"""Matches are made once for proxies that policies cannot tell apart, and not kept for ever."""

from typing import Any

from kuma.compiler import inbounds
from kuma.plan import proxy
from kuma.policies.meshtrafficpermission import translate
from kuma.policy_engine import memo, policy
from tests.kit import worlds

PERMISSIONS = (worlds.a_permission("p", ({}, "Allow")),)


def match(memory: memo.MatchMemo, name: str, **labels: str) -> policy.InboundMatch:
    made: Any = worlds.a_dataplane(name, "web", labels=labels)
    subject = proxy.facts_of(made, {})
    [inbound] = inbounds.facts(subject)
    return memory.match(translate.POLICY, PERMISSIONS, subject, inbound)


def test_replicas_share_a_match() -> None:
    memory = memo.MatchMemo()
    assert match(memory, "web-1") is match(memory, "web-2")


def test_proxies_that_come_and_go_do_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr(memo, "LARGEST_TABLE", 3)
    memory = memo.MatchMemo()
    first = match(memory, "web", pod="0")
    for number in range(5):
        match(memory, "web", pod=str(number))
    latest = match(memory, "web", pod="4")
    assert match(memory, "web", pod="4") is latest
    assert match(memory, "web", pod="0") is not first
    [(_, table)] = memory._tables.values()
    assert len(table) == 3
