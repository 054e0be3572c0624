"""Tags and selectors: the rules for writing them, whether a selector matches tags, and which of two matches better.

A selector is a map of tag values in which `*` stands for any value. Source of the rules: Kuma's documentation,
"Tags and selectors"; the texts are those users of Kuma know.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from kuma.base import gotext, labels
from kuma.base.errors import Violation
from kuma.resources import kind as kinds

ANY = "*"
MISSING_SERVICE = f'mandatory tag "{labels.SERVICE_TAG}" is missing'

_NAME = re.compile(r"[a-zA-Z0-9.\-_:/]*")
_TAG_VALUE = re.compile(r"[a-zA-Z0-9.\-_:]*")
_SELECTOR_VALUE = re.compile(r"[a-zA-Z0-9.\-_:/]*|\*")
_BAD_NAME = "tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores"
_BAD_TAG_VALUE = "tag value must consist of alphanumeric characters, dots, dashes and underscores"
_BAD_SELECTOR_VALUE = (
    'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"'
)

Tags = Mapping[str, str]
Extra = Callable[[str, Tags], Iterable[Violation]]
"""A further rule on a whole tag map, at a path."""


class Selector(kinds.Spec, frozen=True):
    """Tags that all have to fit; `*` stands for any value."""

    match: dict[str, str] = msgspec.field(default_factory=dict)


class Selected(kinds.Spec, frozen=True):
    """Base of specs that are about proxies that fit one of `selectors`."""

    selectors: tuple[Selector, ...] = ()


class Rank(NamedTuple):
    """How specific a selector is; a greater rank is more specific. By number of tags, then by how many are exact."""

    tags: int = 0
    exact: int = 0

    def plus(self, other: "Rank") -> "Rank":
        """The rank of both selectors together."""
        return Rank(self.tags + other.tags, self.exact + other.exact)


def matches(selector: Tags, tags: Tags) -> bool:
    """Whether `tags` have every tag of the selector, with that value or any for `*`. The empty selector matches all."""
    for key, wanted in selector.items():
        found = tags.get(key)
        if found is None or (wanted not in (ANY, found)):
            return False
    return True


def rank(selector: Tags) -> Rank:
    """How many tags the selector names, and how many of them exactly rather than by `*`."""
    return Rank(len(selector), sum(1 for value in selector.values() if value != ANY))


def key_path(path: str, key: str) -> str:
    """The path of one entry of a map: `tags["version"]`."""
    return f"{path}[{gotext.quote(key)}]"


def check_tags(
    path: str, tags: Tags, *, at_least_one: bool = False, service: bool = False, extra: Sequence[Extra] = ()
) -> Iterator[Violation]:
    """Violations of a map of tags that a proxy carries, in order of their keys."""
    yield from _check(path, tags, (_TAG_VALUE, _BAD_TAG_VALUE), at_least_one, extra)
    if service and labels.SERVICE_TAG not in tags:
        yield Violation(path, MISSING_SERVICE)


def check_selector(
    path: str,
    selector: Tags,
    *,
    at_least_one: bool = False,
    service: bool = False,
    only_service: bool = False,
    extra: Sequence[Extra] = (),
) -> Iterator[Violation]:
    """Violations of one selector. `service` demands the service tag, `only_service` forbids all others."""
    rules = (_exactly_service, *extra) if only_service else extra
    allowed = frozenset({labels.SERVICE_TAG}) if only_service else None
    yield from _check(path, selector, (_SELECTOR_VALUE, _BAD_SELECTOR_VALUE), at_least_one, rules, allowed)
    if service and labels.SERVICE_TAG not in selector:
        yield Violation(path, MISSING_SERVICE)


def check_selectors(
    path: str,
    selectors: Sequence[Tags],
    *,
    required: bool = True,
    at_most_one: bool = False,
    at_least_one_tag: bool = True,
    service: bool = False,
    only_service: bool = False,
    extra: Sequence[Extra] = (),
) -> Iterator[Violation]:
    """Violations of a list `sources`, `destinations` or `selectors`, whose items hold their tags under `match`."""
    if required and not selectors:
        yield Violation(path, "must have at least one element")
    if at_most_one and len(selectors) > 1:
        yield Violation(path, "there can be at most one selector")
    for index, selector in enumerate(selectors):
        yield from check_selector(
            f"{path}[{index}].match",
            selector,
            at_least_one=at_least_one_tag,
            service=service,
            only_service=only_service,
            extra=extra,
        )


def _exactly_service(path: str, selector: Tags) -> Iterator[Violation]:
    if len(selector) != 1 or labels.SERVICE_TAG not in selector:
        yield Violation(path, f'must consist of exactly one tag "{labels.SERVICE_TAG}"')


def _check(
    path: str,
    tags: Tags,
    value_rule: tuple[re.Pattern[str], str],
    at_least_one: bool,
    extra: Sequence[Extra],
    allowed: frozenset[str] | None = None,
) -> Iterator[Violation]:
    if at_least_one and not tags:
        yield Violation(path, "must have at least one tag")
    for rule in extra:
        yield from rule(path, tags)
    pattern, bad_value = value_rule
    for key in sorted(tags):
        if not key:
            yield Violation(path, "tag name must be non-empty")
        if not _NAME.fullmatch(key):
            yield Violation(key_path(path, key), _BAD_NAME)
        if allowed is not None and key not in allowed:
            yield Violation(key_path(path, key), f"tag {gotext.quote(key)} is not allowed")
        value = tags[key]
        if not value:
            yield Violation(key_path(path, key), "tag value must be non-empty")
        elif not pattern.fullmatch(value):
            yield Violation(key_path(path, key), bad_value)
