"""How a resource lies in a row of the SQLite store: JSON columns, times as microseconds, the owner as three columns."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from kuma.base import errors
from kuma.resources import codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

COLUMNS = "kind, mesh, name, version, created, modified, labels, spec, status, owner_kind, owner_mesh, owner_name"


class Content(NamedTuple):
    """The encoded parts of a resource that may fail to encode."""

    labels: str
    spec: bytes
    status: bytes | None


def encode_content(resource: res.Resource[Any]) -> Content:
    """Labels, spec and status as JSON; BadRequest where a text (the name too) is not Unicode and has no bytes."""
    try:
        "".join(resource.key).encode()
        return _encode(resource)
    except UnicodeEncodeError as problem:
        raise errors.BadRequest(f"a text of the resource cannot be stored: {problem.reason}") from problem


def _encode(resource: res.Resource[Any]) -> Content:
    return Content(
        msgspec.json.encode(dict(resource.meta.labels)).decode(),
        codec.spec_to_json(resource),
        codec.status_to_json(resource) or None,
    )


def row_of(change: protocol.Change, content: Content) -> Sequence[object]:
    """The row, in the order of COLUMNS, of a resource that was created or updated."""
    meta = change.resource.meta
    return (
        *change.resource.key,
        meta.version,
        (meta.creation_time - _EPOCH) // _MICROSECOND,
        (meta.modification_time - _EPOCH) // _MICROSECOND,
        *content,
        *(change.owner or (None, None, None)),
    )


def resource_of(kind: kinds.Kind[Any], row: Sequence[Any]) -> tuple[res.Resource[Any], res.Key | None]:
    """The resource and its owner; ValueError or BadRequest where a column does not decode."""
    _, mesh, name, version, created, modified, labels, spec, status, *owner = row
    meta = res.Meta(
        mesh=mesh,
        name=name,
        labels=msgspec.json.decode(labels, type=dict[str, str]),
        creation_time=_EPOCH + created * _MICROSECOND,
        modification_time=_EPOCH + modified * _MICROSECOND,
        version=version,
    )
    decoded = codec.status_from_json(kind, status or b"")
    resource = res.Resource(kind, meta, codec.spec_from_json(kind, spec), decoded)
    return resource, None if owner[0] is None else res.Key(*owner)
