"""The rule of a field of a new kind that has one of a few values."""

from collections.abc import Iterator, Sequence

from kuma.base import gotext
from kuma.base.errors import Violation


def check_one_of(path: str, field: str, found: str, accepted: Sequence[str]) -> Iterator[Violation]:
    """A violation where `field` of the struct at `path` was written (is not empty) and has none of the values."""
    if found and found not in accepted:
        yield Violation(f"{path}.{field}", refusal(field, accepted))


def refusal(word: str, accepted: Sequence[str]) -> str:
    """The message about a word that is none of the accepted ones."""
    return f"{gotext.quote(word)} must be one of [{', '.join(gotext.quote(each) for each in accepted)}]"
