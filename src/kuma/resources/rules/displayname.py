"""The rule of kinds whose name, as users know it, becomes part of a domain name or a label."""

from collections.abc import Iterator

from kuma.base.errors import Violation
from kuma.resources import resource as res


def check(meta: res.Meta, longest: int) -> Iterator[Violation]:
    """A violation where the display name has more than `longest` characters."""
    if len(meta.display_name) > longest:
        yield Violation("name", f"must not be longer than {longest} characters")
