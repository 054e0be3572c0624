"""What the source/destination policies of the older generation say of one inbound.

Source: Kuma's documentation, "General notes about Kuma policies": the most specific destination wins, the newest on
equality; a selector value `*` wants any value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kuma.resources import resource as res
from kuma.resources import selectors


def best_by_destination(policies: Sequence[res.Resource[Any]], tags: Mapping[str, str]) -> res.Resource[Any] | None:
    """The one policy whose `destinations` fit the tags of an inbound best, or None."""
    best: tuple[Any, Any, res.Resource[Any]] | None = None
    for each in sorted(policies, key=lambda policy: policy.meta.name):
        ranks = [selectors.rank(s.match) for s in each.spec.destinations if selectors.matches(s.match, tags)]
        if not ranks:
            continue
        candidate = (max(ranks), each.meta.creation_time)
        if best is None or candidate >= best[:2]:
            best = (*candidate, each)
    return best[2] if best else None
