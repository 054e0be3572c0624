"""The one tree of errors that a user can meet.

KumaError
├── BadRequest               the input cannot be read at all (HTTP 400)
├── InvalidResource          it was read and breaks rules: carries every violation (400)
├── Unauthenticated          credentials are missing or wrong (401)
├── AccessDenied             known user, no right (403)
├── NotFound                 no such resource (404)
├── MethodNotAllowed         this control plane does not accept this write (405)
├── AlreadyExists            a create found the key taken (409)
├── Conflict                 an update was based on a stale version (409)
├── TooLarge                 more input than a boundary accepts (413)
└── Unavailable              a peer that is needed is not there now (503)

Boundaries (REST, xDS, CLI) translate these; a foreign exception is translated into one of them where it enters.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the dotted path of the field, and what is wrong with it."""

    field: str
    message: str


class KumaError(Exception):
    """Root of every error that is meant for the user.

    `title` is the headline a boundary prints above the message (`Failed to update a resource`): which step of a use
    case failed. The use case sets it (see `titled`); empty means that the boundary chooses.
    """

    title: str = ""


@contextlib.contextmanager
def titled(title: str) -> Iterator[None]:
    """Gives every error that leaves the block `title`, unless a step inside has named itself already."""
    try:
        yield
    except KumaError as error:
        error.title = error.title or title
        raise


class BadRequest(KumaError):
    """The input cannot be understood (broken JSON, wrong types).

    `field` is the dotted path where one is to blame, `allowed` what it takes where that is one of a few words.
    """

    def __init__(self, message: str = "", field: str = "", allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed


class InvalidResource(KumaError):
    """A resource was understood and is not valid; all violations come together, under one line of summary."""

    def __init__(self, violations: Iterable[Violation], summary: str = "Resource is not valid") -> None:
        self.violations = tuple(violations)
        self.summary = summary
        super().__init__("; ".join(f"{v.field}: {v.message}" for v in self.violations))


class Unauthenticated(KumaError):
    """Credentials are missing, malformed, expired, revoked or signed by somebody else."""


class AccessDenied(KumaError):
    """The user is known and has no right to do this."""


class NotFound(KumaError):
    """The resource does not exist."""


class MethodNotAllowed(KumaError):
    """Resources of this kind cannot be written here."""


class AlreadyExists(KumaError):
    """A resource of that key is stored already."""


class Conflict(KumaError):
    """The stored resource changed since the version the writer saw."""


class TooLarge(KumaError):
    """The input exceeds a limit."""


class Unavailable(KumaError):
    """Something the operation needs is not reachable at the moment."""
