"""Patches of Envoy's configuration that users write as JSON Patch (RFC 6902), and the rules for writing them."""

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
