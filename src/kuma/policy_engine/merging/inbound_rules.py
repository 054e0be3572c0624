"""Rules of inbounds: `rules[]` and `from[]` of the policies that are about one.

Source: Kuma's documentation, "Introduction to policies: rules"; for `from`, "MeshTrafficPermission".
"""

from collections.abc import Callable, Sequence
from typing import Any

from kuma.policy_engine.merging import merge, rules, subset_rules
from kuma.resources import targetref

_SPIFFE_RANKS = {"Exact": 0, "Prefix": 1}


def inbound_rules(
    clients: Sequence[merge.Entry],
    entries: Sequence[merge.Entry],
    merged: Callable[[tuple[merge.Entry, ...]], rules.Merged[Any]],
) -> rules.InboundRules:
    """The rules out of `from[]` entries (`clients`) and of those of `rules[]`, each from the least important on."""
    numbered = subset_rules.exclusive_rules(
        [(subset_rules.subset_of(each.target), each) for each in clients if each.target is not None]
    )
    catch_alls = tuple(each for each in entries if each.match is None)
    return rules.InboundRules(
        clients=tuple(rules.SubsetRule(subset, merged(found)) for subset, found in numbered),
        rules=tuple(
            rules.InboundRule(each.match, merged((each,)), each.origin)
            for each in sorted(entries, key=lambda each: _specificity(each.match))
        ),
        base=merged(catch_alls) if catch_alls else None,
        on_proxy=True,
    )


def _specificity(match: targetref.Match | None) -> tuple[int, int]:
    """The place of a match: one client, clients by prefix, any client; with a server name before without."""
    if match is None:
        return 2, 1
    spiffe = match.spiffe_id
    return (2 if spiffe is None else _SPIFFE_RANKS.get(spiffe.type, 1)), (1 if match.sni is None else 0)
