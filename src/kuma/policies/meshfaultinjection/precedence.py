"""Who is left to an entry when several are about one client: only the most specific of them may strike."""

from collections.abc import Sequence
from dataclasses import dataclass

from kuma.policy_engine.merging import rules
from kuma.resources import targetref


@dataclass(frozen=True, slots=True)
class Clients:
    """Clients with the tags of `subset` who do not have all tags of any of `without`."""

    subset: rules.Subset
    without: tuple[rules.Subset, ...] = ()


def left_to(subset: rules.Subset, earlier: Sequence[rules.Subset]) -> Clients | None:
    """The clients of a subset that none of the earlier ones fits; None where there can be none."""
    without = []
    for other in earlier:
        if any(_contradict(tag, own) for tag in other for own in subset):
            continue
        rest = tuple(tag for tag in other if tag not in subset)
        if not rest:
            return None
        if len(rest) == 1:
            turned = rest[0]._replace(negated=not rest[0].negated)
            if any(_contradict(turned, own) for own in subset):
                return None
            subset = (*subset, turned)
        elif not any(tag.negated for tag in rest):
            without.append(rest)
    return Clients(tuple(sorted(subset)), tuple(without))


def _contradict(one: rules.Tag, other: rules.Tag) -> bool:
    """Whether no client has both; one has a single value of a tag."""
    if one.key != other.key or one == other:
        return False
    return one.value == other.value if one.negated or other.negated else True


def by_match(said: Sequence[rules.InboundRule]) -> list[rules.InboundRule]:
    """One rule for each match, the most important one, in the order in which they go before each other."""
    found: dict[targetref.Match | None, rules.InboundRule] = {each.match: each for each in said}
    return sorted(found.values(), key=lambda each: _rank(each.match))


def _rank(match: targetref.Match | None) -> tuple[int, bool, int]:
    """One client before many before all, a server name before none, longer prefixes first."""
    if match is None:
        return 3, True, 0
    client = match.spiffe_id
    if client is None:
        return 2, match.sni is None, 0
    is_prefix = client.type == "Prefix"
    return int(is_prefix), match.sni is None, -len(client.value) if is_prefix else 0


def are_apart(one: targetref.Match, other: targetref.Match | None) -> bool:
    """Whether no connection fits both."""
    if other is None:
        return False
    if one.sni is not None and other.sni is not None and one.sni != other.sni:
        return True
    mine, its = one.spiffe_id, other.spiffe_id
    if mine is None or its is None or mine == its:
        return False
    if mine.type == its.type == "Exact":
        return True
    longer, shorter = sorted((mine, its), key=lambda each: (each.type == "Prefix", -len(each.value)))
    return not longer.value.startswith(shorter.value)
