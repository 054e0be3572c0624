"""Patches of Envoy's configuration that users write as JSON Patch (RFC 6902): the rules for writing them, and applying.

Three things are more lenient than the RFC, as Kuma has them: `remove` of what is not there does nothing, `add` makes the
objects and lists on the way to its place, and a negative index counts from the end of a list.
"""

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import values

OPERATIONS = ("add", "remove", "replace", "move", "copy")
WITH_VALUE = ("add", "replace")
WITH_SOURCE = ("move", "copy")

_INDEX = re.compile(r"-?(?:0|[1-9][0-9]*)")
_END = "-"
_LONGEST = 10_000
"""Elements of a list that `add` makes longer; an index is a few characters, what it would fill up is not."""


class Block(kinds.Spec, frozen=True):
    """One operation of a patch; `path` and `from_` are JSON pointers (RFC 6901). The value None was not written."""

    op: Annotated[str, values.Required, values.one_of(*OPERATIONS)] = ""
    path: Annotated[str, values.Required] = msgspec.field(default_factory=str)
    from_: str | None = msgspec.field(default=None, name="from")
    value: Any = None


def check(path: str, blocks: Sequence[Block]) -> Iterator[Violation]:
    """Violations of a list of operations at `path`."""
    for index, block in enumerate(blocks):
        place = f"{path}[{index}]"
        if block.op not in OPERATIONS:
            yield Violation(f"{place}.op", f'"op" must be one of {_listed(OPERATIONS)}')
            continue
        yield from _check_member(f"{place}.from", "from", block, bool(block.from_), WITH_SOURCE)
        yield from _check_member(f"{place}.value", "value", block, block.value is not None, WITH_VALUE)
        if block.op == "remove" and block.path == "":
            yield Violation(f"{place}.path", "root path cannot be removed")


def _check_member(
    path: str, name: str, block: Block, is_written: bool, operations: tuple[str, ...]
) -> Iterator[Violation]:
    if is_written and block.op not in operations:
        yield Violation(path, f'"{name}" is allowed only when "op" is one of {_listed(operations)}')
    if not is_written and block.op in operations:
        yield Violation(path, f'"{name}" must not be empty when "op" is one of {_listed(operations)}')


def _listed(words: tuple[str, ...]) -> str:
    return f"[{', '.join(gotext.quote(each) for each in words)}]"


def apply(document: Any, blocks: Sequence[Block]) -> Any:
    """The document after all operations; `document` itself stays as it is. ValueError where one cannot be done."""
    out = copy.deepcopy(document)
    for block in blocks:
        path = _tokens(block.path)
        if block.op == "add":
            out = _added(out, path, copy.deepcopy(block.value), make_way=True)
        elif block.op == "replace":
            _found(out, path)
            out = _replaced(out, path, copy.deepcopy(block.value))
        elif block.op == "remove":
            _remove(out, path)
        else:
            source = _tokens(block.from_ or "")
            value = copy.deepcopy(_found(out, source))
            if block.op == "move":
                _remove(out, source)
            out = _added(out, path, value, make_way=False)
    return out


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{gotext.quote(pointer)} is no JSON pointer: it has to begin with /")
    return [each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]


def _pointer(path: Sequence[str]) -> str:
    return gotext.quote("".join("/" + each.replace("~", "~0").replace("/", "~1") for each in path))


def _index(token: str, length: int, path: Sequence[str]) -> int:
    """The place in a list of `length` that a token means; `-` is one past the last."""
    if token == _END:
        return length
    if not _INDEX.fullmatch(token):
        raise ValueError(f"{_pointer(path)} is in a list, and {gotext.quote(token)} is no index")
    at = int(token)
    return at + length if at < 0 else at


def _found(document: Any, path: Sequence[str]) -> Any:
    """The value at a path."""
    here = document
    for depth, token in enumerate(path):
        if isinstance(here, dict) and token in here:
            here = here[token]
            continue
        if isinstance(here, list) and 0 <= (at := _index(token, len(here), path)) < len(here):
            here = here[at]
            continue
        raise ValueError(f"there is no {_pointer(path[: depth + 1])}")
    return here


def _added(document: Any, path: Sequence[str], value: Any, *, make_way: bool) -> Any:
    if not path:
        return value
    if make_way:
        _make_way(document, path)
    parent, last = _found(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        at = _index(last, len(parent) + 1, path) if last != _END else len(parent)
        if not 0 <= at <= len(parent):
            raise ValueError(f"there is no {_pointer(path)}: the list has {len(parent)} elements")
        parent.insert(at, value)
    else:
        raise ValueError(f"{_pointer(path[:-1])} has no members")
    return document


def _make_way(document: Any, path: Sequence[str]) -> None:
    """Makes the objects and lists that are missing on the way; a list is filled up to the index that is asked for."""
    here = document
    for token, following in itertools.pairwise(path):
        made: Any = [] if following == _END or _INDEX.fullmatch(following) else {}
        if isinstance(made, list) and following != _END:
            if int(following) > _LONGEST:
                raise ValueError(f"there is no {_pointer(path)}: a list that is made has at most {_LONGEST} elements")
            made += [None] * int(following)
        if isinstance(here, dict):
            if here.get(token) is None:
                here[token] = made
            here = here[token]
        elif isinstance(here, list):
            at = _index(token, len(here), path)
            if at == len(here):
                here.append(made)
            elif 0 <= at < len(here) and here[at] is None:
                here[at] = made
            here = here[at] if 0 <= at < len(here) else None
        else:
            return  # nothing can be added there, which the caller finds out


def _replaced(document: Any, path: Sequence[str], value: Any) -> Any:
    """`path` exists."""
    if not path:
        return value
    parent, last = _found(document, path[:-1]), path[-1]
    parent[_index(last, len(parent), path) if isinstance(parent, list) else last] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> None:
    if not path:
        raise ValueError("the whole document cannot be removed")
    try:
        _found(document, path)
    except ValueError:
        return
    parent, last = _found(document, path[:-1]), path[-1]
    del parent[_index(last, len(parent), path) if isinstance(parent, list) else last]
