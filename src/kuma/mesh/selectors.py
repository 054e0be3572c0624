"""How a MeshService selects proxies: by name, by the tags of one inbound, or by labels.

Every selector has one *term*, a tag, label or name that all proxies which it selects have: they are found by it without
a walk over the mesh. An inbound that is ignored is as if it were not there. Source: Kuma's documentation, "MeshService".
"""

from collections.abc import Iterable, Iterator, Mapping

from kuma.base import labels
from kuma.resources.kinds import dataplane, meshservice

Term = tuple[str, str, str]
"""How proxies are found: `tag`, `label` or `name`, the key and the value."""

Tags = Mapping[str, str]


def in_force(inbounds: Iterable[dataplane.Inbound]) -> Iterator[dataplane.Inbound]:
    """The inbounds that are there for others."""
    return (each for each in inbounds if each.state is not dataplane.InboundState.IGNORED)


def tag_sets(inbounds: Iterable[dataplane.Inbound], gateway: Tags | None) -> Iterator[Tags]:
    """What tags select by: those of the gateway, and those of each inbound in force."""
    if gateway is not None:
        yield gateway
    for each in in_force(inbounds):
        yield each.tags


def term_of(selector: meshservice.Selector | None) -> Term | None:
    """The term of a selector; None where it selects nothing, as one does that asks for no tag and no label."""
    if selector is None:
        return None
    if selector.dataplane_ref is not None:
        return "name", "", selector.dataplane_ref.name
    if selector.dataplane_tags is not None:
        return _rarest("tag", selector.dataplane_tags)
    if selector.dataplane_labels is not None:
        return _rarest("label", selector.dataplane_labels.match_labels or {})
    return None


def _rarest(how: str, wanted: Tags) -> Term | None:
    """A service has fewer proxies than any other tag; among the rest there is nothing to tell."""
    if not wanted:
        return None
    key = labels.SERVICE_TAG if labels.SERVICE_TAG in wanted else min(wanted)
    return how, key, wanted[key]


def terms_of(name: str, own: Tags, sets: Iterable[Tags]) -> Iterator[Term]:
    """Every term that a proxy of this name can be found by, given its labels and tags."""
    yield "name", "", name
    for key, value in own.items():
        yield "label", key, value
    for tags in sets:
        for key, value in tags.items():
            yield "tag", key, value


def selects(selector: meshservice.Selector | None, name: str, own: Tags, sets: Iterable[Tags]) -> bool:
    """Whether a selector is about the proxy of this name with these labels and tags."""
    if selector is None or term_of(selector) is None:
        return False
    if selector.dataplane_ref is not None:
        return selector.dataplane_ref.name == name
    if selector.dataplane_tags is not None:
        wanted = selector.dataplane_tags.items()
        return any(wanted <= tags.items() for tags in sets)
    return selector.dataplane_labels is not None and selector.dataplane_labels.matches(own)
