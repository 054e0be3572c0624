"""Reads what a list's URL asks for: page, name, labels, tags, gateway; and spells the URL of the next page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib import parse

from kuma.base import errors
from kuma.servers.rest.messages import replies
from kuma.services import queries

_FILTER = re.compile(r"^filter\[([^\]]*)\](.*)$", re.DOTALL)
_LABELS = "labels."


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query string, in order; a name may come several times."""

    pairs: Sequence[tuple[str, str]]

    def first(self, name: str) -> str:
        """The first value of a parameter, empty where it is absent."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for key, value in self.pairs if key == name]


def parse_query(raw: bytes) -> Parameters:
    """The parameters of a raw query string."""
    return Parameters(parse.parse_qsl(raw.decode("latin-1"), keep_blank_values=True))


def page_size(parameters: Parameters) -> int:
    """How many items a page holds; InvalidPageSize outside 1..1000."""
    text = parameters.first("size")
    if not text:
        return queries.DEFAULT_SIZE
    try:
        size = int(text)
    except ValueError:
        raise _bad_size("invalid format") from None
    if size < 1:
        raise _bad_size("must be greater than 0")
    if size > queries.MAX_SIZE:
        raise _bad_size(f"invalid page size of {size}. Maximum page size is {queries.MAX_SIZE}")
    return size


def _bad_size(message: str) -> replies.InvalidPageSize:
    return replies.InvalidPageSize([errors.Violation("size", message)])


def page_offset(parameters: Parameters, prefix: str = "invalid: ") -> int:
    """How many matches to leave out at the start; InvalidOffset where it is not a number from 0 on."""
    text = parameters.first("offset")
    if not text:
        return 0
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise replies.InvalidOffset(f'{prefix}invalid offset: strconv.Atoi: parsing "{text}": invalid syntax')
    offset = int(text)
    if offset < 0:
        raise replies.InvalidOffset(f"{prefix}invalid offset: must be non-negative")
    return offset


def narrowing(parameters: Parameters, template: str, kind: str) -> queries.Query:
    """The filters of a list of `kind`; InvalidResource names each bad one by the route it came to."""
    wrong: list[errors.Violation] = []
    gateway = _gateway(parameters, template, wrong) if kind == "Dataplane" else None
    labels = _labels(parameters, template, wrong)
    if wrong:
        raise errors.InvalidResource(wrong)
    tags = {key: value for key, colon, value in (each.partition(":") for each in parameters.all("tag")) if colon}
    return queries.Query(parameters.first("name"), labels, tags, gateway)


def _gateway(parameters: Parameters, template: str, wrong: list[errors.Violation]) -> queries.Gateway | None:
    text = parameters.first("gateway").lower()
    if not text:
        return None
    try:
        return queries.Gateway(text)
    except ValueError:
        # The spelling is Kuma's, and clients compare it.
        message = f"shoud use `true`, `false`, 'builtin' or 'delegated' instead of {text}"
        wrong.append(errors.Violation(f"{template}.gateway", message))
        return None


def _labels(parameters: Parameters, template: str, wrong: list[errors.Violation]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in parameters.pairs:
        shape = _FILTER.match(key)
        if shape is None:
            continue
        subject, rest = shape.groups()
        if not subject.startswith(_LABELS):
            wrong.append(errors.Violation(f"{template}.{key}", "filters are only supported on labels"))
        elif rest:
            wrong.append(errors.Violation(f"{template}.{key}", "advanced filters are not supported"))
        else:
            found[subject.removeprefix(_LABELS)] = value
    return found


def next_url(base: str, parameters: Parameters, offset: int | None) -> str | None:
    """The URL of the page from `offset` on: the same request with sorted parameters; None after the last page."""
    if offset is None:
        return None
    pairs = [(key, value) for key, value in parameters.pairs if key != "offset"]
    return f"{base}?{parse.urlencode(sorted([*pairs, ('offset', str(offset))], key=lambda pair: pair[0]))}"
