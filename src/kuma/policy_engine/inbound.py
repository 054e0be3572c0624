"""What the targetRef policies of one kind say of one inbound."""

from collections.abc import Sequence
from typing import Any

from kuma.base import labels
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy, precedence, selection
from kuma.resources import resource as res


def match(
    policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts
) -> policy.InboundMatch:
    """Their `from[]` and `rules[]` entries, in order of precedence."""
    selected = precedence.sort(each for each in policies if selection.selects(each, subject, inbound))
    if not selected:
        return policy.NOTHING
    entries, rules = [], []
    for each in selected:
        for index, source in enumerate(each.spec.from_ or ()):
            entries.append(policy.ClientEntry(_tags(source.target_ref), source.default, res.ref_to(each, index)))
        for index, rule in enumerate(each.spec.rules or ()):
            rules.append(policy.InboundRule(rule.default, res.ref_to(each, index)))
    return policy.InboundMatch(tuple(entries), tuple(reversed(rules)), on_proxy=True)


def _tags(target: Any) -> tuple[tuple[str, str], ...]:
    """The tags that a `from[].targetRef` asks clients for, sorted; none for the whole mesh."""
    wanted: dict[str, str] = dict(target.tags or {})
    if target.kind in ("MeshService", "MeshServiceSubset"):
        wanted[labels.SERVICE_TAG] = target.name
    return tuple(sorted(wanted.items()))
