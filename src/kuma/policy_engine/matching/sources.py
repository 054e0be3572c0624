"""What the policies of the older generation say of one inbound or proxy.

Source: Kuma's documentation, "General notes about Kuma policies": the most specific destination or selector wins, the
newest on equality, of the same age the first by name; a selector value `*` wants any value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.resources import selectors


def best_by_destination(policies: Sequence[res.Resource[Any]], tags: Mapping[str, str]) -> res.Resource[Any] | None:
    """The one policy whose `destinations` fit the tags of an inbound best, or None."""
    return _best(policies, lambda each: _ranks(each.spec.destinations, [tags]))


def best_by_selectors(policies: Sequence[res.Resource[Any]], subject: proxy.ProxyFacts) -> res.Resource[Any] | None:
    """The one policy whose `selectors` fit the tags of a proxy best, or None; without selectors it fits all, but badly."""
    networking = subject.spec.networking
    if networking is None:
        return None
    tags = [each.tags for each in networking.inbound]
    if networking.gateway is not None:
        tags.append(networking.gateway.tags)
    return _best(
        policies, lambda each: _ranks(each.spec.selectors, tags) if each.spec.selectors else [selectors.Rank()]
    )


def _ranks(written: Sequence[selectors.Selector], tags: Sequence[Mapping[str, str]]) -> list[selectors.Rank]:
    return [selectors.rank(each.match) for each in written if any(selectors.matches(each.match, own) for own in tags)]


def _best(
    policies: Sequence[res.Resource[Any]], ranks_of: Callable[[res.Resource[Any]], list[selectors.Rank]]
) -> res.Resource[Any] | None:
    best: tuple[Any, Any, res.Resource[Any]] | None = None
    for each in sorted(policies, key=lambda policy: policy.meta.name):
        ranks = ranks_of(each)
        if not ranks:
            continue
        candidate = (max(ranks), each.meta.creation_time)
        if best is None or candidate > best[:2]:
            best = (*candidate, each)
    return best[2] if best else None
