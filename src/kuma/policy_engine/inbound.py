"""What the targetRef policies of one kind say of one inbound."""

from collections.abc import Sequence
from typing import Any

from kuma.plan import nodes, proxy
from kuma.policy_engine import client_rules, policy, precedence, selection
from kuma.resources import resource as res


def match(
    policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
) -> policy.InboundMatch:
    """`from[]` entries as rules about clients, `rules[]` entries as they are, both in order of precedence.

    Kuma lists `rules` most important first; `from` entries are merged, the most important last.
    """
    selected = precedence.sort(each for each in policies if selection.selects(each, subject, inbound))
    if not selected:
        return policy.NOTHING
    entries, rules = [], []
    for each in selected:
        for index, source in enumerate(each.spec.from_ or ()):
            tags = client_rules.tags_of(source.target_ref)
            entries.append(client_rules.Entry(tags, source.default, res.ref_to(each, index)))
        for index, rule in enumerate(each.spec.rules or ()):
            rules.append(policy.InboundRule(rule.default, res.ref_to(each, index)))
    return policy.InboundMatch(client_rules.build(entries), tuple(reversed(rules)), on_proxy=True)
