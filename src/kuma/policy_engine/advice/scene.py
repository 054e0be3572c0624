"""A mesh as its policies find it: the sorts of proxies there are, what services speak, and what targetRefs lead over.

Proxies that no policy can tell apart, say the replicas of one service, are one sort, so that asking a policy about a
mesh costs as much as the mesh has sorts.
"""

import functools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import labels
from kuma.policy_engine.matching import places, selection, surroundings
from kuma.resources import resource as res

AnyResource = res.Resource[Any]
Tags = Mapping[str, str]
PLAIN = "tcp"
"""What is spoken where nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Sort:
    """Proxies that policies which name nothing of them cannot tell apart: the places of the first, and all their names."""

    places: places.Places
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """One mesh. `dataplanes` are all its proxies, `outside` the tags of services that none of them offers."""

    dataplanes: Sequence[AnyResource]
    around: surroundings.Surroundings
    outside: Sequence[Tags] = ()

    def selected(self, policy: AnyResource) -> Iterator[tuple[Sort, selection.Selected]]:
        """The sorts of proxies that a targetRef policy selects, each with the places of it; shadows count as well."""
        target = policy.spec.target_ref
        is_one_by_one = target is not None and bool(
            target.kind == "MeshHTTPRoute" or target.section_name or (target.kind == "Dataplane" and target.name)
        )
        for each in self._alone if is_one_by_one else self.sorts:
            chosen = selection.selected(policy, each.places, self.around)
            if chosen:
                yield each, chosen

    @functools.cached_property
    def sorts(self) -> tuple[Sort, ...]:
        """Every sort of proxies that there is."""
        found: dict[Hashable, list[places.Places]] = {}
        for each in self._alone:
            found.setdefault(_look(each.places), []).append(each.places)
        return tuple(Sort(alike[0], tuple(each.proxy.name for each in alike)) for alike in found.values())

    @functools.cached_property
    def _alone(self) -> tuple[Sort, ...]:
        """Every proxy by itself, for policies that name one."""
        found = (places.places_of(each, self.around.gateways) for each in self.dataplanes)
        return tuple(Sort(each, (each.proxy.name,)) for each in found)

    @functools.cached_property
    def tags(self) -> tuple[Tags, ...]:
        """What proxies are known by to those whom they call, and what services beyond them are."""
        return (*(place.tags for each in self.sorts for place in each.places.all), *self.outside)

    @functools.cached_property
    def spoken(self) -> Mapping[str, frozenset[str]]:
        """The protocols of each `kuma.io/service`, whoever offers it."""
        found: dict[str, set[str]] = {}
        for tags in (*self._offered(), *self.outside):
            if service := tags.get(labels.SERVICE_TAG):
                found.setdefault(service, set()).add(tags.get(labels.PROTOCOL_TAG, PLAIN))
        return {service: frozenset(protocols) for service, protocols in found.items()}

    def _offered(self) -> Iterable[Tags]:
        for each in self.sorts:
            yield from (place.tags for place in each.places.all if place.sort is places.Sort.INBOUND)


def _look(subject: places.Places) -> Hashable:
    """What policies that name neither a proxy nor a section see of one. Replicas may well listen on ports of their own."""
    own = {key: value for key, value in subject.proxy.labels.items() if key != labels.DISPLAY_NAME}
    seen = tuple((each.sort, each.hostname, tuple(sorted(each.tags.items()))) for each in subject.all)
    gateway = subject.gateway.meta.name if subject.gateway is not None else ""
    return tuple(sorted(own.items())), seen, subject.is_gateway, subject.is_builtin, gateway
