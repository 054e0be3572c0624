"""What goes back over the wire: replies as bytes, in the JSON style of the API, and the one shape of error documents.

JSON is indented by one space a level and ends in a newline. Source of titles and texts: Kuma's HTTP API documentation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kuma.base import errors

JSON = "application/json"
TEXT = "text/plain"
TEXT_UTF8 = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. `parts` are sent one after the other, so big ones need not be joined.

    `closes`: the connection ends with it, because the rest of the request is not going to be read.
    """

    status: int
    content_type: str
    parts: Sequence[bytes]
    closes: bool = False
    headers: Sequence[tuple[bytes, bytes]] = ()


def json_bytes(document: Any) -> bytes:
    """The document in the API's style, without the final newline. Key order is kept."""
    return indented(msgspec.json.encode(document))


def indented(compact: bytes) -> bytes:
    """Compact JSON in the API's style, without the final newline."""
    return msgspec.json.format(compact, indent=1)


def json_reply(document: Any, status: int = 200) -> Reply:
    """A document as a reply."""
    return Reply(status, JSON, (json_bytes(document), b"\n"))


def text_reply(status: int, text: str, content_type: str = TEXT_UTF8) -> Reply:
    """Plain text, for answers that have no document (unknown pages, tokens, what Envoy says about itself)."""
    return Reply(status, content_type, (text.encode(),))


PAGE_NOT_FOUND = text_reply(404, "404: Page Not Found")
METHOD_NOT_ALLOWED = text_reply(405, "405: Method Not Allowed")
UNSUPPORTED_MEDIA_TYPE = text_reply(415, "415: Unsupported Media Type")
NOT_ACCEPTABLE = text_reply(406, "406: Not Acceptable\n\nAvailable representations: application/json")


class InvalidOffset(errors.BadRequest):
    """A page offset that is not a number from 0 on."""


class InvalidPageSize(errors.InvalidResource):
    """A page size outside 1..1000."""


@dataclass(frozen=True, slots=True)
class _Translation:
    """How one type of error is shown; empty title: the step's; empty detail: the error's own text."""

    error: type[errors.KumaError]
    status: int
    title: str = ""
    detail: str = ""


_TRANSLATIONS = (
    _Translation(InvalidOffset, 400),
    _Translation(InvalidPageSize, 400, detail="Invalid page size"),
    _Translation(errors.BadRequest, 400, title="Bad Request"),
    _Translation(errors.InvalidResource, 400),
    _Translation(errors.Unauthenticated, 401, title="Invalid authentication data", detail="Unauthenticated"),
    _Translation(errors.AccessDenied, 403, title="Access Denied"),
    _Translation(errors.NotFound, 404, detail="Not found"),
    _Translation(errors.MethodNotAllowed, 405, title="Method not allowed"),
    _Translation(errors.AlreadyExists, 409, title="Conflict"),
    _Translation(errors.Conflict, 409, title="Conflict"),
    _Translation(errors.TooLarge, 413, title="Request body is too large"),
    _Translation(errors.Unavailable, 503),
)


def error_reply(error: BaseException, title: str) -> Reply:
    """The error document of an exception; `title` is the operation, used where the failing step has no name.

    Whatever is not meant for the user says "Internal Server Error" and nothing else.
    """
    for each in _TRANSLATIONS:
        if isinstance(error, each.error):
            violations = error.violations if isinstance(error, errors.InvalidResource) else ()
            detail = each.detail or (error.summary if isinstance(error, errors.InvalidResource) else str(error))
            return error_document(each.status, each.title or error.title or title, detail, violations)
    return error_document(500, title, "Internal Server Error")


def error_document(status: int, title: str, detail: str, violations: Iterable[errors.Violation] = ()) -> Reply:
    """Kuma's error body: `details` and `causes` repeat `detail` and `invalid_parameters` for old clients."""
    found = tuple(violations)
    document: dict[str, Any] = {"type": "/std-errors", "status": status, "title": title, "detail": detail}
    if found:
        document["invalid_parameters"] = [{"field": each.field, "reason": each.message} for each in found]
    document["details"] = detail
    if found:
        document["causes"] = [{"field": each.field, "message": each.message} for each in found]
    return json_reply(document, status)
