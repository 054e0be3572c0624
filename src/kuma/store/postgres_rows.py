"""How a resource lies in a row of Kuma's table `resources`, and the statements that read and write such rows.

Times are UTC without a zone, the version counts the writes of one resource from 0, absent labels may be JSON `null`,
and a status that was never set is `{}`. What the statements write, a Kuma control plane reads, and the other way.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from kuma.resources import codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.store import rows

_COLUMNS = (
    "type, mesh, name, version, creation_time, modification_time, labels::text, spec, status::text, "
    "owner_type, owner_mesh, owner_name"
)
_RETURNED = "RETURNING version, creation_time, modification_time, owner_type, owner_mesh, owner_name"
_OF_KEY = "type = %s AND mesh = %s AND name = %s"
_INSERT = """
INSERT INTO resources
    (type, mesh, name, version, creation_time, modification_time, labels, spec, status,
     owner_type, owner_mesh, owner_name)
VALUES (%s, %s, %s, 0, %s, %s, %s::jsonb, %s, %s::jsonb, %s, %s, %s)
"""

LOAD = f"SELECT {_COLUMNS} FROM resources"
SELECT = f"{LOAD} WHERE (type, mesh, name) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))"
BEGIN_SNAPSHOT = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
STAMPS = "SELECT type, mesh, name, version, creation_time, modification_time FROM resources ORDER BY modification_time"
CREATE = f"{_INSERT} ON CONFLICT DO NOTHING {_RETURNED}"
UPDATE = f"""
UPDATE resources SET version = version + 1, modification_time = %s, labels = %s::jsonb, spec = %s, status = %s::jsonb
WHERE {_OF_KEY} AND version = %s AND creation_time = %s {_RETURNED}
"""
"""The creation time tells a resource that was deleted and made again from the one that was read."""
PUT = f"""
{_INSERT} ON CONFLICT (name, mesh, type) DO UPDATE SET
    version = resources.version + 1, modification_time = EXCLUDED.modification_time,
    labels = EXCLUDED.labels, spec = EXCLUDED.spec, status = EXCLUDED.status,
    owner_type = COALESCE(EXCLUDED.owner_type, resources.owner_type),
    owner_mesh = COALESCE(EXCLUDED.owner_mesh, resources.owner_mesh),
    owner_name = COALESCE(EXCLUDED.owner_name, resources.owner_name)
{_RETURNED}
"""
DELETE = f"DELETE FROM resources WHERE {_OF_KEY} RETURNING 1"


class Stamp(NamedTuple):
    """What tells one state of a row from another. Times are naive UTC."""

    version: int
    created: datetime
    modified: datetime


class Row(NamedTuple):
    """A row that was read: key, state, content still encoded, owner."""

    key: res.Key
    stamp: Stamp
    labels: str | None
    spec: str | None
    status: str
    owner: res.Key | None


class Written(NamedTuple):
    """What a statement returned: the state of the row after it, and its owner."""

    stamp: Stamp
    owner: res.Key | None


def row_of(columns: Sequence[Any]) -> Row:
    """A row as LOAD and SELECT return it."""
    kind, mesh, name, version, created, modified, labels, spec, status, *owner = columns
    return Row(res.Key(kind, mesh, name), Stamp(version, created, modified), labels, spec, status, _owner(owner))


def written_of(columns: Sequence[Any]) -> Written:
    """A row as CREATE, UPDATE and PUT return it."""
    version, created, modified, *owner = columns
    return Written(Stamp(version, created, modified), _owner(owner))


def _owner(columns: Sequence[Any]) -> res.Key | None:
    kind, mesh, name = columns
    return None if name is None else res.Key(kind, mesh or "", name)


def resource_of(kind: kinds.Kind[Any], row: Row) -> res.Resource[Any]:
    """The resource, its version left 0; ValueError or BadRequest where a column does not decode."""
    meta = res.Meta(
        mesh=row.key.mesh,
        name=row.key.name,
        labels=msgspec.json.decode(row.labels, type=dict[str, str] | None) or {} if row.labels else {},
        creation_time=row.stamp.created.replace(tzinfo=UTC),
        modification_time=row.stamp.modified.replace(tzinfo=UTC),
    )
    status = None if row.status == "{}" else codec.status_from_json(kind, row.status)
    return res.Resource(kind, meta, codec.spec_from_json(kind, row.spec or "{}"), status)


def inserted(resource: res.Resource[Any], content: rows.Content, owner: res.Key | None, now: datetime) -> Sequence[Any]:
    """Parameters of CREATE and PUT."""
    moment = naive(now)
    return (*resource.key, moment, moment, *_content(content), *(owner or (None, None, None)))


def updated(resource: res.Resource[Any], content: rows.Content, expected: Stamp, now: datetime) -> Sequence[Any]:
    """Parameters of UPDATE."""
    return (naive(now), *_content(content), *resource.key, expected.version, expected.created)


def _content(content: rows.Content) -> tuple[str, str, str]:
    """Labels, spec and status; a kind without a status has the empty one, as Kuma writes it."""
    return content.labels, content.spec.decode(), (content.status or b"{}").decode()


def selected(keys: Sequence[res.Key]) -> Sequence[Any]:
    """Parameters of SELECT."""
    return [each.kind for each in keys], [each.mesh for each in keys], [each.name for each in keys]


def naive(moment: datetime) -> datetime:
    """UTC without saying so, as the columns hold it."""
    return moment.astimezone(UTC).replace(tzinfo=None)
