"""What a list may be narrowed to, and which slice of the result is wanted. Pure."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kuma.resources import resource as res
from kuma.resources.kinds import dataplane

T = TypeVar("T")

DEFAULT_SIZE = 100
MAX_SIZE = 1000


class Gateway(enum.Enum):
    """Which Dataplanes are wanted by their being a gateway."""

    ANY = "true"
    NONE = "false"
    BUILTIN = "builtin"
    DELEGATED = "delegated"


@dataclass(frozen=True, slots=True)
class Query:
    """Narrowing: `name` is a part of the name, `labels` are exact, `tags` are parts of a tag's value; all must hold."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    gateway: Gateway | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A slice of `total` matches; `next_offset` is None on the last one."""

    items: Sequence[T]
    total: int
    next_offset: int | None


EVERYTHING = Query()


def matching(resources: Iterable[res.Resource[Any]], query: Query) -> list[res.Resource[Any]]:
    """Those resources that the query names, in their order. Tags and gateway mean something to proxies alone."""
    found = [each for each in resources if query.name in each.meta.name] if query.name else list(resources)
    if query.labels:
        wanted = query.labels.items()
        found = [each for each in found if all(each.meta.labels.get(key) == value for key, value in wanted)]
    if query.gateway is not None:
        found = [each for each in found if _is_gateway(each.spec, query.gateway)]
    if query.tags:
        found = [each for each in found if _has_tags(each, query.tags)]
    return found


def page_of(matches: Sequence[T], size: int, offset: int) -> Page[T]:
    """The slice of `size` from `offset` on."""
    end = offset + size
    return Page(matches[offset:end], len(matches), end if end < len(matches) else None)


def _is_gateway(spec: Any, wanted: Gateway) -> bool:
    if not isinstance(spec, dataplane.Dataplane):
        return True
    if wanted is Gateway.BUILTIN:
        return spec.is_builtin_gateway
    if wanted is Gateway.DELEGATED:
        return spec.is_delegated_gateway
    is_any = spec.is_builtin_gateway or spec.is_delegated_gateway
    return is_any if wanted is Gateway.ANY else not is_any


def _has_tags(resource: res.Resource[Any], wanted: Mapping[str, str]) -> bool:
    if isinstance(resource.spec, dataplane.Dataplane):
        sets = tag_sets(resource.spec)
    elif resource.kind.name == "ExternalService":
        sets = [resource.spec.tags]
    else:
        return True
    return all(any(key in tags and part in tags[key] for tags in sets) for key, part in wanted.items())


def tag_sets(spec: dataplane.Dataplane) -> list[Mapping[str, str]]:
    """The tags of each inbound of a Dataplane, or those of its gateway."""
    if spec.networking is None:
        return []
    if spec.networking.gateway is not None:
        return [spec.networking.gateway.tags]
    return [inbound.tags for inbound in spec.networking.inbound]
