"""HTTP headers in policies: what to set, add or remove, and how a request or a response is matched by one."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import values

HeaderName = Annotated[str, values.Required, values.sized(1, 256), values.matching(r"^[a-z0-9!#$%&'*+\-.^_\x60|~]+$")]
"""The name of a header, in lower case as HTTP/2 carries it."""

MATCH_TYPES = ("Exact", "Present", "RegularExpression", "Absent", "Prefix")


class Header(kinds.Spec, frozen=True):
    """A header and what it is to say; several values are joined by commas (RFC 9110, section 5.3).

    The value is printed even where it is empty, because whoever reads it back demands it.
    """

    name: HeaderName = ""
    value: Annotated[str, values.Required] = msgspec.field(default_factory=str)


Headers = Annotated[tuple[Header, ...], values.sized(most=16)]


class HeaderChanges(kinds.Spec, frozen=True):
    """Headers that replace those of the same name, and headers that come on top."""

    set: Headers | None = None
    add: Headers | None = None


class HeaderModifier(HeaderChanges, frozen=True):
    """Changes to headers; each name may be changed once."""

    remove: Annotated[tuple[str, ...], values.sized(most=16)] | None = None


class HeaderMatch(kinds.Spec, frozen=True):
    """Which headers fit. `type` is Exact where it was not written; Present and Absent take no value."""

    type: Annotated[str, values.one_of(*MATCH_TYPES), values.defaults_to("Exact")] = ""
    name: HeaderName = ""
    value: str = ""


def check_modifier(path: str, modifier: HeaderModifier) -> Iterator[Violation]:
    """Violations of a modifier that says nothing, or says two things of one header."""
    if modifier.set is None and modifier.add is None and modifier.remove is None:
        yield Violation(path, "must have at least one defined: set, add, remove")
    names = [(f"{path}.set[{at}].name", each.name) for at, each in enumerate(modifier.set or ())]
    names += [(f"{path}.add[{at}].name", each.name) for at, each in enumerate(modifier.add or ())]
    names += [(f"{path}.remove[{at}].name", each) for at, each in enumerate(modifier.remove or ())]
    seen: set[str] = set()
    for place, name in names:
        if name in seen:
            yield Violation(place, "duplicate header name")
        seen.add(name)


def check_match(path: str, match: HeaderMatch) -> Iterator[Violation]:
    """A value where only the presence of the header counts is a misunderstanding."""
    if match.type in ("Present", "Absent") and match.value:
        yield Violation(f"{path}.value", "must not be defined")
